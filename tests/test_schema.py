from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from passerby.errors import PasserbyError, SchemaError
from passerby.schema import (
    BODY_PART_KEYPOINTS_COCO,
    BODY_PART_KEYPOINTS_MPII,
    BODY_PARTS,
    TASKS,
    Attribute,
    AttributeSchema,
)
from passerby.types import Prediction

HAT = Attribute("Hat", "wears a hat", "hat", "hat", 2, "head", "head")
MALE = Attribute("Male", "is male", "male", "sex")
YOUNG = Attribute("Young", "is young", "", "age", 3)
OLD = Attribute("Old", "is old", "age_old", "age", 3)


@pytest.fixture
def schema() -> AttributeSchema:
    return AttributeSchema("toy", (HAT, MALE, YOUNG, OLD))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "attribute name"),
        ({"name": " Hat"}, "blanks"),
        ({"task": "torso"}, "expected a task among"),
        ({"body_part": "foot"}, "expected a body part among"),
        ({"classes": 1}, "at least 2 classes"),
    ],
)
def test_attribute_out_of_range_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        replace(HAT, **change)


def test_an_attribute_without_category_is_its_own() -> None:
    assert Attribute("Hat", "wears a hat").category == "Hat"


def test_keypoints_of_body_parts_are_those_of_sspnet() -> None:
    """Table A.12: head 7–9, shoulder 12, 13, arms 10–15, hip 2, 3, 6, legs 0–5, whole body 0–15."""
    shoulder, arms, hip = {12, 13}, set(range(10, 16)), {2, 3, 6}
    expected = {
        "head": {7, 8, 9} | shoulder,
        "torso": shoulder | arms | hip,
        "bottom": hip | set(range(6)),
        "all": set(range(16)),
    }
    assert {part: set(points) for part, points in BODY_PART_KEYPOINTS_MPII.items()} == expected
    assert tuple(expected) == BODY_PARTS


def test_coco_keypoints_of_body_parts_are_the_same_joints() -> None:
    """Beside the face, which COCO marks by five points and MPII by none, both name the same joints."""
    same = dict(zip(range(5, 17), (13, 12, 14, 11, 15, 10, 3, 2, 4, 1, 5, 0), strict=True))
    for part in BODY_PARTS:
        ours = {same[p] for p in BODY_PART_KEYPOINTS_COCO[part] if p >= 5}
        assert ours == set(BODY_PART_KEYPOINTS_MPII[part]) & set(same.values())
        assert set(range(5)).isdisjoint(BODY_PART_KEYPOINTS_COCO[part]) == (part in ("torso", "bottom"))
    assert HAT.keypoints_mpii == BODY_PART_KEYPOINTS_MPII["head"]
    assert HAT.keypoints_coco == BODY_PART_KEYPOINTS_COCO["head"]


def test_tasks_are_the_seven_of_man() -> None:
    assert len(TASKS) == 7


def test_order_look_up_and_slices(schema: AttributeSchema) -> None:
    assert schema.names == ("Hat", "Male", "Young", "Old")
    assert len(schema) == 4
    assert list(schema) == [HAT, MALE, YOUNG, OLD]
    assert schema["Male"] is schema[1] is MALE
    assert schema[2:] == (YOUNG, OLD)
    assert schema.index("Old") == 3
    assert "Hat" in schema
    assert "hat" not in schema


def test_an_unknown_name_suggests_the_nearest(schema: AttributeSchema) -> None:
    with pytest.raises(SchemaError, match="Hat"):
        schema.index("Hats")


def test_groups_keep_the_order(schema: AttributeSchema) -> None:
    assert schema.group_by("category") == {"hat": (0,), "sex": (1,), "age": (2, 3)}
    assert schema.group_by("task") == {"head": (0,), "full body": (1, 2, 3)}
    assert schema.group_by("body_part") == {"head": (0,), "all": (1, 2, 3)}


def test_select_takes_names_in_the_given_order(schema: AttributeSchema) -> None:
    assert schema.select(["Old", "Hat"]).attributes == (OLD, HAT)
    with pytest.raises(SchemaError, match="Beard"):
        schema.select(["Beard"])


def test_select_takes_a_single_name(schema: AttributeSchema) -> None:
    name = schema.names[1]
    assert schema.select(name).names == (name,)


