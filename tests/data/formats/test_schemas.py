"""The schema tables: names as in the data sets' own files, groups as in the papers, concepts that agree."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import scipy.io

from passerby.data.formats.dataset_files import load_schema
from passerby.schema import AttributeSchema

EVALUATED = {
    "peta": 35,
    "pa100k": 26,
    "rap1": 51,
    "rap2": 54,
    "wider": 14,
    "market1501": 30,
    "mars": 32,
    "upar": 40,
    "ccp": 58,
}
SIZES = EVALUATED | {"peta": 105, "rap1": 92}
SCHEMAS = {name: load_schema(name) for name in SIZES}
every_schema = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)


def names(prefix: str, *endings: str) -> set[str]:
    return {prefix + ending for ending in endings}


# MAN, Table 3; it spells accessoryMuffler as scarf, ThinStripes as strip and FootwearShoes as such.
MAN_PETA = {
    "full body": names("personal", "Male", "Less30", "Less45", "Less60", "Larger60"),
    "head": names("accessory", "Hat", "Muffler", "Sunglasses", "Nothing") | {"hairLong"},
    "upper body": names(
        "upperBody", "Casual", "Formal", "Jacket", "Logo", "Plaid", "ShortSleeve", "ThinStripes"
    )
    | names("upperBody", "Tshirt", "VNeck", "Other"),
    "lower body": names("lowerBody", "Casual", "Formal", "Jeans", "Shorts", "ShortSkirt", "Trousers"),
    "footwear": names("footwear", "LeatherShoes", "Sandals", "Shoes", "Sneaker"),
    "accessory": names("carrying", "Backpack", "MessengerBag", "PlasticBags", "Nothing", "Other"),
}
# The same table for RAP; action-Other is evaluated in Table 6 but not printed in Table 3.
MAN_RAP = {
    "full body": names("Age", "Less16", "17-30", "31-45", "46-60")
    | names("Body", "Fat", "Normal", "Thin")
    | {"Femal", "Customer", "Employee"},
    "head": names("hs-", "BaldHead", "LongHair", "BlackHair", "Hat", "Glasses"),
    "upper body": names("ub-", "Shirt", "Sweater", "Vest", "TShirt", "Cotton", "Jacket", "SuitUp", "Tight")
    | names("ub-", "ShortSleeve", "Others"),
    "lower body": names("lb-", "LongTrousers", "Skirt", "ShortSkirt", "Dress", "Jeans", "TightTrousers"),
    "footwear": names("shoes-", "Leather", "Sports", "Boots", "Cloth", "Casual", "Other"),
    "accessory": names("attachment-", "Backpack", "ShoulderBag", "HandBag", "Box", "PlasticBag", "PaperBag")
    | names("attachment-", "HandTrunk", "Other"),
    "action": names("action-", "Calling", "Talking", "Gathering", "Holding", "Pushing", "Pulling")
    | names("action-", "CarryingByArm", "CarryingByHand", "Other"),
}
# SSPNet, Table A.11.
SSPNET_PA100K = {
    "head": {"Hat", "Glasses"},
    "torso": {
        "ShortSleeve",
        "LongSleeve",
        "UpperStride",
        "UpperLogo",
        "UpperPlaid",
        "UpperSplice",
        "Backpack",
    },
    "bottom": {"LowerStripe", "LowerPattern", "Trousers", "Shorts", "boots"},
    "all": {"LongCoat", "Skirt&Dress", "HandBag", "ShoulderBag", "HoldObjectsInFront", "Female"}
    | {"AgeOver60", "Age18-60", "AgeLess18", "Front", "Side", "Back"},
}


def names_by(schema: AttributeSchema, group: str) -> dict[str, set[str]]:
    return {key: {schema.names[i] for i in rows} for key, rows in schema.group_by(group).items()}


OPPOSITES = {"male": "female", "female": "male"}


def find_matches(source: str, target: str) -> dict[str, str]:
    """The attribute of the target with the same concept, or `not` that of the opposite concept."""
    names = {a.concept: a.name for a in SCHEMAS[target] if a.concept}
    opposites = {OPPOSITES[c]: f"not {name}" for c, name in names.items() if c in OPPOSITES}
    return {
        a.name: {**opposites, **names}[a.concept] for a in SCHEMAS[source] if a.concept in opposites | names
    }


@pytest.mark.parametrize("name", SIZES)
def test_number_of_attributes(name: str) -> None:
    assert len(SCHEMAS[name]) == SIZES[name]
    assert SCHEMAS[name].name == name


@every_schema
def test_descriptions_can_be_read_after_this_person(schema: AttributeSchema) -> None:
    verbs = ("is", "has", "wears", "carries", "holds", "pushes", "pulls", "shows", "does", "works")
    for a in schema:
        assert re.fullmatch(rf"({'|'.join(verbs)}) [^\s].*[^\s.]", a.description), a
    assert len({a.description for a in schema}) == len(schema)


@every_schema
def test_concepts_are_lower_snake_and_unique_within_a_schema(schema: AttributeSchema) -> None:
    concepts = [a.concept for a in schema if a.concept]
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", c) for c in concepts)
    assert len(set(concepts)) == len(concepts)


def test_every_concept_is_in_two_data_sets() -> None:
    datasets = defaultdict(set)
    for name, schema in SCHEMAS.items():
        for a in schema:
            if a.concept:
                datasets[a.concept].add(name)
    assert {c for c, names in datasets.items() if len(names) < 2} == set()


@pytest.mark.parametrize("name", SIZES)
def test_classes_count_the_evaluated_values_of_a_category(name: str) -> None:
    """MAN's R_c: its categories hold evaluated attributes only, so PETA's age has 4 classes and not 5."""
    schema = SCHEMAS[name]
    evaluated = Counter(a.category for a in schema[: EVALUATED[name]])
    everywhere = Counter(a.category for a in schema)
    for a in schema:
        assert a.classes == max(2, evaluated[a.category] or everywhere[a.category]), a


def test_columns_of_rap1_come_in_three_blocks() -> None:
    """0–50 evaluated, 51–62 viewpoint and occlusion, 63–91 colours."""
    names = SCHEMAS["rap1"].names
    assert all(n.startswith(("face", "occlusion")) for n in names[51:63])
    assert all(n.startswith(("up-", "low-", "shoes-")) for n in names[63:])
    assert not any(n.startswith(("face", "occlusion", "up-", "low-")) for n in names[:51])


def test_order_of_wider() -> None:
    assert SCHEMAS["wider"].names == (
        *("Male", "longHair", "sunglass", "Hat", "Tshirt", "longSleeve", "formal"),
        *("shorts", "jeans", "longPants", "skirt", "faceMask", "logo", "stripe"),
    )


def test_tasks_of_peta_and_rap_are_those_of_man() -> None:
    peta = SCHEMAS["peta"].select(SCHEMAS["peta"].names[:35])
    assert names_by(peta, "task") == MAN_PETA
    assert names_by(SCHEMAS["rap2"], "task") == MAN_RAP


def test_body_parts_of_pa100k_are_those_of_sspnet() -> None:
    assert names_by(SCHEMAS["pa100k"], "body_part") == SSPNET_PA100K


@every_schema
def test_same_concept_means_same_body_part(schema: AttributeSchema) -> None:
    """A network that predicts hats from the head in one data set does so in all."""
    for other in SCHEMAS.values():
        for name, match in find_matches(schema.name, other.name).items():
            source, target = schema[name], other[match.removeprefix("not ")]
            if "clothes" not in (source.name, target.name):  # Market's one field for trousers and dresses
                assert source.body_part == target.body_part, (schema.name, source, other.name, target)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (
            "peta",
            "pa100k",
            {
                "accessoryHat": "Hat",
                "carryingBackpack": "Backpack",
                "personalMale": "not Female",
                "personalFemale": "Female",
                "personalLarger60": "AgeOver60",
                "upperBodyShortSleeve": "ShortSleeve",
                "upperBodyLongSleeve": "LongSleeve",
                "upperBodyLogo": "UpperLogo",
                "upperBodyPlaid": "UpperPlaid",
                "lowerBodyShorts": "Shorts",
                "footwearBoots": "boots",
            },
        ),
        (
            "pa100k",
            "rap1",
            {
                "Female": "Female",
                "Front": "faceFront",
                "Back": "faceBack",
                "Hat": "hs-Hat",
                "Glasses": "hs-Glasses",
                "HandBag": "attach-HandBag",
                "ShoulderBag": "attach-SingleShoulderBag",
                "Backpack": "attach-Backpack",
                "ShortSleeve": "ub-ShortSleeve",
                "boots": "shoes-Boots",
            },
        ),
        (
            "pa100k",
            "wider",
            {
                "Female": "not Male",
                "Hat": "Hat",
                "LongSleeve": "longSleeve",
                "Trousers": "longPants",
                "Shorts": "shorts",
            },
        ),
        (
            "market1501",
            "pa100k",
            {
                "age-young": "AgeLess18",
                "age-old": "AgeOver60",
                "backpack": "Backpack",
                "handbag": "HandBag",
                "up": "ShortSleeve",
                "hat": "Hat",
                "gender": "Female",
            },
        ),
        ("ccp", "pa100k", {"boots": "boots", "hat": "Hat", "shorts": "Shorts"}),
    ],
)
def test_matches_between_data_sets(source: str, target: str, expected: dict[str, str]) -> None:
    assert find_matches(source, target) == expected


@pytest.mark.parametrize(
    ("source", "name", "target", "other"),
    [
        ("peta", "lowerBodyTrousers", "pa100k", "Trousers"),  # PETA's are no jeans, PA-100K's may be
        ("peta", "accessorySunglasses", "pa100k", "Glasses"),
        ("peta", "upperBodyThinStripes", "pa100k", "UpperStride"),  # PETA labels thick stripes separately
        ("peta", "carryingMessengerBag", "pa100k", "ShoulderBag"),
        ("peta", "personalLess30", "pa100k", "AgeLess18"),
        ("upar", "Accessory-Bag", "market1501", "handbag"),  # UPAR took over `bag` alone
        ("upar", "Accessory-Glasses-Normal", "pa100k", "Glasses"),  # annotated again, differently
        ("upar", "LowerBody-Type-Trousers&Shorts", "pa100k", "Trousers"),
        ("market1501", "down", "pa100k", "Shorts"),  # short skirts too
    ],
)
def test_near_misses_do_not_match(source: str, name: str, target: str, other: str) -> None:
    assert find_matches(source, target).get(name) != other


def test_colours_match_between_peta_upar_and_market() -> None:
    colours = ["black", "white", "red", "purple", "yellow", "gray", "blue", "green"]
    for target, spell in (("upar", "UpperBody-Color-{}"), ("peta", "upperBody{}")):
        found = find_matches("market1501", target)
        for colour in colours:
            assert found[f"up{colour}"] == spell.format(colour.replace("gray", "grey").capitalize())


def test_rap_versions_match_in_all_but_the_catch_all_attributes() -> None:
    unmatched = set(SCHEMAS["rap2"].names) - set(find_matches("rap2", "rap1"))
    assert unmatched == {"Age46-60", "ub-Others", "shoes-Other", "action-Other"}


def real_data(*parts: str) -> Path:
    path = Path(os.environ.get("PASSERBY_DATA", "")).joinpath(*parts)
    if "PASSERBY_DATA" not in os.environ or not path.is_file():
        pytest.skip(f"PASSERBY_DATA is unset or has no {'/'.join(parts)}")
    return path


@pytest.mark.realdata
def test_names_are_those_of_the_real_files() -> None:
    peta = scipy.io.loadmat(real_data("peta", "PETA.mat"))["peta"][0][0][1]
    assert SCHEMAS["peta"].names == tuple(str(n[0][0]) for n in peta)
    pa100k = scipy.io.loadmat(real_data("pa100k", "annotation.mat"))["attributes"]
    assert SCHEMAS["pa100k"].names == tuple(str(n[0][0]) for n in pa100k)
    ccp = scipy.io.loadmat(real_data("ccp", "label_list.mat"))["label_list"]
    assert ("null", *SCHEMAS["ccp"].names) == tuple(str(n[0]) for n in ccp[0])
    header = real_data("upar", "val.csv").read_text().split("\n", 1)[0].split(",")
    assert SCHEMAS["upar"].names == tuple(n.removeprefix("# ") for n in header[1:])
