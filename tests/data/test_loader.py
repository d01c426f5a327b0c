"""Batches are independent of threads, divided equally among ranks, resumable; threads end."""

from __future__ import annotations

import pickle
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from passerby.data import loader as loader_module
from passerby.data.augmentation import Augmentation, draw_parameters
from passerby.data.cache import PackedCache
from passerby.data.loader import BatchLoader
from passerby.data.manifest import Manifest
from passerby.data.transforms import COCO_MIRROR
from passerby.errors import DataError
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Batch, Preprocess

COUNT, HEIGHT, WIDTH = 50, 32, 24
FULL = Augmentation(pad_px=4, rotation_deg=10, brightness=0.2, saturation=0.3)


@pytest.fixture(scope="module")
def cache() -> PackedCache:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), np.uint8)
    points = generator.uniform(0, 23, (COUNT, 17, 3)).astype(np.float32)
    points[3] = np.nan
    masks = (images[..., 0] > 128).astype(np.uint8)
    return PackedCache(
        Path("memory"), images, masks, images[..., 1] % 20, points, np.ones(COUNT, np.bool_), unreadable=[]
    )


LABELS = np.stack([np.arange(COUNT) % 2, np.arange(COUNT) % 3 - 1], 1).astype(np.int8)


def create_loader(cache: PackedCache, **options: Any) -> BatchLoader:
    defaults: dict[str, Any] = {"labels": LABELS, "rows": np.arange(COUNT), "batch_size": 8, "shuffle": True}
    return BatchLoader(cache, **{**defaults, **options})


def test_a_mirror_makes_left_classes_right_ones(cache: PackedCache) -> None:
    """A left arm in a mirror is a right arm; what has no side, or is not mirrored, stays."""
    options = {"augmentation": Augmentation(pad_px=0, flip=True), "shuffle": False}
    names = [f"c{i}" for i in range(20)]
    names[3], names[7] = "Left-arm", "Right-arm"
    rows = np.arange(COUNT)
    plain, named = (
        create_loader(cache, **options, parsing_classes=classes).gather(rows, 0).guidance.parsing
        for classes in ((), names)
    )
    flip = draw_parameters(options["augmentation"], rows, seed=0, epoch=0).flip
    assert 0 < flip.sum() < COUNT
    swapped = plain.clone()
    swapped[plain == 3], swapped[plain == 7] = 7, 3
    assert torch.equal(named, torch.where(torch.from_numpy(flip)[:, None, None], swapped, plain))


def rows_of(batches: Any) -> list[int]:
    return [row for batch in batches for row in batch.rows.tolist()]


def assert_same(a: Batch, b: Batch) -> None:
    for name in ("images", "labels", "rows"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    for name in ("masks", "parsing", "keypoints"):
        assert torch.equal(getattr(a.guidance, name), getattr(b.guidance, name)), name


def running_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("passerby-load")]


# ---------------------------------------------------------------------- batches


def test_shapes_types_and_values(cache: PackedCache) -> None:
    batches = list(create_loader(cache, shuffle=False))
    assert [len(b.rows) for b in batches] == [8] * 6 + [2]
    first = batches[0]
    assert (first.images.dtype, tuple(first.images.shape)) == (torch.uint8, (8, 3, HEIGHT, WIDTH))
    assert first.images.is_contiguous()
    assert (first.labels.dtype, tuple(first.labels.shape)) == (torch.int8, (8, 2))
    assert (first.rows.dtype, first.rows.tolist()) == (torch.int64, list(range(8)))
    guidance = first.guidance
    assert guidance.masks is not None
    assert guidance.parsing is not None
    assert guidance.keypoints is not None
    assert (guidance.masks.dtype, tuple(guidance.masks.shape)) == (torch.float32, (8, 1, HEIGHT, WIDTH))
    assert (guidance.parsing.dtype, tuple(guidance.parsing.shape)) == (torch.int64, (8, HEIGHT, WIDTH))
    assert (guidance.keypoints.dtype, tuple(guidance.keypoints.shape)) == (torch.float32, (8, 17, 3))
    np.testing.assert_array_equal(first.images.permute(0, 2, 3, 1).numpy(), cache.images[:8])
    np.testing.assert_array_equal(guidance.masks[:, 0].numpy(), cache.masks[:8])  # type: ignore[index]
    np.testing.assert_array_equal(guidance.parsing.numpy(), cache.parsing[:8])  # type: ignore[index]
    np.testing.assert_array_equal(guidance.keypoints[4].numpy(), cache.keypoints[4])  # type: ignore[index]
    assert not guidance.keypoints[3].any()  # a row without keypoints
    np.testing.assert_array_equal(first.labels.numpy(), LABELS[:8])


