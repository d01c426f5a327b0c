"""A packed cache holds exactly the resized images, notices change and damage, and names unreadable files."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from passerby.data import cache as cache_module
from passerby.data import packing
from passerby.data.cache import PackedCache
from passerby.data.manifest import Manifest
from passerby.errors import DataError, ImageError
from passerby.images.decode import read_image
from passerby.images.placement import compute_placement, resize_image, resize_map
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Preprocess

SMALL = Preprocess(32, 24)
COUNT = 70  # more than two tasks of the packer


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Photos of different sizes, each with its mask."""
    folder = tmp_path / "photos"
    (folder / "masks").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for i in range(COUNT):
        height, width = generator.integers(30, 60, 2)
        pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        Image.fromarray(pixels[..., 0] > 128).save(folder / "masks" / f"{i}.png")
    return folder


def create_manifest(root: Path, **columns: Any) -> Manifest:
    return Manifest.create(
        "toy",
        AttributeSchema("toy", (Attribute("Hat", "wears a hat"),)),
        root=root,
        images=[f"{i}.png" for i in range(COUNT)],
        labels=columns.pop("labels", np.zeros((COUNT, 1), np.int8)),
        partitions={},
        **columns,
    )


def count_packing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []

    def counted(*args: Any) -> Any:
        calls.append(1)
        return packing.pack(*args)

    monkeypatch.setattr(cache_module, "pack", counted)
    return calls


# ---------------------------------------------------------------------- contents


@pytest.mark.parametrize("resize", ["stretch", "pad"])
def test_it_holds_what_reading_and_resizing_gives(root: Path, tmp_path: Path, resize: Any) -> None:
    preprocess = Preprocess(32, 24, resize=resize)
    boxes = [None if i % 2 else (3.0, 4.5, 80.0, 25.0) for i in range(COUNT)]
    parsing = [f"masks/{i}.png" if i != 3 else None for i in range(COUNT)]
    points = np.random.default_rng(1).uniform(0, 30, (COUNT, 51)).astype(np.float32)
    keypoints = [None if i == 5 else list(points[i]) for i in range(COUNT)]
    masks = [f"masks/{i}.png" if i != 4 else None for i in range(COUNT)]
    manifest = create_manifest(root, boxes=boxes, masks=masks, parsing=parsing, keypoints=keypoints)
    cache = PackedCache.build(manifest, preprocess, tmp_path / "cache", workers=3)
    assert cache.images.shape == (COUNT, 32, 24, 3)
    assert isinstance(cache.images, np.memmap)
    assert cache.masks is not None
    assert cache.parsing is not None
    assert cache.keypoints is not None
    assert cache.valid.all()
    assert cache.unreadable == []
    for i in (0, 1, 33, COUNT - 1):
        image = read_image(root / f"{i}.png")
        np.testing.assert_array_equal(cache.images[i], resize_image(image, preprocess, boxes[i]))
        bits = np.asarray(Image.open(root / "masks" / f"{i}.png")).astype(np.uint8)
        np.testing.assert_array_equal(cache.masks[i], resize_map(bits, preprocess, boxes[i]))
        placement = compute_placement(image.size, preprocess, boxes[i])
        want = placement.map_keypoints(points[i].reshape(17, 3))
        np.testing.assert_array_equal(cache.keypoints[i], want)
    assert (cache.masks[4] == 0).all()
    assert (cache.parsing[3] == packing.UNKNOWN_CLASS).all()
    assert np.isnan(cache.keypoints[5]).all()


def test_without_guidance_there_is_none(root: Path, tmp_path: Path) -> None:
    cache = PackedCache.build(create_manifest(root), SMALL, tmp_path)
    assert (cache.masks, cache.parsing, cache.keypoints) == (None, None, None)


def test_mask_values_above_zero_are_the_person(root: Path, tmp_path: Path) -> None:
    for i in range(COUNT):
        size = read_image(root / f"{i}.png").size
        Image.new("L", size, 37).save(root / "masks" / f"{i}.png")
    paths = [f"masks/{i}.png" for i in range(COUNT)]
    cache = PackedCache.build(create_manifest(root, masks=paths, parsing=paths), SMALL, tmp_path)
    assert cache.masks is not None
    assert cache.parsing is not None
    assert (cache.masks == 1).all()
    assert (cache.parsing == 37).all()


