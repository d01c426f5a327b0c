from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from passerby.annotators.from_files import FromFiles
from passerby.bundle import Bundle
from passerby.errors import ConfigError, DataError
from passerby.inference.auxiliary import AuxiliaryInputs
from passerby.inference.batches import Skipped
from passerby.inference.predictor import Predictor
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Box, Prediction, Preprocess


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.manual_seed(4)
    schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "carries a bag")))
    model = create_model("baseline", schema=schema, backbone="test_resnet")
    with torch.no_grad():
        model.classifier.weight.mul_(20)  # type: ignore[operator, union-attr]  # so that images differ clearly
    return Bundle(model, Preprocess(64, 48))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(7):
        pixels = (rng.random((10 * i + 20, 30, 3)) * 30 + rng.random(3) * 220).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return sorted(folder.iterdir())


def by_one(bundle: Bundle, photos: list[Path]) -> list[Prediction]:
    return [bundle(path) for path in photos]


def assert_same(given: list[Prediction], expected: list[Prediction]) -> None:
    assert [p.source for p in given] == [p.source for p in expected]
    for a, b in zip(given, expected, strict=True):
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-5)


def test_predictions_for_the_photos_differ(bundle: Bundle, photos: list[Path]) -> None:
    assert len({round(p["Hat"], 4) for p in by_one(bundle, photos)}) == len(photos)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 50])
def test_batches_and_threads_change_nothing(
    bundle: Bundle, photos: list[Path], batch_size: int, threads: int
) -> None:
    result = Predictor(bundle, batch_size=batch_size, threads=threads)(photos)
    assert_same(list(result), by_one(bundle, photos))
    assert len(result) == len(photos)
    assert result.skipped == ()


def test_unreadable_pictures_are_reported_and_the_others_stay_in_order(
    bundle: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    empty, text, cut = tmp_path / "empty.jpg", tmp_path / "text.png", tmp_path / "cut.png"
    empty.write_bytes(b"")
    text.write_text("no image")
    cut.write_bytes(photos[6].read_bytes()[:2000])
    mixed = [empty, *photos[:3], text, *photos[3:], cut, tmp_path / "gone.jpg"]
    predictor = Predictor(bundle, batch_size=2, threads=2)
    result = predictor(mixed)
    assert_same(list(result), by_one(bundle, photos))
    assert [s.source for s in result.skipped] == [str(p) for p in (empty, text, cut, tmp_path / "gone.jpg")]
    assert all(s.source in s.reason for s in result.skipped)
    order = [item.source for item in predictor.stream(mixed)]
    assert order == [str(p) for p in mixed]


def test_nothing_readable(bundle: Bundle, tmp_path: Path) -> None:
    result = Predictor(bundle)([tmp_path / "a.jpg", tmp_path / "b.jpg"])
    assert result.predictions == ()
    assert len(result.skipped) == 2


def test_no_pictures(bundle: Bundle) -> None:
    assert len(Predictor(bundle)([])) == 0


def test_pictures_in_memory(bundle: Bundle, photos: list[Path]) -> None:
    pictures = [np.asarray(Image.open(p)) for p in photos]
    given = list(Predictor(bundle)(pictures))
    assert {p.source for p in given} == {"<image>"}
    assert [p.probabilities for p in given] == [
        pytest.approx(p.probabilities, abs=1e-5) for p in by_one(bundle, photos)
    ]


def test_flip_averages_with_the_mirror_image(bundle: Bundle, photos: list[Path]) -> None:
    plain = by_one(bundle, photos)
    mirrored = [bundle(np.asarray(bundle.prepare(p).permute(1, 2, 0))[:, ::-1]) for p in photos]
    given = list(Predictor(bundle, tta=["flip"])(photos))
    for one, a, b in zip(given, plain, mirrored, strict=True):
        mean = [(x + y) / 2 for x, y in zip(a.probabilities, b.probabilities, strict=True)]
        assert one.probabilities == pytest.approx(mean, abs=1e-5)
        assert one.probabilities != pytest.approx(a.probabilities, abs=1e-5)


def test_boxes_give_one_result_each(bundle: Bundle, photos: list[Path]) -> None:
    boxes = [(0, 0, 20, 30), Box(5.5, 2, 90, 60), None, (100, 100, 120, 130)]
    images = [photos[6], photos[6], photos[6], photos[5]]
    result = Predictor(bundle, batch_size=3)(images, boxes=boxes)
    expected = [*bundle(photos[6], boxes=boxes[:2]), bundle(photos[6])]
    assert_same(list(result), expected)
    assert [p.box for p in result] == [Box(0, 0, 20, 30), Box(5.5, 2, 90, 60), None]
    assert [s.source for s in result.skipped] == [str(photos[5])]
    assert "overlaps the image of 30 × 70 pixels" in result.skipped[0].reason


def test_boxes_refuse_masks_from_files(bundle: Bundle, photos: list[Path]) -> None:
    masks = AuxiliaryInputs([FromFiles("masks", photos[0].parent)])
    with pytest.raises(ConfigError, match="expected masks from a network for boxes in images"):
        Predictor(bundle, auxiliary=masks).stream(photos[:1], boxes=[(0, 0, 20, 30)])


def test_progress_counts_every_picture(bundle: Bundle, photos: list[Path], tmp_path: Path) -> None:
    seen: list[int] = []
    Predictor(bundle, batch_size=3)([*photos, tmp_path / "gone.jpg"], progress=seen.append)
    assert seen == list(range(1, len(photos) + 2))


def test_pictures_are_taken_as_needed(bundle: Bundle, photos: list[Path]) -> None:
    asked = 0

    def endless() -> Iterator[Path]:
        nonlocal asked
        while True:
            asked += 1
            yield photos[0]

    stream = Predictor(bundle, batch_size=4, threads=2).stream(endless())
    for _ in range(20):
        assert isinstance(next(stream), Prediction)
    assert asked <= 20 + 2 * 4
    stream.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("passerby-decode")]


def test_other_errors_end_the_stream(
    bundle: Bundle, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> np.ndarray:
        raise MemoryError("no memory left")

    monkeypatch.setattr("passerby.inference.batches.resize_image", fail)
    with pytest.raises(MemoryError):
        Predictor(bundle)(photos)
    assert not [t for t in threading.enumerate() if t.name.startswith("passerby-decode")]


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"threads": 0}])
def test_counts_below_one(bundle: Bundle, wrong: dict[str, int]) -> None:
    with pytest.raises(DataError, match="of at least 1, got 0"):
        Predictor(bundle, **wrong)


def test_skipped_has_a_reason(bundle: Bundle, tmp_path: Path) -> None:
    (item,) = Predictor(bundle).stream([tmp_path / "gone.jpg"])
    assert isinstance(item, Skipped)
    assert "does not exist" in item.reason
