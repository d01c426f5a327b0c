"""The batches equal those of the loader that reads from the host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from passerby.data import device_cache
from passerby.data.augmentation import Augmentation
from passerby.data.cache import PackedCache
from passerby.data.device_cache import DeviceCacheLoader
from passerby.data.loader import BatchLoader
from passerby.errors import DataError
from passerby.parsing import LIP_CLASSES, UNKNOWN_CLASS
from passerby.types import Batch

COUNT, HEIGHT, WIDTH = 50, 32, 24
LABELS = np.stack([np.arange(COUNT) % 2, np.arange(COUNT) % 3 - 1], 1).astype(np.int8)
WITHOUT_MAP, WITHOUT_POINTS, BROKEN = 5, 3, 11

PLAIN = Augmentation(pad_px=0, flip=False)
AUGMENTATIONS: dict[str, Augmentation | None] = {
    "none": None,
    "flip": Augmentation(pad_px=0),
    "crop": Augmentation(pad_px=5, flip=False),
    "crop and flip": Augmentation(pad_px=4),
    "beyond the image": Augmentation(pad_px=60),
    "rotation": replace(PLAIN, rotation_deg=25.0),
    "shift": replace(PLAIN, shift=0.2),
    "zoom": replace(PLAIN, zoom=0.4),
    "shear": replace(PLAIN, shear_deg=15.0),
    "brightness": replace(PLAIN, brightness=0.4),
    "contrast": replace(PLAIN, contrast=0.4),
    "saturation": replace(PLAIN, saturation=0.4),
    "resized crops": replace(PLAIN, crop_sides=(1.0, 0.75, 0.5), crop_to=0.875),
    "crops in ratio": replace(PLAIN, crop_sides=(0.9, 0.6), crop_keep_ratio=True),
    "all": Augmentation(4, True, 10.0, 0.1, 0.2, 5.0, 0.3, 0.3, 0.3, (1.0, 0.7), False, 0.875),
}
GUIDANCE = [(), ("masks",), ("parsing",), ("keypoints",), ("masks", "parsing", "keypoints")]


@pytest.fixture(scope="module")
def cache() -> PackedCache:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), np.uint8)
    points = rng.uniform(-5, 30, (COUNT, 17, 3)).astype(np.float32)
    points[WITHOUT_POINTS] = np.nan
    parsing = images[..., 1] % 20
    parsing[WITHOUT_MAP] = UNKNOWN_CLASS
    valid = np.arange(COUNT) != BROKEN
    return PackedCache(
        Path("memory"), images, (images[..., 0] > 128).astype(np.uint8), parsing, points, valid
    )


def create_both(
    cache: PackedCache, device: str = "cpu", **options: Any
) -> tuple[BatchLoader, DeviceCacheLoader]:
    defaults = {"labels": LABELS, "rows": np.arange(COUNT), "batch_size": 8, "shuffle": True, "seed": 3}
    options = {**defaults, "parsing_classes": LIP_CLASSES, **options}
    return BatchLoader(cache, workers=0, **options), DeviceCacheLoader(cache, device=device, **options)


def list_tensors(batch: Batch) -> dict[str, torch.Tensor | None]:
    guidance = {kind: getattr(batch.guidance, kind) for kind in ("masks", "parsing", "keypoints")}
    return {"images": batch.images, "labels": batch.labels, "rows": batch.rows, **guidance}


def assert_same(a: Batch, b: Batch) -> None:
    """Bit for bit, in type and layout, too."""
    for (name, x), y in zip(list_tensors(a).items(), list_tensors(b).values(), strict=True):
        if x is None or y is None:
            assert x is y, name
            continue
        assert (x.dtype, x.shape, x.is_contiguous()) == (y.dtype, y.shape, y.is_contiguous()), name
        assert torch.equal(x, y), name


# ---------------------------------------------------------------------- the same batches


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("guidance", GUIDANCE, ids=lambda kinds: "+".join(kinds) or "images")
def test_batches_are_those_of_the_other_loader(
    cache: PackedCache, name: str, guidance: tuple[str, ...]
) -> None:
    plain, loader = create_both(cache, augmentation=AUGMENTATIONS[name], guidance=guidance)
    for epoch in (0, 1):
        plain.set_epoch(epoch)
        loader.set_epoch(epoch)
        for a, b in zip(plain, loader, strict=True):
            assert_same(a, b)


def test_rows_without_a_map_stay_unknown_and_unreadable_ones_are_left_out(cache: PackedCache) -> None:
    _, loader = create_both(cache, augmentation=Augmentation(pad_px=6), batch_size=COUNT)
    (batch,) = loader
    rows = batch.rows.tolist()
    assert sorted(rows) == [row for row in range(COUNT) if row != BROKEN]
    assert batch.guidance.parsing is not None
    assert batch.guidance.keypoints is not None
    assert (batch.guidance.parsing[rows.index(WITHOUT_MAP)] == UNKNOWN_CLASS).all()
    assert not batch.guidance.keypoints[rows.index(WITHOUT_POINTS)].any()
    with pytest.raises(DataError, match="at least one readable"):
        create_both(cache, rows=np.array([BROKEN]))


def test_a_cache_without_guidance_gives_none(cache: PackedCache) -> None:
    bare = replace(cache, masks=None, parsing=None, keypoints=None)
    for a, b in zip(*create_both(bare, augmentation=AUGMENTATIONS["all"]), strict=True):
        assert_same(a, b)
        assert b.guidance.masks is b.guidance.parsing is b.guidance.keypoints is None


def test_only_the_rows_and_requested_kinds_are_held(
    cache: PackedCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are copied in chunks, in the order of the cache, each row once."""
    monkeypatch.setattr(device_cache, "_CHUNK_BYTES", 3 * HEIGHT * WIDTH * 4)
    rows = np.array([40, 7, 7, 30, 9, 8, 2])
    plain, loader = create_both(cache, rows=rows, guidance=("masks",), shuffle=False)
    assert {name: len(held) for name, held in loader._held.items()} == {"images": 6, "masks": 6, "labels": 6}
    np.testing.assert_array_equal(loader._held["images"].numpy(), cache.images[np.unique(rows)])
    for a, b in zip(plain, loader, strict=True):
        assert_same(a, b)
    assert loader.epoch_rows().tolist() == rows.tolist()