def test_the_number_of_threads_does_not_matter_and_progress_ends_at_all(root: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    one = PackedCache.build(
        create_manifest(root), SMALL, tmp_path / "1", workers=1, progress=lambda *a: steps.append(a)
    )
    four = PackedCache.build(create_manifest(root), SMALL, tmp_path / "4", workers=4)
    np.testing.assert_array_equal(one.images, four.images)
    assert steps == sorted(steps)
    assert steps[-1] == (COUNT, COUNT)


def test_another_process_maps_the_files_instead_of_receiving_them(root: Path, tmp_path: Path) -> None:
    cache = PackedCache.build(create_manifest(root), SMALL, tmp_path)
    sent = pickle.dumps(cache)
    assert len(sent) < 2000
    np.testing.assert_array_equal(pickle.loads(sent).images, cache.images)


# ---------------------------------------------------------------------- rebuilding


def test_it_is_made_once(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_packing(monkeypatch)
    first = PackedCache.build(create_manifest(root), SMALL, tmp_path / "c")
    second = PackedCache.build(create_manifest(root), Preprocess(32, 24, mean=(0, 0, 0)), tmp_path / "c")
    assert len(calls) == 1
    assert first.path == second.path
    assert [p.name for p in (tmp_path / "c").iterdir()] == [first.path.name]


@pytest.mark.parametrize(
    "change",
    [
        lambda m: (m, Preprocess(32, 28)),
        lambda m: (m, Preprocess(32, 24, resize="pad")),
        lambda m: (m.take(np.arange(COUNT)[::-1]), SMALL),
        lambda m: (m.with_partition("other", ["train"] * COUNT), SMALL),
    ],
    ids=["size", "resize", "order", "partition"],
)
def test_another_manifest_or_size_is_another_cache(
    root: Path, tmp_path: Path, change: Callable[[Manifest], tuple[Manifest, Preprocess]]
) -> None:
    manifest = create_manifest(root)
    first = PackedCache.build(manifest, SMALL, tmp_path / "c")
    second = PackedCache.build(*change(manifest), tmp_path / "c")
    assert first.path != second.path
    assert len(list((tmp_path / "c").iterdir())) == 2


def test_images_replaced_in_place_are_detected(root: Path, tmp_path: Path) -> None:
    manifest = create_manifest(root)
    before = np.array(PackedCache.build(manifest, SMALL, tmp_path / "c").images[7])
    Image.new("RGB", (50, 50), "green").save(root / "7.png")
    after = PackedCache.build(manifest, SMALL, tmp_path / "c").images[7]
    assert (after == (0, 128, 0)).all()
    assert (before != after).any()
    assert len(list((tmp_path / "c").iterdir())) == 1


def test_images_that_were_deleted_keep_the_cache(root: Path, tmp_path: Path) -> None:
    manifest = create_manifest(root)
    PackedCache.build(manifest, SMALL, tmp_path / "c")
    shutil.rmtree(root)
    assert PackedCache.build(manifest, SMALL, tmp_path / "c").valid.all()


def rewrite_as_version_2(path: Path) -> None:
    """Version 2 listed unreadable files under the key `broken`."""
    meta = json.loads(path.read_text())
    meta["version"], meta["broken"] = 2, meta.pop("unreadable")
    path.write_text(json.dumps(meta))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated images": lambda p: os.truncate(p / "images.npy", (p / "images.npy").stat().st_size - 1),
    "empty images": lambda p: os.truncate(p / "images.npy", 0),
    "no images": lambda p: (p / "images.npy").unlink(),
    "no valid": lambda p: (p / "valid.npy").unlink(),
    "truncated valid": lambda p: os.truncate(p / "valid.npy", 130),
    "no JSON": lambda p: (p / "cache.json").write_text("{"),
    "a list": lambda p: (p / "cache.json").write_text("[]"),
    "old version": lambda p: (p / "cache.json").write_text('{"version": 0}'),
    "other shape": lambda p: np.save(p / "images.npy", np.zeros((COUNT, 32, 23, 3), np.uint8)),
    "written by version 2": lambda path: rewrite_as_version_2(path / "cache.json"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_refused_and_rebuilt(root: Path, tmp_path: Path, damage: str) -> None:
    manifest = create_manifest(root)
    cache = PackedCache.build(manifest, SMALL, tmp_path / "c")
    whole = np.array(cache.images)
    DAMAGES[damage](cache.path)
    with pytest.raises(DataError, match=f"{cache.path.name} is not a complete image cache.*delete"):
        PackedCache.open(cache.path)
    np.testing.assert_array_equal(PackedCache.build(manifest, SMALL, tmp_path / "c").images, whole)
    assert len(list((tmp_path / "c").iterdir())) == 1


def test_builders_at_the_same_time_agree(root: Path, tmp_path: Path) -> None:
    manifest, caches = create_manifest(root), []
    start = threading.Barrier(4)

    def build() -> None:
        start.wait()
        caches.append(PackedCache.build(manifest, SMALL, tmp_path / "c", workers=1))

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caches) == 4
    for cache in caches[1:]:
        np.testing.assert_array_equal(cache.images, caches[0].images)
    assert [p.name for p in (tmp_path / "c").iterdir()] == [caches[0].path.name]


def test_an_interrupted_builder_leaves_nothing(root: Path, tmp_path: Path) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PackedCache.build(create_manifest(root), SMALL, tmp_path / "c", progress=interrupt)
    assert list((tmp_path / "c").iterdir()) == []
    assert not [t for t in threading.enumerate() if t.name.startswith("passerby-pack")]


# ---------------------------------------------------------------------- unreadable files and full disks


def break_some(root: Path) -> None:
    (root / "8.png").write_bytes((root / "8.png").read_bytes()[:100])
    (root / "40.png").unlink()


def test_unreadable_images_raise_an_error_with_all_names(root: Path, tmp_path: Path) -> None:
    break_some(root)
    with pytest.raises(ImageError, match=r"2 rows of .* cannot be used") as caught:
        PackedCache.build(create_manifest(root), SMALL, tmp_path / "c")
    assert str(root / "8.png") in str(caught.value)
    assert f"{root / '40.png'}: the file does not exist" in str(caught.value)
    with pytest.raises(ImageError, match=r"2 rows of .* cannot be used"):  # the second time as well
        PackedCache.build(create_manifest(root), SMALL, tmp_path / "c")


def test_unreadable_images_are_skipped_on_request(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_some(root)
    calls = count_packing(monkeypatch)
    with pytest.raises(ImageError):
        PackedCache.build(create_manifest(root), SMALL, tmp_path / "c")
    cache = PackedCache.build(create_manifest(root), SMALL, tmp_path / "c", on_unreadable="skip")
    assert len(calls) == 1  # nothing is decoded twice
    assert np.flatnonzero(~cache.valid).tolist() == [8, 40]
    assert [name for name, _ in cache.unreadable] == ["8.png", "40.png"]
    assert not cache.images[8].any()


def test_repaired_images_are_read_again(root: Path, tmp_path: Path) -> None:
    whole = (root / "8.png").read_bytes()
    (root / "8.png").write_bytes(whole[:100])
    PackedCache.build(create_manifest(root), SMALL, tmp_path / "c", on_unreadable="skip")
    (root / "8.png").write_bytes(whole)
    cache = PackedCache.build(create_manifest(root), SMALL, tmp_path / "c")
    assert cache.valid.all()
    np.testing.assert_array_equal(cache.images[8], resize_image(read_image(root / "8.png"), SMALL))


def test_a_unreadable_mask_and_a_box_outside_make_the_row_invalid(root: Path, tmp_path: Path) -> None:
    Image.new("1", (5, 5)).save(root / "masks" / "2.png")
    (root / "masks" / "3.png").write_bytes(b"")
    masks = [f"masks/{i}.png" for i in range(COUNT)]
    boxes = [None if i != 4 else (500.0, 0.0, 600.0, 9.0) for i in range(COUNT)]
    keypoints = [[1.0] * 51] * COUNT
    manifest = create_manifest(root, masks=masks, boxes=boxes, keypoints=keypoints)
    cache = PackedCache.build(manifest, SMALL, tmp_path, on_unreadable="skip")
    reasons = dict(cache.unreadable)
    assert sorted(reasons) == ["2.png", "3.png", "4.png"]
    assert "got 5 × 5" in reasons["2.png"]
    assert str(root / "masks" / "3.png") in reasons["3.png"]
    assert reasons["4.png"].startswith(f"{root / '4.png'}: box outside the image: expected a box that")
    assert cache.keypoints is not None
    assert np.isnan(cache.keypoints[2:5]).all()
    assert not np.isnan(cache.keypoints[1]).any()


def test_a_wrong_root_is_reported_at_once(root: Path, tmp_path: Path) -> None:
    manifest = create_manifest(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"none of the 70 images.*elsewhere.*:\n  0\.png\n  1\.png\n"):
        PackedCache.build(manifest, SMALL, tmp_path / "c", on_unreadable="skip")


def test_an_empty_manifest_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one row"):
        PackedCache.build(create_manifest(root).take([]), SMALL, tmp_path / "c")


def test_a_full_disk_is_reported_before_packing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DataError, match=r"needs 0\.00 GiB, but .* free"):
        PackedCache.build(create_manifest(root), SMALL, tmp_path / "c")
    assert list((tmp_path / "c").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this model cannot reserve space")
def test_a_disk_that_fills_up_is_an_error_and_no_crash(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(packing.os, "posix_fallocate", full)
    with pytest.raises(DataError, match="No space left"):
        PackedCache.build(create_manifest(root), SMALL, tmp_path / "c")
    assert list((tmp_path / "c").iterdir()) == []
