"""Images in batches: order, boxes, unreadable images, and how far the threads read ahead."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from passerby.bundle import Picture, open_picture
from passerby.errors import DataError, ImageError
from passerby.images import limits
from passerby.images.decode import read_image
from passerby.images.placement import resize_image
from passerby.inference.batches import Skipped, load_batches, load_picture
from passerby.types import Box, Preprocess

SIZE = Preprocess(16, 12)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Five images, the third and the fifth unreadable."""
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{i}.png" for i in range(5)]
    for i in (0, 1, 3):
        Image.fromarray(rng.integers(0, 256, (20 + i, 10 + i, 3), np.uint8)).save(files[i])
    files[2].write_text("no image")
    return files


def test_batches_keep_the_order_and_report_unreadable_pictures(paths: list[Path]) -> None:
    one, two, three = load_batches(paths, SIZE, batch_size=2, threads=3)
    assert (one.indices, two.indices, three.indices) == ((0, 1), (3,), ())
    assert one.sources == (str(paths[0]), str(paths[1]))
    assert list(two.skipped) == [2]
    assert "4.png" in three.skipped[4].reason
    assert three.inputs.shape == (0, 3, 16, 12)
    for batch, row, index in ((one, 0, 0), (one, 1, 1), (two, 0, 3)):
        expected = resize_image(read_image(paths[index]), SIZE).transpose(2, 0, 1)
        assert np.array_equal(batch.inputs[row].numpy(), expected)
    assert one.inputs.dtype == torch.uint8
    assert one.inputs.is_contiguous()
    assert one.originals == ()


def test_results_are_merged_with_unreadable_pictures(paths: list[Path]) -> None:
    (batch,) = load_batches(paths, SIZE, batch_size=9)
    merged = list(batch.merge("abc"))
    assert [item if isinstance(item, str) else Path(item.source).stem for item in merged] == [*"ab2c4"]
    assert isinstance(merged[2], Skipped)


def test_boxes_are_cut_out_and_originals_kept(paths: list[Path]) -> None:
    box = (1.5, 2.0, 8.0, 14.0)
    (batch,) = load_batches(paths[:2], SIZE, boxes=[None, box], batch_size=2, keep_originals=True)
    whole, cut = (read_image(path) for path in paths[:2])
    assert np.array_equal(batch.inputs[0].numpy(), resize_image(whole, SIZE).transpose(2, 0, 1))
    assert np.array_equal(batch.inputs[1].numpy(), resize_image(cut, SIZE, box).transpose(2, 0, 1))
    assert batch.boxes == (None, Box(*box))
    assert [image.size for image in batch.originals] == [(10, 20), (7, 12)]
    assert batch.originals[1].tobytes() == cut.crop((1, 2, 8, 14)).tobytes()


def test_a_box_outside_of_the_picture_counts_as_unreadable(paths: list[Path]) -> None:
    boxes = [(50.0, 50.0, 60.0, 60.0), None]
    (batch,) = load_batches(paths[:2], SIZE, boxes=boxes, batch_size=2)
    assert (batch.indices, list(batch.skipped)) == ((1,), [0])
    assert batch.skipped[0].reason.startswith(f"{paths[0]}: box outside the image: expected a box that")
    with pytest.raises(DataError, match=r"0\.png: box outside the image"):
        list(load_batches(paths[:2], SIZE, boxes=boxes, batch_size=2, on_unreadable="raise"))


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((0.1, 0.1, 0.9, 0.9), "got the fractions"),
        ((float("nan"), 0, 5, 5), "finite numbers"),
        ((5, 5, 2, 9), "x1 > x0"),
    ],
)
def test_impossible_boxes_count_as_unreadable(paths: list[Path], box: tuple[float, ...], reason: str) -> None:
    (batch,) = load_batches([paths[0]] * 3, SIZE, boxes=[(1, 1, 8, 9), box, None], batch_size=3)
    assert batch.indices == (0, 2)
    assert str(paths[0]) in batch.skipped[1].reason
    assert reason in batch.skipped[1].reason


def test_the_boxes_of_an_image_need_one_decoding(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []

    def open_and_count(picture: Picture) -> Image.Image:
        opened.append(picture)
        return open_picture(picture)

    monkeypatch.setattr("passerby.inference.batches.open_picture", open_and_count)
    images = [paths[0], paths[0], paths[2], paths[2], paths[1], paths[0]]
    boxes = [(1, 1, 8, 9), (2, 2, 9, 9), None, (1, 1, 8, 9), None, None]
    (batch,) = load_batches(images, SIZE, boxes=boxes, batch_size=6, threads=1)
    assert opened == [paths[0], paths[2], paths[1], paths[0]]
    assert (batch.indices, list(batch.skipped)) == ((0, 1, 4, 5), [2, 3])
    for row, (index, box) in enumerate([(0, boxes[0]), (0, boxes[1]), (1, None), (0, None)]):
        expected = resize_image(read_image(paths[index]), SIZE, box).transpose(2, 0, 1)
        assert np.array_equal(batch.inputs[row].numpy(), expected)


@pytest.mark.parametrize(
    ("count", "message"), [(1, "got more images than boxes"), (3, "got more boxes than images")]
)
def test_as_many_boxes_as_images(paths: list[Path], count: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(load_batches(paths[:2], SIZE, boxes=[None] * count, batch_size=2))


def test_unreadable_pictures_raise_on_demand(paths: list[Path]) -> None:
    batches = load_batches(paths, SIZE, batch_size=2, on_unreadable="raise")
    assert next(batches).indices == (0, 1)
    with pytest.raises(ImageError, match=r"2\.png"):
        next(batches)
    with pytest.raises(ImageError, match=r"4\.png"):
        load_picture(paths[4], SIZE)


def test_one_batch_is_read_ahead(paths: list[Path]) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield paths[0]

    batches = load_batches(endless(), SIZE, batch_size=3)
    for count in (1, 2, 3):
        next(batches)
        assert taken == 3 * (count + 1)


def test_special_files_are_skipped_at_once(paths: list[Path], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    images = [paths[0], tmp_path / "pipe.jpg", tmp_path / "device.jpg", paths[1]]
    for keep_originals in (False, True):
        (batch,) = load_batches(images, SIZE, batch_size=4, keep_originals=keep_originals)
        assert batch.indices == (0, 3)
        assert [skipped.reason.partition(": ")[2] for skipped in batch.skipped.values()] == [
            "expected a regular file, got a named pipe",
            "expected a regular file, got a device",
        ]


def test_batches_that_keep_large_originals_end_early(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_PIXELS", 23 * 13)  # as many as the largest of the images has
    images = [*paths, *paths[:2]]

    def count(**options: bool) -> list[int]:
        batches = load_batches(images, SIZE, batch_size=5, **options)
        return [len(batch) + len(batch.skipped) for batch in batches]

    assert count() == [5, 2]
    assert count(keep_originals=True) == [2, 2, 3]  # 200 + 231, unreadable + 299, unreadable + 200 + 231


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"batch_size": 1, "threads": 0}])
def test_counts_below_one_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(DataError, match="of at least 1, got 0"):
        next(load_batches([], SIZE, **wrong))