# ---------------------------------------------------------------------- order, ranks, going on


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_share_the_rows_as_with_the_other_loader(
    cache: PackedCache, world_size: int, drop_last: bool
) -> None:
    for rank in range(world_size):
        options = {"shard": (rank, world_size), "drop_last": drop_last}
        plain, loader = create_both(cache, augmentation=AUGMENTATIONS["crop and flip"], **options)
        assert len(plain) == len(loader)
        for epoch in (0, 5):
            plain.set_epoch(epoch)
            loader.set_epoch(epoch)
            np.testing.assert_array_equal(plain.epoch_rows(), loader.epoch_rows())
            for a, b in zip(plain, loader, strict=True):
                assert_same(a, b)


@pytest.mark.parametrize("done", [1, 4, 7])
def test_resuming_in_mid_epoch_gives_the_remaining_batches(cache: PackedCache, done: int) -> None:
    plain, broken_off = create_both(cache, augmentation=AUGMENTATIONS["all"])
    for loader in (plain, broken_off):
        loader.set_epoch(2)
    expected = list(plain)
    taken = list(islice(broken_off, done))
    state = broken_off.state_dict()
    assert state == {"epoch": 2, "batches_done": done}
    _, resumed = create_both(cache, augmentation=AUGMENTATIONS["all"])
    resumed.load_state_dict(state)
    resumed.set_epoch(2)
    for a, b in zip(expected, [*taken, *resumed], strict=True):
        assert_same(a, b)
    with pytest.raises(DataError, match="0 … 7 batches done, got 8"):
        resumed.load_state_dict({"epoch": 0, "batches_done": 8})


# ---------------------------------------------------------------------- errors


def test_too_little_memory_states_the_required_gib(
    cache: PackedCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*shape: Any, **options: Any) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate …")

    big = replace(cache, images=np.broadcast_to(np.uint8(0), (COUNT, 4096, 4096, 3)))
    needed = 49 * (4096 * 4096 * 3 + HEIGHT * WIDTH + 2) / 2**30
    monkeypatch.setattr(device_cache.torch, "empty", refuse)
    message = f"images, masks, labels of 49 rows need {needed:.2f} GiB on cpu, which has less free memory"
    with pytest.raises(DataError, match=f"{re.escape(message)}.*training.device_cache: false"):
        create_both(big, guidance=("masks",))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"batch_size": 0}, "batch_size: expected 1 or more"),
        ({"shard": (2, 2)}, "got rank 2 of 2"),
        ({"labels": LABELS[:-1]}, r"labels \(50, A\)"),
        ({"rows": np.array([0, 50])}, "rows 0 … 49"),
        ({"guidance": ("mask",)}, "expected some of"),
    ],
)
def test_wrong_options_are_named(cache: PackedCache, wrong: dict[str, Any], match: str) -> None:
    options = {"labels": LABELS, "rows": np.arange(COUNT), "batch_size": 8, **wrong}
    with pytest.raises(DataError, match=match):
        DeviceCacheLoader(cache, device="cpu", **options)


# ---------------------------------------------------------------------- on a device


@pytest.mark.slow
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_batches_never_leave_the_device_without_synchronisation(cache: PackedCache, name: str) -> None:
    """The device `meta` has shapes and no values, and raises an error if the host asks for one."""
    plain, loader = create_both(cache, device="meta", augmentation=AUGMENTATIONS[name])
    for a, b in zip(plain, loader, strict=True):
        for x, y in zip(list_tensors(a).values(), list_tensors(b).values(), strict=True):
            assert x is not None
            assert y is not None
            assert (y.device.type, y.dtype, y.shape) == ("meta", x.dtype, x.shape)


@contextmanager
def without_waiting() -> Iterator[None]:
    """An error wherever the host would wait for the GPU."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_on_a_gpu_batches_are_those_of_the_cpu_without_synchronisation(cache: PackedCache, name: str) -> None:
    """Bit for bit where pixels only change places; else they may round to the other side."""
    augmentation = AUGMENTATIONS[name]
    plain, loader = create_both(cache, device="cuda", augmentation=augmentation)
    with without_waiting():
        batches = list(loader)
    exact = augmentation is None or augmentation.is_plain
    for a, b in zip(plain, batches, strict=True):
        tensors = list_tensors(b)
        assert all(t is not None and t.device.type == "cuda" for t in tensors.values())
        on_cpu = b.to("cpu")
        if exact:
            assert_same(a, on_cpu)
            continue
        for kind in ("labels", "rows"):
            assert torch.equal(getattr(a, kind), getattr(on_cpu, kind))
        wrong = (a.images.int() - on_cpu.images.int()).abs()
        assert (wrong > 3).float().mean() < 0.02
        for kind in ("masks", "parsing"):
            x, y = getattr(a.guidance, kind), getattr(on_cpu.guidance, kind)
            assert (x != y).float().mean() < 0.05, kind
        torch.testing.assert_close(a.guidance.keypoints, on_cpu.guidance.keypoints, atol=1e-3, rtol=1e-4)