def test_the_most_probable_attribute_of_each_category_with_several() -> None:
    values = [("age=old", "age"), ("age=young", "age"), ("Hat", ""), ("age=child", "age")]
    schema = AttributeSchema("toy", tuple(Attribute(n, f"is {n}", category=c) for n, c in values))
    prediction = Prediction("a.jpg", schema.names, (0.2, 0.45, 0.9, 0.44), (0.5,) * 4)
    assert schema.choose_by_category(prediction) == {"age": "age=young"}


def test_empty_schemas_and_duplicate_names_are_refused() -> None:
    with pytest.raises(SchemaError, match="no attributes"):
        AttributeSchema("toy", ())
    with pytest.raises(SchemaError, match="'Hat' twice"):
        AttributeSchema("toy", (HAT, HAT))
    assert issubclass(SchemaError, PasserbyError)


def test_serialisation_round_trips(schema: AttributeSchema) -> None:
    again = AttributeSchema.from_dict(json.loads(schema.to_json()))
    assert again == schema
    assert again.fingerprint == schema.fingerprint


@pytest.mark.parametrize("values", [{}, {"name": "toy"}, {"name": "toy", "attributes": [{"nom": "Hat"}]}])
def test_other_dictionaries_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(SchemaError, match="not a serialised schema"):
        AttributeSchema.from_dict(values)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Cap"},
        {"description": "wears a cap"},
        {"concept": "cap"},
        {"category": "cap"},
        {"classes": 3},
        {"task": "accessory"},
        {"body_part": "all"},
    ],
)
def test_fingerprint_and_equality_depend_on_every_field(
    schema: AttributeSchema, change: dict[str, object]
) -> None:
    other = AttributeSchema("toy", (replace(HAT, **change), MALE, YOUNG, OLD))
    assert other != schema
    assert other.fingerprint != schema.fingerprint


def test_fingerprint_depends_on_the_order(schema: AttributeSchema) -> None:
    other = schema.select(["Male", "Hat", "Young", "Old"])
    assert other.fingerprint != schema.fingerprint


def test_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "toy.csv"
    path.write_text("name,description,classes,body_part\nHat,wears a hat,,head\nAge,is old,4,all\n")
    schema = AttributeSchema.from_csv(path)
    assert schema.name == "toy"
    assert [a.classes for a in schema] == [2, 4]
    assert AttributeSchema.from_csv(path, name="mine").name == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,colour\nHat,red\n", "colour"),
        ("name\nHat\n", "description"),
        ("name,description,classes\nHat,wears a hat,two\n", "two"),
        ("name,description,body_part\nHat,wears a hat,hand\n", "expected a body part"),
        ("name,description\n", "no attributes"),
        ('name,description\nHat,"wears a hat\n', "expected a CSV file of attributes"),
    ],
)
def test_csv_with_an_error_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "toy.csv").write_text(text)
    with pytest.raises(SchemaError, match=message):
        AttributeSchema.from_csv(tmp_path / "toy.csv")


def test_csv_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"expected a CSV file of attributes at .*nowhere\.csv"):
        AttributeSchema.from_csv(tmp_path / "nowhere.csv")
    (tmp_path / "toy.csv").write_bytes(b"name,description\nH\xfct,x\n")
    with pytest.raises(SchemaError, match="expected a CSV file of attributes"):
        AttributeSchema.from_csv(tmp_path / "toy.csv")


def test_names_become_a_schema() -> None:
    schema = AttributeSchema.from_names(["Hat", "Red top"], name="shop")
    assert (schema.name, schema.names) == ("shop", ("Hat", "Red top"))
    assert schema["Red top"] == Attribute("Red top", "has the attribute 'Red top'")
    assert AttributeSchema.from_names(schema) is schema
    assert AttributeSchema.from_names(("Hat",)).name == "custom"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("Hat", "expected a schema or a list of attribute names, got 'Hat'"),
        ([1, 2], "expected a schema or a list of attribute names"),
        (["Hat", "Hat"], "has 'Hat' twice"),
        ([" "], "without surrounding blanks"),
        ([], "no attributes"),
    ],
)
def test_names_that_cannot_become_a_schema(names: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        AttributeSchema.from_names(names)
