"""Training with labels and teacher predictions."""

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


def run_teacher(make_recipe: Callable[..., Recipe], folder: Path, seed: int, split: str = "train") -> Path:
    """The folder of a teacher's predictions for a split, after one epoch of training."""
    recipe = make_recipe(training={"epochs": 1}).model_copy(update={"seed": seed})
    bundle = Bundle.load(train(recipe, folder / f"teacher{seed}").bundle)
    manifest = Manifest.load(recipe.data.manifest)
    evaluate(bundle, manifest, partition="own", split=split).write(folder / f"predictions{seed}")
    return folder / f"predictions{seed}"


def test_soft_labels_are_the_mean_of_the_teachers(
    make_recipe: Callable[..., Recipe], manifest: Manifest, tmp_path: Path
) -> None:
    folders = [run_teacher(make_recipe, tmp_path, seed) for seed in (0, 1)]
    rows = manifest.split_rows("own", "train")[::2]
    both = load_soft_labels([folders[0], folders[1] / "predictions.parquet"], manifest, rows)
    each = [load_soft_labels([one], manifest, rows).numpy() for one in folders]
    np.testing.assert_allclose(both.numpy(), (each[0] + each[1]) / 2, rtol=1e-6)
    assert both.shape == (16, 3)
    fewer = manifest.select_attributes(["Bright", "RedTop"])
    np.testing.assert_array_equal(load_soft_labels(folders[:1], fewer, rows).numpy(), each[0][:, [2, 0]])


def test_a_teacher_may_have_one_file_per_split(
    make_recipe: Callable[..., Recipe], manifest: Manifest, tmp_path: Path
) -> None:
    bundle = Bundle.load(train(make_recipe(training={"epochs": 1}), tmp_path / "t").bundle)
    for split in ("train", "val"):
        evaluate(bundle, manifest, partition="own", split=split).write(tmp_path / split)
    rows = np.sort(np.concatenate([manifest.split_rows("own", split) for split in ("train", "val")]))
    both = load_soft_labels([tmp_path / "val", tmp_path / "train"], manifest, rows).numpy()
    for split in ("train", "val"):
        alone = manifest.split_rows("own", split)
        single = load_soft_labels([tmp_path / split], manifest, alone).numpy()
        np.testing.assert_array_equal(both[np.searchsorted(rows, alone)], single)
    twice = [tmp_path / "train", tmp_path / "val", tmp_path / "train"]
    with pytest.raises(
        DataError, match=f"a teacher has no predictions for {len(rows) - 32} of {len(rows)} training rows"
    ):
        load_soft_labels(twice, manifest, rows)


def test_a_student_approaches_its_teachers(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    teachers = run_teacher(make_recipe, tmp_path, 0)
    plain = train(make_recipe(), tmp_path / "plain")
    student = train(make_recipe(loss={"teachers": (teachers,), "teacher_weight": 0.9}), tmp_path / "student")
    probs = [
        load_soft_labels(
            [_predict(outcome.bundle, tmp_path / f"{i}")], _manifest(tmp_path), np.arange(32)
        ).numpy()
        for i, outcome in enumerate((plain, student))
    ]
    teacher = load_soft_labels([teachers], _manifest(tmp_path), np.arange(32)).numpy()
    distances = [float(np.abs(each - teacher).mean()) for each in probs]
    assert distances[1] < distances[0]


def test_the_distillation_settings_reach_the_loss_and_the_bundle(
    make_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = []

    def create(*arguments: Any, **options: Any) -> Distilled:
        created.append(Distilled(*arguments, **options))
        return created[-1]

    monkeypatch.setattr("passerby.training.criterion.Distilled", create)
    loss = {
        "teachers": (run_teacher(make_recipe, tmp_path, 0),),
        "teacher_weight": 0.9,
        "teachers_as_labels": True,
    }
    student = train(make_recipe(loss=loss), tmp_path / "student")
    assert [(each.weight, each.as_labels) for each in created] == [(0.9, True)]
    metadata = Bundle.load(student.bundle).metadata
    assert (metadata["teacher_weight"], metadata["teachers_as_labels"]) == (0.9, True)


def _manifest(folder: Path) -> Manifest:
    return Manifest.load(folder / "tiny.parquet")


def _predict(bundle: Path, folder: Path) -> Path:
    evaluate(Bundle.load(bundle), _manifest(folder.parent), partition="own", split="train").write(folder)
    return folder


def test_missing_teacher_predictions_are_reported(
    make_recipe: Callable[..., Recipe], manifest: Manifest, tmp_path: Path
) -> None:
    folder = run_teacher(make_recipe, tmp_path, 0, split="val")
    with pytest.raises(DataError, match="no predictions for 32 of 32 training rows, such as row 0"):
        train(make_recipe(loss={"teachers": (folder,)}), tmp_path / "student")
    rows = manifest.split_rows("own", "val")
    with pytest.raises(
        DataError, match="no predictions for 32 of 32 training rows"
    ):  # next to a complete one
        load_soft_labels(
            [run_teacher(make_recipe, tmp_path, 1), folder],
            manifest,
            manifest.split_rows("own", "train"),
        )
    names = [f"other/{name}" for name in manifest.images]
    moved = Manifest.create(
        "tiny", manifest.schema, root=manifest.root, images=names, labels=manifest.labels, partitions={}
    )
    with pytest.raises(DataError, match="evaluate the teacher on this manifest"):
        load_soft_labels([folder], moved, rows)
    with pytest.raises(DataError, match=r"predictions written by `passerby evaluate`"):
        load_soft_labels([tmp_path / "nothing.parquet"], manifest, rows)