def test_crops_make_the_images_of_a_batch_smaller(cache: PackedCache) -> None:
    crops = Augmentation(pad_px=0, crop_sides=(1.0, 0.75, 0.5), crop_to=0.875, contrast=0.2)
    for workers in (0, 2):
        for batch in create_loader(cache, augmentation=crops, workers=workers):
            size = (28, 21)  # of 32 and 24
            assert batch.images.shape[1:] == (3, *size)
            assert batch.images.is_contiguous()
            assert batch.guidance.masks is not None
            assert batch.guidance.parsing is not None
            assert batch.guidance.keypoints is not None
            assert batch.guidance.masks.shape[1:] == (1, *size)
            assert batch.guidance.parsing.shape[1:] == size
            points = batch.guidance.keypoints
            assert points.isfinite().all()
            assert (points[batch.rows == 3] == 0).all()  # it has none
            seen = points[points[..., 2] > 0]
            assert len(seen) > 0
            assert (seen[:, 0] <= 20.5).all()
            assert (seen[:, 1] <= 27.5).all()


def test_labels_and_images_belong_to_their_rows(cache: PackedCache) -> None:
    for batch in create_loader(cache, rows=np.arange(5, COUNT)):
        rows = batch.rows.numpy()
        np.testing.assert_array_equal(batch.labels.numpy(), LABELS[rows])
        np.testing.assert_array_equal(batch.images.permute(0, 2, 3, 1).numpy(), cache.images[rows])
        assert rows.min() >= 5


def test_flipped_samples_swap_left_and_right(cache: PackedCache) -> None:
    batch = next(iter(create_loader(cache, augmentation=Augmentation(pad_px=0), batch_size=COUNT)))
    assert batch.guidance.keypoints is not None
    assert batch.guidance.masks is not None
    flipped = 0
    for i, row in enumerate(batch.rows.tolist()):
        before = torch.from_numpy(cache.images[row]).permute(2, 0, 1)
        if row == 3 or torch.equal(batch.images[i], before):
            continue
        flipped += 1
        assert torch.equal(batch.images[i], before.flip(-1))
        mask = torch.from_numpy(cache.masks[row]).flip(-1)  # type: ignore[index]
        assert torch.equal(batch.guidance.masks[i, 0], mask.float())
        want = cache.keypoints[row][list(COCO_MIRROR)]  # type: ignore[index]
        np.testing.assert_allclose(batch.guidance.keypoints[i, :, 0], WIDTH - 1 - want[:, 0], atol=1e-5)
        np.testing.assert_allclose(batch.guidance.keypoints[i, :, 1], want[:, 1], atol=1e-5)
    assert 10 < flipped < 40


def test_only_the_requested_guidance(cache: PackedCache) -> None:
    guidance = next(iter(create_loader(cache, guidance=("masks",)))).guidance
    assert guidance.masks is not None
    assert (guidance.parsing, guidance.keypoints) == (None, None)


# ---------------------------------------------------------------------- order


@pytest.mark.parametrize("augmentation", [None, Augmentation(pad_px=4), FULL], ids=["none", "plain", "full"])
def test_batches_do_not_depend_on_the_number_of_threads(
    cache: PackedCache, augmentation: Augmentation | None
) -> None:
    many = [list(create_loader(cache, augmentation=augmentation, workers=w)) for w in (0, 1, 4)]
    for others in many[1:]:
        for a, b in zip(many[0], others, strict=True):
            assert_same(a, b)


