"""Masks and keypoints found during prediction: resized to the input, missing ones noted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from passerby.annotators.base import Kind, Sample
from passerby.annotators.from_files import FromFiles
from passerby.bundle import Bundle
from passerby.errors import ConfigError, DataError
from passerby.explain.attention_maps import compute_maps
from passerby.inference.auxiliary import AuxiliaryInputs
from passerby.inference.predictor import Predictor
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Guidance, Preprocess

SCHEMA = AttributeSchema(
    "toy", (Attribute("Hat", "wears a hat", task="head"), Attribute("Bag", "carries a bag", task="accessory"))
)
PAD = Preprocess(64, 64, resize="pad")


class Fake:
    """Returns given annotations, one after the other."""

    name = "fake"
    classes = ("background", "person")

    def __init__(
        self, kind: Kind, answers: Sequence[NDArray[Any] | None], *, needs: tuple[Kind, ...] = ()
    ) -> None:
        self.kind: Kind = kind
        self.answers = answers
        self.needs = needs
        self.seen: list[Sample] = []

    def describe(self) -> Mapping[str, Any]:
        return {"method": self.name}

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        self.seen += samples
        return list(self.answers[: len(samples)])


def half_masks() -> list[NDArray[Any] | None]:
    """The left half of a 20 × 40 image, and nothing."""
    mask = np.zeros((40, 20), np.uint8)
    mask[:, :10] = 1
    return [mask, None]


def pictures() -> list[Image.Image]:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 20, 3), np.uint8)
    return [Image.fromarray(each) for each in pixels]


def make(name: str = "man", **arguments: Any) -> Bundle:
    torch.manual_seed(0)
    model = create_model(name, schema=SCHEMA, backbone="test_resnet", **arguments)
    return Bundle(model, PAD)


def test_masks_and_keypoints_have_the_size_of_the_input() -> None:
    points = np.tile(np.float32([9.5, 19.5, 0.8]), (17, 1))  # the middle of the image
    auxiliary = AuxiliaryInputs([Fake("masks", half_masks()), Fake("keypoints", [points, None])])
    found = auxiliary.find(pictures(), ["a.jpg", "b.jpg"], PAD)
    guidance, missing = found.guidance, found.missing
    assert guidance.masks is not None
    assert guidance.keypoints is not None
    assert guidance.masks.shape == (2, 1, 64, 64)
    assert guidance.masks.dtype == torch.float32
    expected = torch.zeros(64, 64)
    expected[:, 16:32] = 1  # 20 × 40 becomes 32 × 64, between two empty strips of 16
    assert torch.equal(guidance.masks[0, 0], expected)
    assert guidance.masks[1].sum() == 0
    assert guidance.keypoints[0, 0].tolist() == pytest.approx([31.5, 31.5, 0.8])
    assert guidance.keypoints[1].isnan().all()
    assert missing == [(), ("masks", "keypoints")]


def test_parsing_maps_and_unknown_classes() -> None:
    classes = np.full((40, 20), 7, np.uint8)
    found = AuxiliaryInputs([Fake("parsing", [classes, None])]).find(
        pictures(), ["a", "b"], PAD, wanted=("masks",)
    )
    guidance, missing = found.guidance, found.missing
    assert guidance.parsing is not None
    assert guidance.parsing.dtype == torch.int64
    assert guidance.parsing[0, 5].tolist() == [0] * 16 + [7] * 32 + [0] * 16
    assert (guidance.parsing[1] == 255).all()
    assert missing == [("masks",), ("masks", "parsing")]


def test_an_annotator_gets_the_results_of_another() -> None:
    first = Fake("masks", half_masks())
    second = Fake("parsing", [np.zeros((40, 20), np.uint8)] * 2, needs=("masks",))
    AuxiliaryInputs([first, second]).find(pictures(), ["a", "b"], PAD)
    assert [sample.mask is None for sample in second.seen] == [False, True]
    assert [sample.source for sample in first.seen] == ["a", "b"]


def test_annotators_are_ordered_by_need_and_unmet_needs_are_refused() -> None:
    needy = Fake("parsing", [], needs=("masks",))
    assert AuxiliaryInputs([needy, Fake("masks", [])]).kinds == ("masks", "parsing")
    with pytest.raises(ConfigError, match=r"parsing by 'fake' need masks, which are not available"):
        AuxiliaryInputs([needy])
    with pytest.raises(ConfigError, match=r"one annotator for masks, got 2"):
        AuxiliaryInputs([Fake("masks", []), Fake("masks", [])])


def test_predictions_use_the_mask_and_note_its_absence() -> None:
    bundle = make()
    images = pictures()
    plain = Predictor(bundle)(images).predictions
    note = "no usable masks: the entire image counts as the person"
    assert [p.notes for p in plain] == [(note,)] * 2
    guided = Predictor(bundle, auxiliary=AuxiliaryInputs([Fake("masks", half_masks())]))(images).predictions
    assert [p.notes for p in guided] == [(), (note,)]
    assert guided[1].probabilities == pytest.approx(plain[1].probabilities, abs=1e-6)
    inputs = torch.stack([bundle.prepare(image) for image in images])
    masks = torch.zeros(2, 1, 64, 64)
    masks[0, :, :, 16:32] = 1
    expected = bundle.predict_batch(inputs, Guidance(masks=masks))
    assert guided[0].probabilities == pytest.approx(expected[0].tolist(), abs=1e-6)
    assert guided[0].probabilities != pytest.approx(plain[0].probabilities, abs=1e-6)


def test_single_predictions_note_it_and_models_without_auxiliary_inputs_never() -> None:
    assert make()(pictures()[0]).notes == ("no usable masks: the entire image counts as the person",)
    assert make("baseline")(pictures()[0]).notes == ()
    assert make(masked=False)(pictures()[0]).notes == ()


def test_flip_is_refused_with_auxiliary_inputs() -> None:
    with pytest.raises(DataError, match="leave flip out"):
        Predictor(make(), tta=["flip"], auxiliary=AuxiliaryInputs([Fake("masks", half_masks())]))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.99, 1.0])
def test_an_implausible_mask_counts_as_missing(share: float) -> None:
    mask = np.zeros(800, np.uint8)
    mask[: round(share * 800)] = 1
    found = AuxiliaryInputs([Fake("masks", [mask.reshape(40, 20)])]).find(pictures()[:1], ["a"], PAD)
    assert found.missing == [("masks",)]
    assert found.guidance.masks is not None
    assert found.guidance.masks.sum() == 0


def test_a_bad_file_affects_its_picture_only(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for name, size in (("one", (20, 40)), ("two", (7, 7))):
        mask = Image.new("L", size, 0)
        mask.paste(255, (0, 0, 5, 5))
        mask.save(folder / f"{name}.png")
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    for path, image in zip(paths, pictures(), strict=True):
        image.save(path)
    result = Predictor(make(), auxiliary=AuxiliaryInputs([FromFiles("masks", folder)]))(paths)
    assert [p.source for p in result.predictions] == [str(paths[0])]
    assert result.predictions[0].notes == ()
    assert [s.source for s in result.skipped] == [str(paths[1])]
    assert "expected 40 × 20" in result.skipped[0].reason


def test_maps_after_masking() -> None:
    bundle = make(stride=8)
    found = compute_maps(bundle, pictures()[0], auxiliary=AuxiliaryInputs([Fake("masks", half_masks())]))
    assert found.notes == ()
    assert compute_maps(bundle, pictures()[0]).notes == (
        "no usable masks: the entire image counts as the person",
    )
    maps = found.maps
    assert list(maps) == ["mask", "before", "after", "task"]
    kept = np.zeros((8, 8), bool)
    kept[:, 2:4] = True
    assert np.array_equal(maps["after"][0], np.where(kept, maps["before"][0], 0))
    assert (maps["task"][:, ~kept] == 0).all()


def test_files_are_found_by_the_name_of_the_picture(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 20), 255, np.uint8)).save(tmp_path / "anna.png")
    points = [1.0, 2.0, 0.5] * 17
    entries = [{"image": "images/anna.jpg", "keypoints": points}]
    (tmp_path / "keypoints_coco17.json").write_text(json.dumps(entries))
    samples = [Sample(image, source=s) for image, s in zip(pictures(), ("x/anna.jpg", "bo.jpg"), strict=True)]
    first, second = FromFiles("masks", tmp_path).annotate(samples)
    assert first is not None
    assert first.tolist() == [[1] * 20] * 40
    assert second is None
    first, second = FromFiles("keypoints", tmp_path).annotate(samples)
    assert first is not None
    assert first.tolist() == [[1.0, 2.0, 0.5]] * 17
    assert second is None
    again = Sample(pictures()[0], source="y/anna.jpg")
    for kind in ("masks", "keypoints"):
        ready = FromFiles(kind, tmp_path)
        ready.annotate(samples)
        with pytest.raises(DataError, match=r"got x/anna.jpg and y/anna.jpg; rename them"):
            ready.annotate([again])
    entries.append({"image": "other/anna.jpg", "keypoints": points})
    (tmp_path / "keypoints_coco17.json").write_text(json.dumps(entries))
    with pytest.raises(DataError, match=r"named 'anna' in .*, got 2 entries"):
        FromFiles("keypoints", tmp_path).annotate(samples)
    wide = Sample(Image.new("RGB", (30, 40)), source="anna.jpg")
    with pytest.raises(DataError, match=r"anna.png: expected 40 × 30 .*the size of anna.jpg, got 40 × 20"):
        FromFiles("masks", tmp_path).annotate([wide])
    (tmp_path / "empty").mkdir()
    for kind in ("masks", "parsing", "keypoints"):
        with pytest.raises(ConfigError, match="found none; give another folder"):
            FromFiles(kind, tmp_path / "empty")
