"""A model that learns from labels and from other models' predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passerby.bundle import Bundle
from passerby.config import Recipe
from passerby.data.manifest import Manifest
from passerby.errors import DataError
from passerby.evaluation import evaluate
from passerby.losses import Distilled
from passerby.training import train
from passerby.training.teachers import load_soft_labels


@pytest.fixture
def manifest(manifest_path: Path) -> Manifest:
    return Manifest.load(manifest_path)


def teach(make_recipe: Callable[..., Recipe], folder: Path, seed: int, split: str = "train") -> Path:
    """What a network trained for an epoch says of a split."""
    recipe = make_recipe(training={"epochs": 1}).model_copy(update={"seed": seed})
    bundle = Bundle.load(train(recipe, folder / f"teacher{seed}", say=lambda _: None).bundle)
    manifest = Manifest.load(recipe.data.manifest)
    evaluate(bundle, manifest, partition="own", split=split).write(folder / f"said{seed}")
    return folder / f"said{seed}"


def test_the_mean_of_the_teachers_by_row(
    make_recipe: Callable[..., Recipe], manifest: Manifest, tmp_path: Path
) -> None:
    said = [teach(make_recipe, tmp_path, seed) for seed in (0, 1)]
    rows = manifest.split_rows("own", "train")[::2]
    both = load_soft_labels([said[0], said[1] / "predictions.parquet"], manifest, rows)
    each = [load_soft_labels([one], manifest, rows).numpy() for one in said]
    np.testing.assert_allclose(both.numpy(), (each[0] + each[1]) / 2, rtol=1e-6)
    assert both.shape == (16, 3)
    fewer = manifest.select_attributes(["Bright", "RedTop"])
    np.testing.assert_array_equal(load_soft_labels(said[:1], fewer, rows).numpy(), each[0][:, [2, 0]])


def test_a_teacher_may_say_it_part_by_part(
    make_recipe: Callable[..., Recipe], manifest: Manifest, tmp_path: Path
) -> None:
    bundle = Bundle.load(
        train(make_recipe(training={"epochs": 1}), tmp_path / "t", say=lambda _: None).bundle
    )
    for split in ("train", "val"):
        evaluate(bundle, manifest, partition="own", split=split).write(tmp_path / split)
    rows = np.sort(np.concatenate([manifest.split_rows("own", split) for split in ("train", "val")]))
    both = load_soft_labels([tmp_path / "val", tmp_path / "train"], manifest, rows).numpy()
    for split in ("train", "val"):
        alone = manifest.split_rows("own", split)
        said = load_soft_labels([tmp_path / split], manifest, alone).numpy()
        np.testing.assert_array_equal(both[np.searchsorted(rows, alone)], said)
    twice = [tmp_path / "train", tmp_path / "val", tmp_path / "train"]
    with pytest.raises(DataError, match=f"a teacher said nothing of {len(rows) - 32} of {len(rows)} rows"):
        load_soft_labels(twice, manifest, rows)


def test_a_run_learns_from_its_teachers(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    said = teach(make_recipe, tmp_path, 0)
    plain = train(make_recipe(), tmp_path / "plain", say=lambda _: None)
    student = train(
        make_recipe(loss={"teachers": (said,), "teacher_weight": 0.9}),
        tmp_path / "student",
        say=lambda _: None,
    )
    probs = [
        load_soft_labels(
            [_say(outcome.bundle, tmp_path / f"{i}")], _manifest(tmp_path), np.arange(32)
        ).numpy()
        for i, outcome in enumerate((plain, student))
    ]
    teacher = load_soft_labels([said], _manifest(tmp_path), np.arange(32)).numpy()
    far = [float(np.abs(each - teacher).mean()) for each in probs]
    assert far[1] < far[0]


def test_a_recipe_says_how_they_are_learnt_and_the_bundle_says_so(
    make_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt = []

    def create(*arguments: Any, **options: Any) -> Distilled:
        learnt.append(Distilled(*arguments, **options))
        return learnt[-1]

    monkeypatch.setattr("passerby.training.engine.Distilled", create)
    loss = {"teachers": (teach(make_recipe, tmp_path, 0),), "teacher_weight": 0.9, "teachers_as_labels": True}
    student = train(make_recipe(loss=loss), tmp_path / "student", say=lambda _: None)
    assert [(each.weight, each.as_labels) for each in learnt] == [(0.9, True)]
    metadata = Bundle.load(student.bundle).metadata
    assert (metadata["teacher_weight"], metadata["teachers_as_labels"]) == (0.9, True)


def _manifest(folder: Path) -> Manifest:
    return Manifest.load(folder / "tiny.parquet")


def _say(bundle: Path, folder: Path) -> Path:
    evaluate(Bundle.load(bundle), _manifest(folder.parent), partition="own", split="train").write(folder)
    return folder


def test_what_teachers_did_not_say_is_told(
    make_recipe: Callable[..., Recipe], manifest: Manifest, tmp_path: Path
) -> None:
    said = teach(make_recipe, tmp_path, 0, split="val")
    with pytest.raises(DataError, match="said nothing of 32 of 32 rows that train, such as row 0"):
        train(make_recipe(loss={"teachers": (said,)}), tmp_path / "student", say=lambda _: None)
    rows = manifest.split_rows("own", "val")
    with pytest.raises(DataError, match="said nothing of 32 of 32 rows"):  # beside one that did
        load_soft_labels(
            [teach(make_recipe, tmp_path, 1), said], manifest, manifest.split_rows("own", "train")
        )
    names = [f"other/{name}" for name in manifest.images]
    moved = Manifest.create(
        "tiny", manifest.schema, root=manifest.root, images=names, labels=manifest.labels, partitions={}
    )
    with pytest.raises(DataError, match="evaluate the teacher on this manifest"):
        load_soft_labels([said], moved, rows)
    with pytest.raises(DataError, match=r"predictions that `passerby evaluate` wrote"):
        load_soft_labels([tmp_path / "nothing.parquet"], manifest, rows)