def test_every_row_once_an_epoch_in_an_order_of_its_own(cache: PackedCache) -> None:
    loader = create_loader(cache)
    orders = []
    for epoch in range(3):
        loader.set_epoch(epoch)
        orders.append(rows_of(loader))
        assert sorted(orders[-1]) == list(range(COUNT))
        assert rows_of(loader) == orders[-1]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert rows_of(create_loader(cache, seed=1)) != orders[0]


def test_a_sample_is_the_same_in_any_batch_of_an_epoch(cache: PackedCache) -> None:
    a = next(iter(create_loader(cache, augmentation=FULL, batch_size=COUNT)))
    b = next(iter(create_loader(cache, augmentation=FULL, rows=np.array([17]), batch_size=1)))
    assert torch.equal(a.images[a.rows == 17], b.images)
    other = create_loader(cache, augmentation=FULL, rows=np.array([17]), batch_size=1)
    other.set_epoch(1)
    assert not torch.equal(next(iter(other)).images, b.images)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_ranks_share_the_rows_equally(cache: PackedCache, world_size: int, drop_last: bool) -> None:
    options = {"drop_last": drop_last, "batch_size": 3}
    loaders = [create_loader(cache, shard=(rank, world_size), **options) for rank in range(world_size)]
    splits = [rows_of(loader) for loader in loaders]
    assert len({len(split) for split in splits}) == 1
    assert len({len(loader) for loader in loaders}) == 1
    assert all(len(list(loader)) == len(loader) for loader in loaders)
    together = [row for split in splits for row in split]
    if drop_last:
        assert len(set(together)) == len(together)
    else:
        assert set(together) == set(range(COUNT))
        assert len(together) - COUNT < world_size
        single = rows_of(create_loader(cache))
        assert [row for group in zip(*splits, strict=True) for row in group][:COUNT] == single


def test_drop_last_leaves_full_batches_only(cache: PackedCache) -> None:
    loader = create_loader(cache, drop_last=True)
    assert len(loader) == 6
    assert [len(b.rows) for b in loader] == [8] * 6


def test_unreadable_rows_are_never_loaded(tmp_path: Path) -> None:
    for i in range(10):
        Image.new("RGB", (20, 30), (i, i, i)).save(tmp_path / f"{i}.png")
    (tmp_path / "4.png").write_bytes(b"unreadable")
    schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
    labels = np.zeros((10, 1), np.int8)
    manifest = Manifest.create(
        "toy", schema, root=tmp_path, images=[f"{i}.png" for i in range(10)], labels=labels, partitions={}
    )
    packed = PackedCache.build(manifest, Preprocess(16, 12), tmp_path / "cache", on_unreadable="skip")
    loader = BatchLoader(packed, labels=manifest.labels, rows=np.arange(10), batch_size=3)
    assert rows_of(loader) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert loader.gather(np.array([7]), 0).images.unique().tolist() == [7]
    with pytest.raises(DataError, match="at least one readable"):
        BatchLoader(packed, labels=manifest.labels, rows=np.array([4]), batch_size=1)


# ---------------------------------------------------------------------- going on


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [1, 4, 6])
def test_resuming_in_mid_epoch_gives_the_remaining_batches(
    cache: PackedCache, done: int, workers: int
) -> None:
    whole = create_loader(cache, augmentation=FULL)
    whole.set_epoch(3)
    expected = list(whole)
    broken_off = create_loader(cache, augmentation=FULL, workers=workers)
    broken_off.set_epoch(3)
    iterator = iter(broken_off)
    for _ in range(done):
        next(iterator)
    state = broken_off.state_dict()
    assert state == {"epoch": 3, "batches_done": done}
    resumed = create_loader(cache, augmentation=FULL, workers=workers)
    resumed.load_state_dict(state)
    resumed.set_epoch(3)  # as a trainer does before each epoch
    assert resumed.state_dict() == state
    remaining = list(resumed)
    for a, b in zip(remaining, expected[done:], strict=True):
        assert_same(a, b)
    assert resumed.state_dict() == {"epoch": 3, "batches_done": len(expected)}
    assert rows_of(resumed) == rows_of(expected)  # the position counts once


