"""Label maps: the reviewed tables, and probabilities, thresholds and labels against loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from passerby.data import label_map as module
from passerby.data.label_map import LABEL_MAP_DATASETS, BoundLabelMap, LabelMap, Source, list_label_maps
from passerby.data.label_map_tables import derive_rows
from passerby.errors import ConfigError, DataError, SchemaError
from passerby.schema import AttributeSchema

FOLDER = Path(module.__file__).parent
SCHEMAS = {
    name: AttributeSchema.from_csv(FOLDER / "formats" / f"{name}.csv", name=name)
    for name in LABEL_MAP_DATASETS
}
EVALUATED = {name: schema.names[:35] if name == "peta" else schema.names for name, schema in SCHEMAS.items()}
CURATED = yaml.safe_load((FOLDER / "label_maps" / "curated.yaml").read_text(encoding="utf-8"))

# The maps of the first release, typed in by hand: an evaluation with them must not change.
PETA_TO_PA100K = {
    "Female": "not personalMale",
    "AgeOver60": "personalLarger60",
    "Age18-60": ("personalLess30", "personalLess45", "personalLess60"),
    "Hat": "accessoryHat",
    "ShoulderBag": "carryingMessengerBag",
    "Backpack": "carryingBackpack",
    "ShortSleeve": "upperBodyShortSleeve",
    "UpperStride": "upperBodyThinStripes",
    "UpperLogo": "upperBodyLogo",
    "UpperPlaid": "upperBodyPlaid",
    "Trousers": ("lowerBodyTrousers", "lowerBodyJeans"),
    "Shorts": "lowerBodyShorts",
    "Skirt&Dress": "lowerBodyShortSkirt",
}
PA100K_TO_PETA = {
    "personalMale": "not Female",
    "personalLarger60": "AgeOver60",
    "accessoryHat": "Hat",
    "carryingMessengerBag": "ShoulderBag",
    "carryingBackpack": "Backpack",
    "upperBodyShortSleeve": "ShortSleeve",
    "upperBodyLogo": "UpperLogo",
    "upperBodyPlaid": "UpperPlaid",
    "lowerBodyShorts": "Shorts",
}
GLASSES = ("glasses", "sunglasses")
RAP2_TRUTH = {
    "hs-Hat": ("hat",),
    "hs-Glasses": GLASSES,
    "ub-Shirt": ("shirt",),
    "ub-Sweater": ("sweater",),
    "ub-TShirt": ("t-shirt",),
    "ub-Jacket": ("jacket",),
    "ub-SuitUp": ("suit",),
    "lb-LongTrousers": ("pants",),
    "lb-ShortSkirt": ("skirt",),
    "lb-Dress": ("dress",),
    "lb-Jeans": ("jeans",),
    "shoes-Boots": ("boots",),
}
CCP_TRUTH = {
    "pa100k": {
        "Hat": ("hat",),
        "Glasses": GLASSES,
        "Trousers": ("pants", "jeans"),
        "Shorts": ("shorts",),
        "Skirt&Dress": ("skirt", "dress"),
        "boots": ("boots",),
    },
    "peta": {
        "accessoryHat": ("hat",),
        "accessoryMuffler": ("scarf",),
        "accessorySunglasses": ("sunglasses",),
        "upperBodyJacket": ("jacket",),
        "upperBodySuit": ("suit",),
        "upperBodySweater": ("sweater",),
        "upperBodyTshirt": ("t-shirt",),
        "lowerBodyJeans": ("jeans",),
        "lowerBodyShorts": ("shorts",),
        "lowerBodyShortSkirt": ("skirt",),
        "lowerBodyTrousers": ("pants",),
        "footwearBoots": ("boots",),
        "footwearSandals": ("sandals",),
        "footwearSneaker": ("sneakers",),
        "footwearStocking": ("stockings",),
    },
    "rap1": {**RAP2_TRUTH, "hs-Muffler": ("scarf",)},
    "rap2": RAP2_TRUTH,
}


def describe(bound: BoundLabelMap) -> dict[str, str | tuple[str, ...]]:
    words = {
        name: tuple(("not " if source.negated else "") + source.name for source in sources)
        for name, sources in zip(bound.names, bound.sources, strict=True)
    }
    return {name: each[0] if len(each) == 1 else each for name, each in words.items()}


# ------------------------------------------------------------------ the tables


@pytest.mark.parametrize(
    ("name", "expected"), [("peta-to-pa100k", PETA_TO_PA100K), ("pa100k-to-peta", PA100K_TO_PETA)]
)
def test_maps_of_the_first_release_are_the_same_for_the_usual_attributes(
    name: str, expected: dict[str, str | tuple[str, ...]]
) -> None:
    source, target = name.split("-to-")
    bound = LabelMap.load(name).bind(EVALUATED[source], EVALUATED[target])
    assert describe(bound) == expected
    assert bound.title == name
    assert list(bound.names) == sorted(bound.names, key=EVALUATED[target].index)


@pytest.mark.parametrize("model", CCP_TRUTH)
def test_truth_maps_of_the_first_release_are_the_same(model: str) -> None:
    bound = LabelMap.load_truth(f"{model}-to-ccp").bind(SCHEMAS["ccp"].names, SCHEMAS[model].names)
    assert bound.classes == CCP_TRUTH[model]
    assert list(bound.names) == sorted(bound.names, key=SCHEMAS[model].names.index)
    assert bound.title == f"{model}-to-ccp"
    assert bound.sources == LabelMap.load(f"ccp-to-{model}").bind(SCHEMAS["ccp"].names).sources


def test_peta_with_all_attributes_adds_what_they_allow() -> None:
    rows = describe(LabelMap.load("peta-to-pa100k").bind(SCHEMAS["peta"].names))
    more = {name: row for name, row in rows.items() if PETA_TO_PA100K.get(name) != row}
    assert more == {
        "AgeLess18": "personalLess15",
        "LongSleeve": "upperBodyLongSleeve",
        "UpperStride": ("upperBodyThinStripes", "upperBodyThickStripes"),
        "Trousers": ("lowerBodyTrousers", "lowerBodyJeans", "lowerBodySuits"),
        "boots": "footwearBoots",
    }


@pytest.mark.parametrize("name", list_label_maps())
def test_names_are_those_of_the_schemas(name: str) -> None:
    source, target = name.split("-to-")
    label_map = LabelMap.load(name)
    assert label_map.rows, "every two data sets share a hat"
    assert set(label_map.rows) <= set(SCHEMAS[target].names)
    for sources in label_map.rows.values():
        assert {each.name for each in sources} <= set(SCHEMAS[source].names)
        assert len({each.name for each in sources}) == len(sources)
        assert not all(each.optional for each in sources)
    assert len(label_map.bind(SCHEMAS[source].names, SCHEMAS[target].names).names) == len(label_map.rows)


def test_curated_rows_are_of_pairs_and_attributes_that_exist_and_none_is_redundant() -> None:
    assert set(CURATED) <= set(list_label_maps())
    for pair, rows in CURATED.items():
        source, target = pair.split("-to-")
        ours = {a.concept: a.name for a in SCHEMAS[source] if a.concept}
        for name, row in rows.items():
            assert name in SCHEMAS[target]
            assert row != ours.get(SCHEMAS[target][name].concept), (pair, name)


def test_optional_sources_are_those_that_the_usual_attributes_lack() -> None:
    for pair, rows in CURATED.items():
        for row in rows.values():
            for text in [row] if isinstance(row, str) else row:
                source = Source.parse(text)
                usual = source.name in EVALUATED[pair.split("-to-")[0]]
                assert not (source.optional and usual), (pair, text)


@pytest.mark.parametrize("name", list_label_maps())
def test_sex_is_mapped_by_meaning(name: str) -> None:
    source, target = (EVALUATED[each] for each in name.split("-to-"))
    males, females = {"personalMale", "Male"}, {"Female", "Femal", "Gender-Female", "gender"}
    rows = describe(LabelMap.load(name).bind(source, target))
    found = {key: row for key, row in rows.items() if key in males | females}
    if "ccp" in name:
        assert not found
        return
    ((key, row),) = found.items()
    origin = (males | females).intersection(source).pop()
    assert row == (origin if (key in males) == (origin in males) else f"not {origin}")


def test_both_sexes_of_peta() -> None:
    assert derive_rows("peta", "wider")["Male"] == "personalMale"
    rows = derive_rows("wider", "peta")
    assert (rows["personalMale"], rows["personalFemale"]) == ("Male", "not Male")


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("rap1-to-pa100k", "Side", ("faceLeft", "faceRight")),
        ("rap2-to-pa100k", "Age18-60", ("Age17-30", "Age31-45", "Age46-60")),
        ("rap2-to-pa100k", "Female", "Femal"),
        ("rap1-to-rap2", "attachment-ShoulderBag", "attach-SingleShoulderBag"),
        ("market1501-to-pa100k", "Skirt&Dress", "not clothes"),
        ("market1501-to-upar", "UpperBody-Color-Grey", "upgray"),
        ("upar-to-pa100k", "LongSleeve", "not UpperBody-Length-Short"),
        ("pa100k-to-upar", "Accessory-Bag", ("HandBag", "ShoulderBag")),
        ("pa100k-to-wider", "stripe", ("UpperStride", "LowerStripe")),
        ("ccp-to-wider", "longPants", ("pants", "jeans")),
        ("wider-to-ccp", "hat", "Hat"),
        ("peta-to-ccp", "jeans", "lowerBodyJeans"),
    ],
)
def test_single_rows(name: str, target: str, expected: str | tuple[str, ...]) -> None:
    bound = LabelMap.load(name).bind(SCHEMAS[name.split("-to-")[0]].names)
    assert describe(bound)[target] == expected


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("peta-to-pa100k", "Glasses"),  # PETA labels sunglasses only
        ("wider-to-pa100k", "Glasses"),
        ("pa100k-to-peta", "lowerBodyTrousers"),  # PA-100K's may be jeans
        ("pa100k-to-peta", "personalLess30"),
        ("pa100k-to-rap1", "AgeLess16"),
        ("upar-to-market1501", "handbag"),
        ("upar-to-pa100k", "Trousers"),
        ("market1501-to-pa100k", "Shorts"),  # short skirts, too
        ("rap1-to-pa100k", "Age18-60"),  # no labels above 45
        ("rap2-to-market1501", "clothes"),  # no shorts
        ("pa100k-to-ccp", "skirt"),
        ("market1501-to-upar", "Hair-Length-Short"),
    ],
)
def test_near_misses_are_left_out(name: str, target: str) -> None:
    assert target in SCHEMAS[name.split("-to-")[1]]
    assert target not in LabelMap.load(name).rows


# ------------------------------------------------------------------ probabilities and thresholds

ROWS = {"Bag": ["a", "b", "c"], "Not": "not b", "One": "c", "Either": ["not a", "d"]}
NAMES = ("a", "b", "c", "d")


def decide_by_loops(probs: NDArray[np.float32], thresholds: list[float]) -> list[list[bool]]:
    def above(row: NDArray[np.float32], text: str) -> bool:
        column = NAMES.index(text.removeprefix("not "))
        p, t = float(row[column]), thresholds[column]
        return p < t if text.startswith("not ") else p > t

    return [
        [any(above(row, text) for text in ([one] if isinstance(one, str) else one)) for one in ROWS.values()]
        for row in probs
    ]


@pytest.mark.parametrize(
    "thresholds",
    [
        [0.5, 0.5, 0.5, 0.5],
        [0.25, 0.5, 0.75, 0.125],
        [0.0, 0.5, 1.0, 0.25],
        [1.0, 1.0, 0.0, 0.0],
        [0.25, 0.25, 0.25, 0.75],
    ],
)
def test_decisions_are_those_of_the_sources(thresholds: list[float]) -> None:
    rng = np.random.default_rng(0)
    probs = rng.integers(0, 17, (500, 4)).astype(np.float32) / 16  # many are equal to a threshold, 0 or 1
    scores, limits = LabelMap.create(ROWS).bind(NAMES).map_probabilities(probs, thresholds)
    assert scores.shape == (500, 4)
    assert scores.dtype == np.float32
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert (scores > np.asarray(limits, np.float32)).tolist() == decide_by_loops(probs, thresholds)


def test_equal_thresholds_keep_probabilities_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    probs = rng.random((300, 4)).astype(np.float32)
    scores, limits = LabelMap.create(ROWS).bind(NAMES).map_probabilities(probs, [0.45] * 4)
    np.testing.assert_array_equal(scores[:, 0], probs[:, :3].max(axis=1))
    np.testing.assert_array_equal(scores[:, 1], 1 - probs[:, 1])
    np.testing.assert_array_equal(scores[:, 2], probs[:, 2])
    assert limits == (0.45, 1 - 0.45, 0.45, 0.5)  # the last has sources with 0.55 and 0.45


def test_scores_by_hand() -> None:
    bound = LabelMap.create({"Any": ["a", "b"]}).bind(["a", "b"])
    probs = np.float32([[0.1, 0.0], [0.2, 0.8], [0.6, 0.0], [0.0, 0.9], [1.0, 0.0], [0.0, 0.0]])
    scores, limits = bound.map_probabilities(probs, [0.2, 0.8])
    assert limits == (0.5,)
    # 0.5·0.1/0.2; both at their thresholds; 0.5 + 0.5·0.4/0.8; 0.5 + 0.5·0.1/0.2; certain; certainly not
    np.testing.assert_allclose(scores[:, 0], [0.25, 0.5, 0.75, 0.75, 1.0, 0.0], rtol=1e-6)


def test_the_smallest_step_above_a_threshold_decides_and_order_is_kept() -> None:
    bound = LabelMap.create({"Any": ["a", "b"]}).bind(["a", "b"])
    for threshold in (0.001, 0.3, 0.7, 0.9999, 1e-7):
        limit = np.float32(threshold)
        steps = [np.nextafter(limit, np.float32(0)), limit, np.nextafter(limit, np.float32(1))]
        column = np.sort(np.concatenate([np.linspace(0, 1, 101, dtype=np.float32), steps]))
        probs = np.stack([column, np.zeros_like(column)], axis=1)
        scores, limits = bound.map_probabilities(probs, [threshold, 0.5])
        np.testing.assert_array_equal(scores[:, 0] > limits[0], column > limit)
        assert (np.diff(scores[:, 0]) >= 0).all()


# ------------------------------------------------------------------ labels


def test_labels_follow_the_loops_with_unknown_ones() -> None:
    every = np.array(np.meshgrid(*[[-1, 0, 1]] * 4)).reshape(4, -1).T.astype(np.int8)
    found = LabelMap.create(ROWS).bind(NAMES).map_labels(every)
    assert found.dtype == np.int8
    for row, labels in zip(every, found, strict=True):
        a, b, c, d = row.tolist()
        flip = {1: 0, 0: 1, -1: -1}
        for label, sources in zip(labels, ([a, b, c], [flip[b]], [c], [flip[a], d]), strict=True):
            assert label == (1 if 1 in sources else 0 if all(s == 0 for s in sources) else -1)


def test_labels_by_hand() -> None:
    bound = LabelMap.load("peta-to-pa100k").bind(EVALUATED["peta"], ["Trousers", "Female"])
    labels = np.full((3, 35), -1, np.int8)
    labels[0, EVALUATED["peta"].index("lowerBodyJeans")] = 1
    labels[1, EVALUATED["peta"].index("lowerBodyJeans")] = 0
    labels[1, EVALUATED["peta"].index("personalMale")] = 0
    labels[2, EVALUATED["peta"].index("personalMale")] = 1
    assert bound.map_labels(labels).tolist() == [[1, -1], [-1, 1], [-1, 0]]


# ------------------------------------------------------------------ binding, names and files


def test_a_map_of_this_package_keeps_the_rows_that_fit() -> None:
    model = ["accessoryHat", "lowerBodyJeans", "personalMale"]
    label_map = LabelMap.load("peta-to-pa100k")
    assert label_map.bind(model).names == ("Female", "Hat")  # Trousers needs the other kind, too
    assert label_map.bind(model, ["Boots", "Hat", "Female"]).names == ("Hat", "Female")
    with pytest.raises(SchemaError, match=r"peta-to-pa100k.*the sources are Tail and.*another label map"):
        label_map.bind(["Tail"])
    with pytest.raises(SchemaError, match="another label map"):
        label_map.bind(model, ["Tail"])


def test_optional_sources_are_used_if_available() -> None:
    label_map = LabelMap.create({"Trousers": ["slacks", "suit?"]})
    assert label_map.bind(["suit", "slacks"]).columns == ((1, 0),)
    assert label_map.bind(["slacks"]).columns == ((0,),)
    with pytest.raises(SchemaError, match="no source of Trousers 'slacks'; did you mean slack"):
        label_map.bind(["slack", "suit"])


def test_a_map_of_the_user_must_fit_entirely() -> None:
    label_map = LabelMap.create({"Cap": "Hat", "Man": "not Female"})
    assert label_map.bind(["Female", "Hat"], ["Man", "Cap", "Bag"]).columns == ((0,), (1,))
    with pytest.raises(SchemaError, match="there is no source of Cap 'Hat'; did you mean Hats"):
        label_map.bind(["Female", "Hats"])
    with pytest.raises(SchemaError, match="there is no target 'Man'; expected one of Cap"):
        label_map.bind(["Female", "Hat"], ["Cap"])


def test_classes_of_a_truth() -> None:
    bound = LabelMap.create({"a": "x", "b": ["y", "x"]}).bind(["x", "y"], ["b", "c", "a"])
    assert bound.classes == {"b": ("y", "x"), "a": ("x",)}
    with pytest.raises(SchemaError, match="'not x', which has no pixels"):
        _ = LabelMap.create({"a": "not x"}).bind(["x"]).classes


def test_same_names_whatever_the_spelling() -> None:
    bound = LabelMap.by_name(["hat", "t-shirt", "T_SHIRT"], ["T Shirt", "HAT", "Shoe"]).bind(
        ["hat", "t-shirt", "T_SHIRT"], ["T Shirt", "HAT", "Shoe"]
    )
    assert bound.classes == {"T Shirt": ("t-shirt",), "HAT": ("hat",)}
    with pytest.raises(SchemaError, match="--label-map"):
        LabelMap.by_name(["hat"], ["Shoe"])


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("map.json", '{"Cap": "Hat",\n\t"Man": ["not Female"]}'),
        ("map.yaml", "# mine\nCap: Hat\nMan: not Female\n"),
    ],
)
def test_files(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    for load in (LabelMap.load, LabelMap.load_truth):
        label_map = load(tmp_path / file)
        assert (label_map.title, label_map.complete) == (file, True)
        assert label_map.bind(["Female", "Hat"]).columns == ((1,), (0,))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('{"Cap": []}', SchemaError, "Cap: expected one or several different sources, got none"),
        ('{"Cap": ""}', SchemaError, "different sources, got ''"),
        ('{"Cap": ["Hat", "Hat"]}', SchemaError, "got 'Hat', 'Hat'"),
        ("{}", SchemaError, "at least one row"),
        ('{"Cap": 3}', DataError, "expected JSON or YAML such as"),
        ('{"Cap": ["Hat", 3]}', DataError, "expected JSON or YAML such as"),
        ('{"Cap": "Hat", "Cap": "Cup"}', DataError, "'Cap' twice"),
        ("[1]", DataError, "expected JSON or YAML such as"),
        ("{", DataError, "expected JSON or YAML such as"),
    ],
)
@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_wrong_files_are_named(
    tmp_path: Path, suffix: str, text: str, error: type[Exception], message: str
) -> None:
    path = tmp_path / f"map.{suffix}"
    path.write_text(text)
    with pytest.raises(error, match=message) as caught:
        LabelMap.load(str(path))
    assert path.name in str(caught.value)


@pytest.mark.parametrize("text", ["no: Hat", "Cap: yes", "1: Hat", "? [a]\n: Hat", "", "Cap: {a: b}"])
def test_yaml_values_that_are_no_names(tmp_path: Path, text: str) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match="expected JSON or YAML such as"):
        LabelMap.load(path)


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(
        ConfigError, match=r"each one of peta, .*, or a JSON or YAML file; did you mean .*peta-"
    ):
        LabelMap.load("peta-to-pa100")
    with pytest.raises(ConfigError, match="no label map 'peta'"):
        LabelMap.load_truth("peta")


def test_list_of_maps() -> None:
    names = list_label_maps()
    assert len(set(names)) == len(names) == 56
    assert {"peta-to-pa100k", "pa100k-to-peta", "peta-to-ccp", "rap1-to-ccp"} <= set(names)
