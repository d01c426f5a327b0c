"""Evaluation of localisation on coloured squares with known heat maps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from passerby.bundle import Bundle
from passerby.data.formats import ccp, peta, table
from passerby.data.label_map import LabelMap
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError, ImageError, ManifestError, ModelError, SchemaError
from passerby.evaluation.loading import Loading
from passerby.evaluation.localization.evaluator import evaluate_localization
from passerby.evaluation.localization.ground_truth import PAPER_CLASSES, ParsingTruth
from passerby.evaluation.localization.samples import MEASURES, SCORES
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.evaluation.localization.settings import HeatMapSettings, SamplingSettings
from passerby.evaluation.score_files import load_results
from passerby.explain.boxes import Binarization, find_boxes
from passerby.explain.scores import compute_correlation
from passerby.images.decode import read_size
from passerby.models.base import AttributeModel
from passerby.schema import Attribute, AttributeSchema
from passerby.synthetic import write_dataset
from passerby.types import Guidance, Output, Preprocess

HEIGHT, WIDTH = 16, 12
CLASSES = ("background", "hat", "bag", "purse", "t-shirt")
SCHEMA = AttributeSchema("squares", (Attribute("Hat", "wears a hat"), Attribute("Bag", "carries a bag")))
INPUT = Preprocess(HEIGHT, WIDTH, mean=(0, 0, 0), std=(1, 1, 1))

Square = tuple[int, int, int, int]


class Colours(AttributeModel):
    """Attribute a is the mean of colour a: its Grad-CAM-P map is that colour."""

    def __init__(self, schema: AttributeSchema, bias: float = 0.0) -> None:
        super().__init__(schema)
        self.name, self.arguments = "colours", {}
        self.bias = torch.nn.Parameter(torch.tensor(float(bias)))

    def forward(self, images: torch.Tensor, guidance: Guidance | None = None) -> Output:
        features = self.capture(images)
        logits = 20 * features.mean((2, 3))[:, : len(self.schema)] + self.bias
        return Output(logits, features=features)


@dataclass(frozen=True)
class Drawn:
    """An image: its coloured squares, and the true ones."""

    heat: Mapping[int, Sequence[tuple[Square, int]]] = field(default_factory=dict)
    truth: Mapping[str, Sequence[Square]] | None = field(default_factory=dict)
    labels: tuple[int, int] = (1, 0)
    identity: str | None = None


def red(*squares: Square, value: int = 200) -> dict[int, list[tuple[Square, int]]]:
    return {0: [(square, value) for square in squares]}


def make_manifest(root: Path, people: Sequence[Drawn], schema: AttributeSchema = SCHEMA) -> Manifest:
    parsing: list[str | None] = []
    for i, person in enumerate(people):
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for channel, squares in person.heat.items():
            for (x0, y0, x1, y1), value in squares:
                pixels[y0:y1, x0:x1, channel] = value
        Image.fromarray(pixels).save(root / f"{i}.png")
        parsing.append(None)
        if person.truth is not None:
            classes = np.zeros((HEIGHT, WIDTH), np.uint8)
            for name, squares in person.truth.items():
                for x0, y0, x1, y1 in squares:
                    classes[y0:y1, x0:x1] = CLASSES.index(name)
            Image.fromarray(classes).save(root / f"{i}-classes.png")
            parsing[-1] = f"{i}-classes.png"
    return Manifest.create(
        "squares",
        schema,
        root=root,
        images=[f"{i}.png" for i in range(len(people))],
        labels=[list(person.labels)[: len(schema)] for person in people],
        partitions={"own": ["test"] * len(people)},
        identities=[person.identity for person in people],
        parsing=parsing,
    ).with_guidance(parsing_classes=CLASSES)


def evaluate(bundle: Bundle, manifest: Manifest, **options: Any) -> LocalizationScores:
    """`evaluate_localization` with the fields of its settings as options."""
    options = {"batch_size": 16, **options}
    settings: dict[str, Any] = {}
    for name, kind in (("heat_maps", HeatMapSettings), ("sampling", SamplingSettings), ("loading", Loading)):
        names = [each.name for each in fields(kind) if each.name in options]
        settings[name] = kind(**{each: options.pop(each) for each in names})
    return evaluate_localization(bundle, manifest, **settings, **options)


Score = Callable[..., LocalizationScores]


@pytest.fixture
def score(tmp_path: Path) -> Score:
    """`score(people, **options)` evaluates the model of colours."""

    def run(people: Sequence[Drawn], *, bias: float = 0.0, **options: Any) -> LocalizationScores:
        manifest = make_manifest(tmp_path, people)
        options = {"partition": "own", "min_samples": 2, "resamples": 50, "workers": 1, **options}
        return evaluate(Bundle(Colours(SCHEMA, bias), INPUT), manifest, **options)

    return run


HAT = (4, 2, 8, 6)
SHIFTED = Drawn(red((2, 2, 6, 6)), {"hat": [HAT]})  # IoU 8 / 24
EXACT = Drawn(red(HAT), {"hat": [HAT]})
COLD = Drawn({}, {"hat": [HAT]})


# ---------------------------------------------------------------------- one sample by hand


def test_a_shifted_square_by_hand(score: Score) -> None:
    found = score([SHIFTED]).samples.measures
    assert found["box_iou"][0] == pytest.approx(8 / 24)
    assert found["mask_iou"][0] == pytest.approx(8 / 24)
    assert found["box_energy"][0] == found["mask_energy"][0] == pytest.approx(0.5)
    assert found["pointing"][0] == 0  # the first of the hottest is beside the hat
    assert found["box_share"][0] == found["mask_share"][0] == pytest.approx(16 / (HEIGHT * WIDTH))
    assert found["empty"][0] == 0
    assert np.isnan(found["insertion"][0])
    assert np.isnan(found["deletion"][0])


def test_box_and_mask_differ_where_the_truth_is_no_rectangle(score: Score) -> None:
    corner: dict[str, list[Square]] = {"hat": [(4, 2, 8, 3), (4, 3, 5, 6)]}  # an L: 4 + 3 pixels
    heat = {0: [(HAT, 100), ((6, 4, 7, 5), 250)]}
    found = score(
        [Drawn(heat, corner)], min_area_px=7, binarization=Binarization("max", 0.3)
    ).samples.measures
    assert found["box_iou"][0] == pytest.approx(1)
    assert found["mask_iou"][0] == pytest.approx(7 / 16)
    assert found["box_energy"][0] == pytest.approx(1)
    assert found["mask_energy"][0] == pytest.approx(700 / 1750)
    assert found["pointing"][0] == 0  # inside the box, but not on the hat


def test_the_box_depends_on_the_binarisation(score: Score) -> None:
    heat = {0: [((0, 0, 12, 16), 90), (HAT, 200)]}
    people = [Drawn(heat, {"hat": [HAT]})]
    assert score(people).samples.measures["box_iou"][0] == pytest.approx(1)
    loose = score(people, binarization=Binarization("max", 0.4))
    assert loose.samples.measures["box_iou"][0] == pytest.approx(16 / 192)
    assert loose.protocol.binarization == "max:0.4"


def test_a_map_of_zeros_counts_and_scores_0(score: Score) -> None:
    found = score([EXACT, COLD])
    assert found.samples.measures["box_iou"].tolist() == [1, 0]
    assert found.samples.measures["pointing"].tolist() == [1, 0]
    assert found.samples.measures["empty"].tolist() == [0, 1]
    hat = found.per_attribute["Hat"]
    assert hat["box_iou"].value == hat["mask_iou"].value == hat["box_energy"].value == 0.5


def test_pieces_and_outer_boxes(score: Score) -> None:
    boots: list[Square] = [(1, 10, 4, 14), (8, 10, 11, 14)]
    both = Drawn(red(*boots), {"hat": boots})
    one = Drawn(red(boots[0]), {"hat": boots})
    outer = score([both, one]).samples.measures
    pieces = score([both, one], boxes="components").samples.measures
    assert outer["box_iou"].tolist() == pytest.approx([1, 12 / 40])
    assert pieces["box_iou"].tolist() == pytest.approx([1, 12 / 24])
    assert outer["box_share"][0] == pytest.approx(40 / 192)
    assert pieces["box_share"][0] == pytest.approx(24 / 192)
    assert outer["mask_iou"].tolist() == pieces["mask_iou"].tolist() == pytest.approx([1, 0.5])


# ---------------------------------------------------------------------- which samples count


def test_which_samples_count(score: Score) -> None:
    people = [
        EXACT,
        replace(EXACT, labels=(0, 0)),  # a hat in the pixels, none in the labels
        replace(EXACT, labels=(-1, 0)),
        Drawn(red(HAT), {}, (1, 0)),  # a hat in the labels, none in the pixels
        Drawn(red(HAT), {"hat": [(0, 0, 4, 2)]}),  # 8 pixels
        Drawn(red(HAT), {"hat": [(0, 0, 3, 3)]}),  # 9 pixels
        Drawn(red(HAT), None),  # no parsing map
        Drawn({1: [((0, 8, 4, 12), 99)]}, {"bag": [(0, 8, 4, 12)], "hat": [HAT]}, (1, 1)),
    ]
    found = score(people)
    names = [found.samples.attributes[i] for i in found.samples.attribute]
    assert list(zip(found.samples.rows.tolist(), names, strict=True)) == [
        (0, "Hat"),
        (5, "Hat"),
        (7, "Hat"),
        (7, "Bag"),
    ]
    assert found.counts == {"Hat": 3, "Bag": 1}
    assert found.too_small == {"Hat": 1, "Bag": 0}
    assert found.names == {"Hat": ("hat",), "Bag": ("bag",)}
    assert score(people, min_area_px=8).counts == {"Hat": 4, "Bag": 1}


def test_only_predicted_leaves_out_samples_that_are_not_predicted(score: Score) -> None:
    people = [EXACT, COLD, Drawn(red((4, 2, 6, 6)), {"hat": [HAT]})]
    assert score(people, bias=-1).counts["Hat"] == 3
    found = score(people, bias=-1, only_predicted=True)
    assert found.samples.rows.tolist() == [0]  # 20 × 16 × 200 / 255 / 192 = 1.3 > 1
    assert found.samples.probs[0] == pytest.approx(1 / (1 + math.exp(1 - 20 * 16 * 200 / 255 / 192)))
    assert "labelled and predicted yes" in found.protocol.describe()
    with pytest.raises(DataError, match="predicts none"):
        score(people, bias=-9, only_predicted=True)


def test_no_samples(score: Score) -> None:
    with pytest.raises(DataError, match="a positive label and at least 17 ground-truth pixels for Hat, Bag"):
        score([EXACT], min_area_px=17)


def test_pixels_serve_as_label_of_attributes_without_one(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path, [EXACT, replace(EXACT, labels=(0, 0))])
    other = AttributeSchema("x", (Attribute("accessoryHat", "wears a hat"), Attribute("Age", "is old")))
    bundle = Bundle(Colours(other), INPUT)
    label_map = LabelMap.create({"accessoryHat": "hat"})
    found = evaluate(bundle, manifest, partition="own", label_map=label_map, resamples=5)
    assert found.counts == {"accessoryHat": 2}
    with pytest.raises(SchemaError, match=r"no name is in both accessoryHat.*--label-map"):
        evaluate(bundle, manifest, partition="own")


def test_a_union_of_classes(score: Score) -> None:
    bag: Square = (0, 8, 4, 12)
    person = Drawn({1: [((0, 8, 8, 12), 99)]}, {"bag": [bag], "purse": [(4, 8, 8, 12)]}, (0, 1))
    assert score([person]).per_attribute["Bag"]["box_iou"].value == pytest.approx(0.5)
    union = score([person], label_map=LabelMap.create({"Bag": ["bag", "purse"]}))
    assert union.per_attribute["Bag"]["box_iou"].value == pytest.approx(1)
    assert union.per_attribute["Bag"]["mask_iou"].value == pytest.approx(1)


# ---------------------------------------------------------------------- label maps


def create_truth(attributes: Sequence[str], label_map: LabelMap | None = None) -> ParsingTruth:
    maps = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    return ParsingTruth(maps, classes=CLASSES, attributes=attributes, label_map=label_map)


def test_classes_have_the_name_of_the_attribute_or_are_mapped() -> None:
    assert create_truth(["T_Shirt", "HAT", "Shoe"]).names == {"T_Shirt": ("t-shirt",), "HAT": ("hat",)}
    label_map = LabelMap.create({"Hat": "hat", "Bag": ["purse", "bag"]})
    names = create_truth(["Bag", "Shoe", "Hat"], label_map).names
    assert list(names.items()) == [("Bag", ("purse", "bag")), ("Hat", ("hat",))]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"Hut": "hat"}, "there is no target 'Hut'; did you mean Hat"),
        ({"Hat": "hats"}, "there is no source of Hat 'hats'; did you mean hat"),
        ({"Hat": "not hat"}, "which has no pixels"),
    ],
)
def test_wrong_label_maps_are_refused(rows: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        create_truth(["Hat"], LabelMap.create(rows))


def test_a_label_map_of_the_package_is_reduced_to_the_attributes_of_the_model() -> None:
    maps = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    schema = peta.SCHEMA.select(peta.EVALUATED)
    label_map = LabelMap.load_truth("peta-to-ccp")
    truth = ParsingTruth(maps, classes=ccp.CLASSES, attributes=schema.names, label_map=label_map)
    assert "footwearBoots" not in truth.names
    assert truth.names["accessoryHat"] == ("hat",)
    assert set(PAPER_CLASSES) <= set(ccp.CLASSES)
    with pytest.raises(SchemaError, match="choose another label map"):
        create_truth(SCHEMA.names, LabelMap.load_truth("rap1-to-ccp"))


# ---------------------------------------------------------------------- many samples


def make_people(count: int = 24, identities: bool = False) -> list[Drawn]:
    """Squares beside their hats, some nearer than others, brighter ones among them; every third has a bag."""
    rng = np.random.default_rng(0)
    people = []
    for i in range(count):
        x, y, value = int(rng.integers(0, 8)), int(rng.integers(0, 6)), int(rng.integers(60, 250))
        heat = red((x, y, x + 4, y + 4), value=value)
        truth: dict[str, list[Square]] = {"hat": [HAT]}
        if bag := i % 3 == 0:
            heat[1] = [((0, 10, 4 + i % 5, 14), value)]
            truth["bag"] = [(0, 10, 5, 15)]
        people.append(Drawn(heat, truth, (1, int(bag)), f"p{i // 4}" if identities else None))
    return people


def test_scores_of_attributes_and_their_mean(score: Score) -> None:
    found = score(make_people())
    measures, chosen = found.samples.measures, found.samples.attribute == 0
    hat, bag = found.per_attribute["Hat"], found.per_attribute["Bag"]
    assert (found.counts["Hat"], found.counts["Bag"]) == (24, 8)
    for name in ("box_iou", "mask_iou", "pointing", "box_energy", "mask_energy"):
        assert hat[name].value == pytest.approx(measures[name][chosen].mean())
        assert found.mean[name].value == pytest.approx((hat[name].value + bag[name].value) / 2)
    expected = np.corrcoef(measures["box_iou"][chosen], found.samples.probs[chosen])[0, 1]
    assert hat["pcc"].value == pytest.approx(expected)
    assert math.isnan(found.mean["insertion"].value)
    assert found.mean_of == ("Hat", "Bag")
    assert found.of_paper == ()  # no CCP
    assert found.mean_of_paper is None


def test_the_attributes_of_the_paper_have_a_separate_mean(tmp_path: Path) -> None:
    manifest = replace(
        make_manifest(tmp_path, make_people()), parsing_classes=("null", *PAPER_CLASSES, "bag")
    )
    label_map = LabelMap.create({"Hat": "hat", "Bag": "boots"})  # classes 1 and 2
    bundle = Bundle(Colours(SCHEMA), INPUT)
    found = evaluate(
        bundle, manifest, partition="own", label_map=label_map, exclude_from_mean=["Bag"], resamples=9
    )
    assert found.of_paper == ("Hat", "Bag")
    assert found.mean_of == ("Hat",)
    assert found.mean_of_paper is not None
    assert found.mean_of_paper["box_iou"] == found.per_attribute["Hat"]["box_iou"]


def test_attributes_with_few_samples_have_no_interval_and_are_not_in_the_mean(score: Score) -> None:
    found = score(make_people(), min_samples=10)
    assert found.mean_of == ("Hat",)
    assert math.isnan(found.per_attribute["Bag"]["box_iou"].low)
    assert not math.isnan(found.per_attribute["Bag"]["box_iou"].value)
    assert found.mean["box_iou"] == found.per_attribute["Hat"]["box_iou"]


def test_excluded_attributes_are_scored_and_not_in_the_mean(score: Score) -> None:
    found = score(make_people(), exclude_from_mean=["Hat"])
    assert found.mean_of == ("Bag",)
    assert not math.isnan(found.per_attribute["Hat"]["box_iou"].low)
    with pytest.raises(SchemaError, match="exclude_from_mean: 'Shoe' has no ground truth"):
        score(make_people(), exclude_from_mean=["Shoe"])


def test_intervals_contain_the_value_and_depend_on_the_seed_alone(score: Score) -> None:
    one, same, other = (score(make_people(), resamples=300, seed=seed) for seed in (1, 1, 2))
    for columns in (*one.per_attribute.values(), one.mean):
        for name in ("box_iou", "mask_iou", "pointing", "box_energy", "pcc"):
            assert columns[name].low <= columns[name].value <= columns[name].high
    assert repr(one.mean) == repr(same.mean)
    assert one.mean["box_iou"] != other.mean["box_iou"]
    assert one.mean["box_iou"].value == other.mean["box_iou"].value


def test_weights_equal_repeated_rows(score: Score) -> None:
    samples = score(make_people()).samples
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 4, (len(samples), 6)).astype(float)
    weights[samples.attribute == 1, 0] = 0  # an attribute that lost all its samples
    weights[samples.attribute == 1, 1] = 0
    weights[np.flatnonzero(samples.attribute == 1)[0], 1] = 3  # and one that has a single one left
    found = samples.score(weights)
    for b in range(6):
        for a in range(2):
            rows = np.repeat(np.arange(len(samples)), weights[:, b].astype(int))
            rows = rows[samples.attribute[rows] == a]
            if not len(rows):
                assert np.isnan([found[name][a, b] for name in SCORES]).all()
                continue
            for name in MEASURES:
                expected = samples.measures[name][rows].mean()
                assert found[name][a, b] == pytest.approx(expected, nan_ok=True)
            expected = compute_correlation(samples.measures["box_iou"][rows], samples.probs[rows])
            assert found["pcc"][a, b] == pytest.approx(expected, nan_ok=True)


def test_identities_are_drawn_with_all_their_pictures(score: Score) -> None:
    people = make_people(identities=True)
    people[0] = replace(people[0], identity=None)
    found = score(people)
    assert found.n_clusters == 7  # six identities and an image without one
    clusters = found.samples.clusters
    rows = found.samples.rows
    assert len(set(clusters[rows == 0])) == 1
    assert set(clusters[(rows >= 4) & (rows < 8)].tolist()) == {int(clusters[rows == 4][0])}
    assert score(make_people()).n_clusters == 24
    twins = [replace(person, identity=f"p{i // 12}") for i, person in enumerate(make_people())]
    one_of_two = score(twins, resamples=200).samples.resample(resamples=200, seed=0)["box_iou"][0]
    assert len(np.unique(one_of_two.round(9))) == 3  # both, or one of them twice


def test_correlations_that_cannot_be_measured_leave_the_mean(score: Score) -> None:
    people = [replace(p, heat={**p.heat, 1: []}) for p in make_people()]  # no bag has any heat
    found = score(people)
    assert math.isnan(found.per_attribute["Bag"]["pcc"].value)
    assert found.mean["pcc"].value == found.per_attribute["Hat"]["pcc"].value
    assert found.mean["box_iou"].value == pytest.approx(found.per_attribute["Hat"]["box_iou"].value / 2)


@pytest.mark.parametrize("options", [{"batch_size": 5}, {"batch_size": 1}, {"packed": True}])
def test_batches_and_the_cache_change_nothing(score: Score, tmp_path: Path, options: dict[str, Any]) -> None:
    if options.pop("packed", False):
        options["cache"] = tmp_path / "cache"
    plain, other = score(make_people()), score(make_people(), **options)
    assert plain.samples.rows.tolist() == other.samples.rows.tolist()
    for name in MEASURES:
        np.testing.assert_allclose(plain.samples.measures[name], other.samples.measures[name], atol=1e-6)


def test_progress_counts_the_pictures_with_samples(score: Score) -> None:
    seen: list[tuple[int, int]] = []
    score([EXACT, Drawn(), COLD, EXACT], batch_size=2, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(2, 3), (3, 3)]


# ---------------------------------------------------------------------- insertion_deletion


def test_insertion_and_deletion_are_of_the_same_samples_for_all_models(score: Score) -> None:
    people = make_people()
    found = score(people, insertion_deletion=3)
    known = np.isfinite(found.samples.measures["insertion"])
    assert [int((known & (found.samples.attribute == a)).sum()) for a in (0, 1)] == [3, 3]
    cold = score([COLD, EXACT], insertion_deletion=2).samples.measures
    assert np.isfinite(cold["insertion"]).tolist() == np.isfinite(cold["deletion"]).tolist() == [False, True]
    other = score(people, insertion_deletion=3, method="layer-cam")
    assert (np.isfinite(other.samples.measures["deletion"]) == known).all()
    measures = found.samples.measures
    assert (measures["insertion"][known] > measures["deletion"][known]).all()  # red pixels matter
    assert found.mean["insertion"].value > found.mean["deletion"].value
    certain = score(people, insertion_deletion=3, min_samples=4)
    assert certain.samples.count_known("insertion").tolist() == [3, 3]
    assert math.isnan(certain.per_attribute["Hat"]["insertion"].low)
    assert not math.isnan(certain.mean["insertion"].low)


# ---------------------------------------------------------------------- boxes of synthetic images


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = write_dataset(tmp_path_factory.mktemp("drawn") / "people", 40, seed=3)
    return table.read(folder)


class Grey(Colours):
    """A model with uniform heat maps."""

    def forward(self, images: torch.Tensor, guidance: Guidance | None = None) -> Output:
        features = self.capture(torch.ones_like(images[:, :1]))
        return Output(features.mean((2, 3)).expand(-1, len(self.schema)) + self.bias, features=features)


@pytest.mark.parametrize("resize", ["stretch", "pad"])
def test_boxes_of_synthetic_pictures(drawn: Manifest, resize: Any) -> None:
    preprocess = Preprocess(64, 64, resize=resize)
    bundle = Bundle(Grey(drawn.schema), preprocess)
    found = evaluate(bundle, drawn, partition="own", split="train", min_samples=3, resamples=20)
    assert found.protocol.truth == "boxes"
    assert set(found.exclude_from_mean) == {
        "Female",
        "AgeOver60",
        "Age18-60",
        "AgeLess18",
        "Front",
        "Side",
        "Back",
    }
    assert found.mean_of
    assert not set(found.mean_of) & set(found.exclude_from_mean)
    assert np.isnan(found.samples.measures["mask_iou"]).all()
    given = json.loads((drawn.root / "boxes.json").read_text())
    measures = found.samples.measures
    for i in range(len(found.samples)):
        image = found.samples.images[i]
        left, top, right, bottom = given[image][found.samples.attributes[found.samples.attribute[i]]]
        width, height = read_size(drawn.root / image)
        filled = 64 * 64 if resize == "stretch" else round(64 * width / height) * 64
        share = (right - left) * (bottom - top) / (width * height) * filled / 64**2
        assert measures["box_share"][i] == pytest.approx(share)
        assert measures["box_iou"][i] == pytest.approx(share)  # a uniform map
        assert measures["box_energy"][i] == pytest.approx(share, abs=0.05)


def test_synthetic_pictures_have_parsing_maps_as_well(drawn: Manifest) -> None:
    bundle = Bundle(Grey(drawn.schema), Preprocess(64, 64))
    found = evaluate(bundle, drawn, partition="own", split="train", truth="parsing", resamples=5)
    assert found.names == {"Hat": ("Hat",)}
    assert not np.isnan(found.samples.measures["mask_iou"]).any()
    with pytest.raises(ConfigError, match="one outer box per attribute"):
        evaluate(bundle, drawn, partition="own", split="train", boxes="components")


def test_a_crop_cuts_the_boxes(tmp_path: Path) -> None:
    make_manifest(tmp_path, [EXACT, EXACT])
    manifest = Manifest.create(
        "crops",
        SCHEMA,
        root=tmp_path,
        images=["0.png", "1.png"],
        labels=[[1, 1], [1, 0]],
        partitions={"own": ["test", "test"]},
        boxes=[(6.0, 0.0, 12.0, 8.0), None],
    )
    (tmp_path / "boxes.json").write_text('{"0.png": {"Hat": [4, 2, 8, 6], "Bag": [0, 0, 5, 5]}}')
    bundle = Bundle(Colours(SCHEMA), INPUT)
    found = evaluate(bundle, manifest, partition="own", resamples=5)
    assert found.counts == {"Hat": 1, "Bag": 0}  # the bag is not in the crop, 1.png is not in the file
    assert found.samples.measures["box_share"][0] == pytest.approx(8 / 48)  # 2 × 4 of 6 × 8 pixels
    assert found.samples.measures["box_iou"][0] > 0.8  # bilinear: the edge is soft


def test_without_truth(tmp_path: Path, score: Score) -> None:
    manifest = make_manifest(tmp_path, [EXACT])
    bundle = Bundle(Colours(SCHEMA), INPUT)
    with pytest.raises(ManifestError, match="does not name the classes"):
        evaluate(bundle, replace(manifest, parsing_classes=()), partition="own")
    with pytest.raises(DataError, match="no boxes at"):
        evaluate(bundle, manifest, partition="own", truth="boxes")
    bare = manifest.with_guidance(parsing=[None])
    with pytest.raises(ManifestError, match="expected parsing maps in the manifest"):
        evaluate(bundle, bare, partition="own")
    (tmp_path / "boxes.json").write_text('{"0.png": {"Hat": [1, 2, 3]}}')
    with pytest.raises(DataError, match=r"expected \{image"):
        evaluate(bundle, manifest, partition="own")


@pytest.mark.parametrize("option", ["min_area_px", "min_samples", "insertion_deletion", "resamples"])
def test_options_out_of_range(score: Score, option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        score([EXACT], **{option: -1})


def test_a_model_without_native_maps(score: Score) -> None:
    with pytest.raises(ModelError, match="map"):
        score([EXACT], method="native")


def test_unreadable_pictures(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path, [EXACT, EXACT])
    (tmp_path / "1.png").write_bytes(b"no image")
    bundle = Bundle(Colours(SCHEMA), INPUT)
    with pytest.raises(ImageError):
        evaluate(bundle, manifest, partition="own")
    found = evaluate(bundle, manifest, partition="own", on_unreadable="skip", resamples=5)
    assert found.counts["Hat"] == 1
    assert [image for image, _ in found.skipped] == ["1.png"]
    (tmp_path / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="none of the images can be read"):
        evaluate(bundle, manifest, partition="own", on_unreadable="skip")


def test_a_model_without_its_auxiliary_inputs_warns(tmp_path: Path) -> None:
    class Guided(Colours):
        guidance = ("keypoints",)
        without_guidance = "it guesses"

    bundle = Bundle(Guided(SCHEMA), INPUT)
    with pytest.warns(UserWarning, match="takes keypoints as input and got none: it guesses"):
        evaluate(bundle, make_manifest(tmp_path, [EXACT]), partition="own", resamples=5)


# ---------------------------------------------------------------------- best and worst


@pytest.mark.parametrize("options", [{}, {"batch_size": 1}, {"packed": True}])
def test_the_best_and_the_worst_are_kept(score: Score, tmp_path: Path, options: dict[str, Any]) -> None:
    if options.pop("packed", False):
        options["cache"] = tmp_path / "cache"
    found = score(make_people(), **options)
    samples, cases = found.samples, found.cases
    assert cases is not None
    assert [case.attribute for case in cases.best].count("Hat") == 2
    assert len(cases.best) == len(cases.worst) == 4
    for number, name in enumerate(("Hat", "Bag")):
        ious = np.sort(samples.measures["box_iou"][samples.attribute == number])
        assert [case.box_iou for case in cases.best if case.attribute == name] == ious[:-3:-1].tolist()
        assert [case.box_iou for case in cases.worst if case.attribute == name] == ious[:2].tolist()
    cases.check(samples, (HEIGHT, WIDTH))
    for case in (*cases.best, *cases.worst):
        pixels = np.asarray(Image.open(cases.root / case.image))[..., "HatBag".index(case.attribute) // 3]
        np.testing.assert_array_equal(case.heat > 0, pixels > 0)
        assert case.found == find_boxes(case.heat.astype(np.float32))


def test_attributes_outside_the_mean_have_no_cases(score: Score) -> None:
    few = score(make_people(), min_samples=10)
    assert {case.attribute for case in (*few.cases.best, *few.cases.worst)} == {"Hat"}
    excluded = score(make_people(), exclude_from_mean=["Hat", "Bag"])
    assert excluded.cases is not None
    assert excluded.cases.best == excluded.cases.worst == ()


def test_a_folder_contains_its_cases(score: Score, tmp_path: Path) -> None:
    found = score(make_people())
    found.write(tmp_path / "out")
    found.write(tmp_path / "results" / "x.localization.json")
    again = LocalizationScores.load(tmp_path / "out").cases
    assert again is not None
    assert repr(again.worst) == repr(found.cases.worst)
    assert again.root.resolve() == tmp_path.resolve()
    assert LocalizationScores.load(tmp_path / "out", root=tmp_path / "moved").cases.root.name == "moved"
    assert LocalizationScores.load(tmp_path / "results" / "x.localization.json").cases is None
    assert sorted(p.suffix for p in (tmp_path / "results").iterdir()) == [".json", ".parquet"]
    with pytest.raises(DataError, match="no score files"):
        load_results([tmp_path / "out"])  # nor are localisation scores
    found.write(tmp_path / "again")
    replace(found, cases=None).write(tmp_path / "again")
    assert sorted(p.name for p in (tmp_path / "again").iterdir()) == [
        "localization.json",
        "localization.parquet",
    ]
    assert LocalizationScores.load(tmp_path / "again").cases is None
    path = tmp_path / "out" / "cases" / "cases.json"
    path.write_text(path.read_text().replace('"prob": 0.', '"prob": 0.0'))
    with pytest.raises(DataError, match="do not belong together"):
        LocalizationScores.load(tmp_path / "out")


# ---------------------------------------------------------------------- files


def test_files_give_the_same_scores(score: Score, tmp_path: Path) -> None:
    found = score(make_people(identities=True), insertion_deletion=1)
    path = found.write(tmp_path / "out")
    assert path == tmp_path / "out" / "localization.json"
    for target in (path, tmp_path / "out"):
        again = LocalizationScores.load(target)
        assert repr(again.per_attribute) == repr(found.per_attribute)
        assert repr(again.mean) == repr(found.mean)
        assert again.protocol == found.protocol
        assert again.samples.identities == found.samples.identities
        assert (again.names, again.too_small, again.input_size) == (
            found.names,
            found.too_small,
            found.input_size,
        )
    values = json.loads(path.read_text())
    assert values["per_attribute"]["Hat"]["box_iou"]["value"] == found.per_attribute["Hat"]["box_iou"].value
    assert values["mean_of_paper"] is None
    named = found.write(tmp_path / "results" / "x.localization.json")
    assert named.with_suffix(".parquet").is_file()
    with pytest.raises(DataError, match="no score files"):
        load_results([tmp_path / "results"])  # they are not attribute scores
    with pytest.raises(ConfigError, match=r"ends in localization\.json"):
        found.write(tmp_path / "x.json")


def test_files_that_do_not_belong_together(score: Score, tmp_path: Path) -> None:
    path = score(make_people()).write(tmp_path / "out")
    values = json.loads(path.read_text())
    values["per_attribute"]["Hat"]["box_iou"]["value"] += 0.1
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match="do not belong together"):
        LocalizationScores.load(path)
    path.write_text("{}")
    with pytest.raises(DataError, match="not a complete localisation score"):
        LocalizationScores.load(path)
    score(make_people()).write(tmp_path / "out")
    path.with_suffix(".parquet").unlink()
    with pytest.raises(DataError, match="run it again"):
        LocalizationScores.load(path)