def test_the_next_epoch_forgets_the_position(cache: PackedCache) -> None:
    loader = create_loader(cache)
    loader.load_state_dict({"epoch": 2, "batches_done": 7})
    assert list(loader) == []  # nothing is left of a finished epoch
    loader.load_state_dict({"epoch": 2, "batches_done": 7})
    loader.set_epoch(3)
    assert loader.state_dict() == {"epoch": 3, "batches_done": 0}
    assert sorted(rows_of(loader)) == list(range(COUNT))


def test_a_state_of_other_data_is_refused(cache: PackedCache) -> None:
    with pytest.raises(DataError, match=r"0 … 7 batches done, got 8.*same data"):
        create_loader(cache).load_state_dict({"epoch": 0, "batches_done": 8})


# ---------------------------------------------------------------------- ends


def test_threads_end_with_the_epoch_and_with_an_early_break(cache: PackedCache) -> None:
    loader = create_loader(cache, workers=3, batch_size=2)
    for _ in loader:
        assert running_threads()
    assert running_threads() == []
    for _ in loader:
        break
    assert running_threads() == []
    assert rows_of(islice(loader, 2)) == rows_of(loader)[:4]
    assert running_threads() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_reach_the_caller_in_their_place(
    cache: PackedCache, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    loader = create_loader(cache, workers=workers, shuffle=False)
    true_gather = loader_module.gather_pixels

    def failing(source: Any, rows: Any, draws: Any) -> Any:
        if 17 in rows:
            raise OSError("the disk went away")
        return true_gather(source, rows, draws)

    monkeypatch.setattr(loader_module, "gather_pixels", failing)
    seen = []
    with pytest.raises(OSError, match="the disk went away"):
        seen.extend(batch.rows.tolist() for batch in loader)
    assert running_threads() == []
    iterator = iter(loader)
    assert [next(iterator).rows[0].item() for _ in range(2)] == [0, 8]  # batches before the bad one arrive
    iterator.close()  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"batch_size": 0}, "batch_size: expected 1 or more"),
        ({"seed": -1}, "seed: expected 0"),
        ({"workers": -1}, "workers: expected 0"),
        ({"shard": (2, 2)}, "got rank 2 of 2"),
        ({"labels": LABELS[:-1]}, r"labels \(50, A\)"),
        ({"rows": np.array([0, 50])}, "rows 0 … 49"),
        ({"rows": np.array([-1])}, "rows 0 … 49"),
        ({"rows": np.array([], np.int64)}, "at least one readable"),
        ({"guidance": ("mask",)}, "expected some of"),
    ],
)
def test_wrong_options_are_named(cache: PackedCache, wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(DataError, match=match):
        create_loader(cache, **wrong)


def test_a_loader_travels_to_another_process(tmp_path: Path) -> None:
    Image.new("RGB", (20, 30), "red").save(tmp_path / "0.png")
    schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
    manifest = Manifest.create("toy", schema, root=tmp_path, images=["0.png"], labels=[[1]], partitions={})
    packed = PackedCache.build(manifest, Preprocess(16, 12), tmp_path / "cache")
    loader = BatchLoader(packed, labels=manifest.labels, rows=np.arange(1), batch_size=1)
    (batch,) = pickle.loads(pickle.dumps(loader))
    assert batch.images[0, :, 5, 5].tolist() == [255, 0, 0]


def test_lightning_takes_it_for_a_training_loader(cache: PackedCache, tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch")
    seen: list[tuple[int, list[int]]] = []

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def on_train_epoch_start(self) -> None:
            loader.set_epoch(self.current_epoch)

        def training_step(self, batch: Batch, index: int) -> torch.Tensor:
            seen.append((self.current_epoch, batch.rows.tolist()))
            return self.layer(torch.ones(1)).sum()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    loader = create_loader(cache, drop_last=True)
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(Module(), loader)
    expected = []
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        expected += [(epoch, batch.rows.tolist()) for batch in loader]
    assert seen == expected
    assert running_threads() == []
