"""Evaluation of a bundle on one split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from passerby.bundle import Bundle
from passerby.data.label_map import LabelMap
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError, ImageError, ManifestError, SchemaError
from passerby.evaluation import evaluate
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.loading import Loading
from passerby.images.decode import read_image
from passerby.images.placement import resize_image
from passerby.inference.predictor import Predictor
from passerby.models.base import AttributeModel
from passerby.parsing import COARSE_CLASSES, MASK_CLASSES
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Guidance, Output, Preprocess


class MeanColour(AttributeModel):
    """The logit of attribute a is the mean of the a-th pixel row."""

    def __init__(self, schema: AttributeSchema) -> None:
        super().__init__(schema)
        self.name, self.arguments = "mean-colour", {"backbone": "none"}
        self.bias = torch.nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        rows = images.mean(dim=(1, 3))  # (N, H)
        return Output(rows[:, : len(self.schema)] + self.bias)


@pytest.fixture
def bundle(schema: AttributeSchema) -> Bundle:
    return Bundle(MeanColour(schema), Preprocess(32, 16), (), {"seed": 1, "selection": "best mA on val"})


def test_predictions_are_those_of_the_bundle(bundle: Bundle, manifest: Manifest) -> None:
    evaluation = evaluate(bundle, manifest, partition="official", split="test", loading=Loading(batch_size=7))
    assert len(evaluation) == 20
    assert evaluation.images == manifest.select_split("official", "test").images
    np.testing.assert_array_equal(evaluation.rows, np.arange(40, 60))
    for i in (0, 1, 19):  # 1 and 19 have a box
        row = int(evaluation.rows[i])
        pixels = resize_image(
            read_image(manifest.root / manifest.images[row]), bundle.preprocess, manifest.boxes()[row]
        )
        batch = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
        np.testing.assert_allclose(evaluation.probs[i], bundle.predict_batch(batch)[0].numpy(), atol=1e-6)
    assert evaluation.input_size == (32, 16)
    assert evaluation.metadata["model"] == "mean-colour"
    assert evaluation.skipped == []


def test_a_label_map_scores_the_mapped_attributes(bundle: Bundle, manifest: Manifest) -> None:
    names = bundle.schema.names
    own = evaluate(bundle, manifest, partition="official", split="test")
    schema = AttributeSchema("other", tuple(Attribute(f"x{i}", "is there") for i in range(len(names))))
    other = Bundle(MeanColour(schema), bundle.preprocess, (), {"dataset": "elsewhere"})
    label_map = LabelMap.create({names[1]: "not x0", names[0]: ["x1", "x2"]}, title="x")
    shared = evaluate(other, manifest, partition="official", split="test", label_map=label_map)
    assert shared.schema.names == (names[0], names[1])
    want = np.stack([own.probs[:, 1:3].max(axis=1), 1 - own.probs[:, 0]], axis=1)
    np.testing.assert_allclose(shared.probs, want, atol=1e-6)
    np.testing.assert_array_equal(shared.labels, own.labels[:, [0, 1]])
    assert shared.thresholds == (0.5, 0.5)
    assert shared.metadata["label_map"] == "x"
    facts = {
        "backbone": "none",
        "variant": "v",
        "pretraining": "none",
        "seed": 0,
        "epochs": 1,
        "device": "cpu",
    }
    assert shared.to_result(**facts, seconds=1.0).protocol["source"] == "trained on elsewhere"
    assert "source" not in own.to_result(**facts, seconds=1.0).protocol
    with pytest.raises(SchemaError, match=r"\(--label-map, label_map=…\)"):
        evaluate(other, manifest, partition="official", split="test")


class Recited(MeanColour):
    """Probabilities of two attributes that repeat with the samples."""

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        probs = torch.tensor([[0.25, 0.5], [0.1, 0.9], [0.1, 0.7], [0.15, 0.6], [0.9, 0.1]])
        return Output(torch.logit(probs).repeat(len(images) // 5, 1) + self.bias)


def test_any_of_several_attributes_is_decided_by_the_threshold_of_each(manifest: Manifest) -> None:
    schema = AttributeSchema("other", (Attribute("cap", "wears a cap"), Attribute("helmet", "has a helmet")))
    bundle = Bundle(Recited(schema), Preprocess(32, 16), (0.2, 0.75))
    label_map = LabelMap.create({"Hat": ["cap", "helmet"]})
    evaluation = evaluate(bundle, manifest, partition="official", label_map=label_map)
    # The largest probability would be wrong with 0.2 (third, fourth), 0.75 (first) and their mean (both).
    expected = np.array([True, True, False, False, True] * 4)
    assert evaluation.decisions[:, 0].tolist() == expected.tolist()
    labels = evaluation.labels[:, 0]
    scores = evaluation.metrics()["per_attribute"]["Hat"]
    assert scores["tpr"] == pytest.approx(expected[labels == 1].mean())
    assert scores["tnr"] == pytest.approx((~expected)[labels == 0].mean())
    for protocol, third in (("threshold-0.5", True), ("threshold-0.75", False)):
        fixed = evaluate(bundle, manifest, partition="official", label_map=label_map, protocol=protocol)
        assert fixed.decisions[:3, 0].tolist() == [False, True, third]


class FirstKeypoint(MeanColour):
    """The logits are the position of the first keypoint; the middle without keypoints."""

    guidance = ("keypoints",)
    without_guidance = "the middle takes their place"

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        width = images.shape[3]
        if guidance is None or guidance.keypoints is None:
            x = torch.full((len(images), 1), width / 2)
        else:
            x = guidance.keypoints[:, 0, :1]
        return Output((x / width).expand(-1, len(self.schema)) + self.bias)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("batch_size", [7, 64])
def test_keypoints_are_input_of_a_model(
    manifest: Manifest, schema: AttributeSchema, tmp_path: Path, packed: bool, batch_size: int
) -> None:
    places = np.random.default_rng(0).uniform(1, 20, (len(manifest), 17, 3)).astype(np.float32)
    given = Manifest.create(
        manifest.dataset,
        manifest.schema,
        root=manifest.root,
        images=manifest.images,
        labels=manifest.labels,
        partitions={"official": ["train"] * 30 + ["test"] * (len(manifest) - 30)},
        keypoints=[row.tolist() for row in places.reshape(len(manifest), 51)],
    )
    bundle = Bundle(FirstKeypoint(schema), Preprocess(32, 16), ())
    cache = tmp_path / "cache" if packed else None
    evaluation = evaluate(
        bundle, given, partition="official", loading=Loading(batch_size=batch_size, cache=cache)
    )
    assert evaluation.rows.tolist() == list(range(30, len(manifest)))
    for row, probs in zip(evaluation.rows, evaluation.probs, strict=True):
        picture = read_image(given.root / given.images[row])
        x = (places[row, 0, 0] + 0.5) * 16 / picture.width - 0.5  # stretched to a width of 16 pixels
        assert probs[0] == pytest.approx(1 / (1 + np.exp(-x / 16)), abs=1e-5)


def test_missing_keypoints_are_warned_of(manifest: Manifest, schema: AttributeSchema) -> None:
    bundle = Bundle(FirstKeypoint(schema), Preprocess(32, 16), ())
    with pytest.warns(
        UserWarning, match=r"takes keypoints as input and got none: the middle takes their place"
    ):
        evaluation = evaluate(bundle, manifest, partition="official")
    assert evaluation.probs[0, 0] == pytest.approx(1 / (1 + np.exp(-0.5)), abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_batch_size_changes_nothing(bundle: Bundle, manifest: Manifest, batch_size: int) -> None:
    one = evaluate(bundle, manifest, partition="official", loading=Loading(batch_size=20))
    other = evaluate(
        bundle, manifest, partition="official", loading=Loading(batch_size=batch_size, workers=3)
    )
    np.testing.assert_allclose(one.probs, other.probs, atol=1e-6)
    assert one.images == other.images


def test_the_packed_cache_changes_nothing(bundle: Bundle, manifest: Manifest, tmp_path: Path) -> None:
    plain = evaluate(bundle, manifest, partition="official", split="val")
    packed = evaluate(
        bundle, manifest, partition="official", split="val", loading=Loading(cache=tmp_path, batch_size=6)
    )
    np.testing.assert_array_equal(plain.probs, packed.probs)
    assert plain.metrics() == packed.metrics()


def test_thresholds_of_the_bundle_and_of_the_protocol(bundle: Bundle, manifest: Manifest) -> None:
    own = (0.1, 0.2, 0.3, 0.4, 0.6)
    bundle = Bundle(bundle.model, bundle.preprocess, own)
    assert evaluate(bundle, manifest, partition="official").thresholds == own
    fixed = evaluate(bundle, manifest, partition="official", protocol="threshold-0.5")
    assert fixed.thresholds == (0.5,) * 5


def test_attributes_of_the_bundle_are_taken_from_a_larger_manifest(
    bundle: Bundle, manifest: Manifest, schema: AttributeSchema
) -> None:
    two = Bundle(MeanColour(schema.select(["Skirt", "Hat"])), bundle.preprocess)
    evaluation = evaluate(two, manifest, partition="official")
    np.testing.assert_array_equal(
        evaluation.labels, manifest.select_split("official", "test").labels[:, [2, 0]]
    )
    stranger = AttributeSchema("x", (Attribute("Hat", "wears a hat"), Attribute("Beard", "has a beard")))
    with pytest.raises(SchemaError, match="Beard"):
        evaluate(Bundle(MeanColour(stranger), bundle.preprocess), manifest, partition="official")


@pytest.fixture
def unreadable(manifest: Manifest, tmp_path: Path) -> Manifest:
    """The same people, the second of the test split damaged."""
    for image in manifest.images:
        target = tmp_path / "copy" / image
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((manifest.root / image).read_bytes())
    (tmp_path / "copy" / manifest.images[41]).write_bytes(b"not an image")
    return replace(manifest, root=tmp_path / "copy")


def test_an_unreadable_picture_raises_its_name(bundle: Bundle, unreadable: Manifest) -> None:
    with pytest.raises(ImageError, match=r"041\.png"):
        evaluate(bundle, unreadable, partition="official", loading=Loading(batch_size=4))


@pytest.mark.parametrize("packed", [False, True])
def test_an_unreadable_picture_is_skipped_on_demand(
    bundle: Bundle, unreadable: Manifest, tmp_path: Path, packed: bool
) -> None:
    cache = tmp_path / "cache" if packed else None
    loading = Loading(on_unreadable="skip", batch_size=1, cache=cache)
    evaluation = evaluate(bundle, unreadable, partition="official", loading=loading)
    assert [image for image, _ in evaluation.skipped] == ["images/041.png"]
    assert len(evaluation) == 19
    assert 41 not in evaluation.rows
    assert evaluate(bundle, unreadable, partition="official", split="val", loading=loading).skipped == []


def test_no_readable_picture_is_an_error(bundle: Bundle, manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the 20 images"):
        evaluate(
            bundle,
            replace(manifest, root=tmp_path),
            partition="official",
            loading=Loading(on_unreadable="skip"),
        )


def test_wrong_names_are_refused(bundle: Bundle, manifest: Manifest) -> None:
    with pytest.raises(ManifestError, match="official"):
        evaluate(bundle, manifest, partition="oficial")
    with pytest.raises(ConfigError, match="no protocol"):
        evaluate(bundle, manifest, partition="official", protocol="best")
    with pytest.raises(ConfigError, match=r"expected tta=\('five-crops',\) or none"):
        evaluate(bundle, manifest, partition="official", tta=["flip"])


def test_progress_counts_up_to_all(bundle: Bundle, manifest: Manifest) -> None:
    seen: list[tuple[int, int]] = []
    loading = Loading(batch_size=8, progress=lambda *n: seen.append(n))
    evaluate(bundle, manifest, partition="official", loading=loading)
    assert seen == [(8, 20), (16, 20), (20, 20)]


@pytest.mark.parametrize("packed", [False, True])
def test_five_crops_are_averaged_and_recorded(
    bundle: Bundle, manifest: Manifest, tmp_path: Path, packed: bool
) -> None:
    whole = evaluate(bundle, manifest, partition="official")
    cache = tmp_path / "cache" if packed else None
    five = evaluate(
        bundle,
        manifest,
        partition="official",
        tta=["five-crops"],
        loading=Loading(cache=cache, batch_size=7),
    )
    assert (whole.five_crops, five.five_crops) == (False, True)
    pictures = [
        resize_image(read_image(manifest.root / image), bundle.preprocess, box)
        for image, box in zip(five.images, five.boxes, strict=True)
    ]
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    expected = Predictor(bundle, tta=["five-crops"]).predict_batch(images)
    np.testing.assert_allclose(five.probs, expected.numpy(), atol=1e-6)
    assert np.abs(five.probs - whole.probs).max() > 1e-4
    assert five.input_size == (32, 16)


class Halves(MeanColour):
    """Parses every image into an upper and a lower half at stage 2; at stage 1 all is background."""

    parsing_classes = COARSE_CLASSES

    def parse(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        output = self(images, guidance)
        numbers = torch.zeros(len(images), *images.shape[2:], dtype=torch.int64)
        first = torch.nn.functional.one_hot(numbers, 6).permute(0, 3, 1, 2).float()
        numbers[:, : images.shape[2] // 2], numbers[:, images.shape[2] // 2 :] = 2, 3
        second = torch.nn.functional.one_hot(numbers, 6).permute(0, 3, 1, 2).float()
        return replace(output, parsing={"stage1": first, "stage2": second})


def with_maps(manifest: Manifest, classes: tuple[str, ...]) -> Manifest:
    """Of every other person without a box a map of three quarters upper and one quarter lower."""
    paths: list[str | None] = []
    for i, (image, box) in enumerate(zip(manifest.images, manifest.boxes(), strict=True)):
        paths.append(f"parsing/{i}.png" if i % 4 and box is None else None)
        if paths[-1] is not None:
            width, height = read_image(manifest.root / image).size
            values = np.full((height, width), 2, np.uint8)
            values[round(height * 0.75) :] = 3
            (manifest.root / "parsing").mkdir(exist_ok=True)
            Image.fromarray(values).save(manifest.root / paths[-1])
    return manifest.with_guidance(parsing=paths, parsing_classes=classes)


def test_parsing_maps_are_scored_with_ground_truth(
    manifest: Manifest, schema: AttributeSchema, tmp_path: Path
) -> None:
    bundle = Bundle(Halves(schema), Preprocess(32, 16))
    assert not evaluate(bundle, manifest, partition="official").parsing
    assert not evaluate(bundle, with_maps(manifest, ("a", "b", "c", "d")), partition="official").parsing
    manifest = with_maps(manifest, COARSE_CLASSES[:5])  # nothing carried: the numbers agree
    evaluation = evaluate(bundle, manifest, partition="official")
    iou = evaluation.parsing["stage2"].iou
    assert iou["upper"] == pytest.approx(0.5 / 0.75, abs=0.02)
    assert iou["lower"] == pytest.approx(0.25 / 0.5, abs=0.02)
    assert np.isnan(iou["head"])
    assert evaluation.parsing["stage2"].mean_iou == pytest.approx((iou["upper"] + iou["lower"]) / 2)
    assert evaluation.parsing["stage1"].mean_iou == 0
    plain = evaluate(bundle, replace(manifest, parsing_classes=()), partition="official")
    np.testing.assert_array_equal(evaluation.probs, plain.probs)
    evaluation.write(tmp_path / "out")
    again = Evaluation.load(tmp_path / "out")
    assert again.metrics() == evaluation.metrics()
    assert again.metrics()["parsing"]["stage2"]["IoU"]["head"] is None
    five = evaluate(bundle, manifest, partition="official", tta=["five-crops"])
    assert five.metrics()["parsing"] == evaluation.metrics()["parsing"]  # of the whole image
    assert not np.array_equal(five.probs, evaluation.probs)


class HalfMask(MeanColour):
    """Predicts the upper half as the person."""

    parsing_classes = MASK_CLASSES

    def parse(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        output = self(images, guidance)
        logits = torch.zeros(len(images), 2, *images.shape[2:])
        logits[:, 1, : images.shape[2] // 2] = 1
        logits[:, 0, images.shape[2] // 2 :] = 1
        return replace(output, parsing={"mask": logits})


def test_masks_are_scored_by_the_person_class(schema: AttributeSchema, manifest: Manifest) -> None:
    """A quarter of the images has a mask of the upper quarter, another of the upper half, the rest none."""
    bundle = Bundle(HalfMask(schema), Preprocess(32, 16), (), {"seed": 1})
    assert not evaluate(bundle, manifest, partition="official").parsing
    masks: list[str | None] = []
    (manifest.root / "halves").mkdir(exist_ok=True)
    for i, box in enumerate(manifest.boxes()):
        whole = np.zeros((96, 48), np.uint8)
        whole[: (96 if box is None else 90) // (4 if i % 4 == 0 else 2)] = 255
        Image.fromarray(whole).save(manifest.root / "halves" / f"{i}.png")
        masks.append(f"halves/{i}.png" if i % 4 < 2 else None)
    scores = evaluate(bundle, manifest.with_guidance(masks=masks), partition="official").parsing["mask"]
    # 5 images have a quarter, 5 a half of the person; the answer is always a half.
    assert scores.iou["person"] == pytest.approx((5 / 4 + 5 / 2) / (10 / 2), abs=0.02)
    assert scores.iou["background"] == pytest.approx((10 / 2) / (5 * 3 / 4 + 5 / 2), abs=0.02)
    assert scores.score == scores.iou["person"]
