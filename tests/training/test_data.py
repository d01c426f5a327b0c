"""The loaders of a recipe, with images on the host or on the device."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from passerby.bundle import Bundle
from passerby.config import Recipe
from passerby.data.device_cache import DeviceCacheLoader
from passerby.data.manifest import Manifest
from passerby.errors import DataError, TrainingError
from passerby.evaluation import evaluate
from passerby.training import train
from passerby.training.data import TrainingData
from passerby.training.initialization import initialize_model

MakeRecipe = Callable[..., Recipe]
Sections = dict[str, dict[str, Any]]

AUGMENTED: Sections = {
    "augmentation": {"pad_px": 2, "rotation_deg": 5, "contrast": 0.2, "saturation": 0.2},
    "training": {"epochs": 2, "ema": 0.9},
}
PARSING: Sections = {
    "model": {
        "name": "mtms",
        "pretrained": False,
        "arguments": {"backbone": "test_resnet", "parsing_classes": "coarse"},
    },
    "loss": {"name": "mtms", "arguments": {"first_epochs": 1}},
    "input": {"height": 32, "width": 16},
    "augmentation": {"pad_px": 0, "crop_sides": (1.0, 0.75)},
    "training": {"epochs": 2},
}
"""A model that is trained with parsing maps."""


def make_both(make: MakeRecipe, sections: Sections) -> tuple[Recipe, Recipe]:
    """The same recipe without and with a device cache."""
    first, second = (
        make(**{**sections, "training": {**sections.get("training", {}), "device_cache": device_cache}})
        for device_cache in (False, True)
    )
    return first, second


def final_state(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {**checkpoint["state_dict"], **checkpoint.get("current_model_state", {})}


@pytest.mark.parametrize("sections", [AUGMENTED, PARSING], ids=["augmented", "parsing"])
def test_a_device_cache_gives_the_same_weights(
    make_recipe: MakeRecipe, tmp_path: Path, sections: Sections
) -> None:
    recipes = make_both(make_recipe, sections)
    runs = [train(recipe, tmp_path / f"{i}") for i, recipe in enumerate(recipes)]
    fetched, device_cache = (final_state(outcome.run) for outcome in runs)
    assert fetched.keys() == device_cache.keys()
    for name, value in fetched.items():
        assert torch.equal(value, device_cache[name]), name
    assert runs[0].val_scores == runs[1].val_scores


def relabel(path: Path, change: Callable[[np.ndarray, np.ndarray], None]) -> None:
    """Change the validation labels of a manifest; `change` gets all labels and the validation rows."""
    manifest = Manifest.load(path)
    labels = manifest.labels.copy()
    change(labels, manifest.split_rows("own", "val"))
    Manifest.create(
        manifest.dataset,
        manifest.schema,
        root=manifest.root,
        images=manifest.images,
        labels=labels,
        partitions={"own": ["train"] * 32 + ["val"] * 8 + ["test"] * 8},
    ).write(path)


def test_attributes_that_the_validation_split_cannot_measure_are_logged_and_left_out(
    make_recipe: MakeRecipe, manifest_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "passerby.training")

    def change(labels: np.ndarray, rows: np.ndarray) -> None:
        labels[rows, 1] = 0
        labels[rows, 2] = -1

    relabel(manifest_path, change)
    outcome = train(make_recipe(training={"epochs": 1}), tmp_path / "run")
    names = Manifest.load(manifest_path).schema.names
    left_out = f"left out of mA: {names[1]}, {names[2]}."
    assert f"val split: 2 of 3 attributes lack positives or negatives and are {left_out}" in caplog.messages
    bundle = Bundle.load(outcome.bundle)
    card = (outcome.bundle / "README.md").read_text()
    assert f"The validation split cannot measure the mA of {names[1]}, {names[2]}." in card
    found = evaluate(bundle, Manifest.load(manifest_path), partition="own", split="val").metrics()
    assert outcome.val_scores["mA"] == found["mA"] == found["per_attribute"][names[0]]["mA"]


@pytest.mark.parametrize("select", ["mA", "mAP"])
def test_validation_labels_that_cannot_measure_the_selection_are_refused(
    make_recipe: MakeRecipe, manifest_path: Path, tmp_path: Path, select: str
) -> None:
    def change(labels: np.ndarray, rows: np.ndarray) -> None:
        labels[rows] = 0

    relabel(manifest_path, change)
    with pytest.raises(TrainingError, match=rf"training\.select: {select} needs an attribute with positives"):
        train(make_recipe(training={"select": select}), tmp_path / "run")
    assert not (tmp_path / "cache").exists()  # refused before images are packed
    outcome = train(make_recipe(training={"epochs": 1, "select": "f1"}), tmp_path / "run")
    assert Bundle.load(outcome.bundle).metadata["val_scores"]["mA"] is None


def test_device_cache_loaders_contain_the_rows_and_maps_of_their_split(make_recipe: MakeRecipe) -> None:
    recipe = make_both(make_recipe, PARSING)[1]
    data = TrainingData.load(recipe, recipe.input.create_preprocess(), Manifest.load(recipe.data.manifest))
    model = initialize_model(recipe.model, data.manifest.schema)
    loaders = data.create_loaders(recipe, model=model, rank=0, world_size=1, device=torch.device("cpu"))
    training, validation = loaders
    assert isinstance(training, DeviceCacheLoader)
    assert isinstance(validation, DeviceCacheLoader)
    assert (training.workers, validation.workers) == (0, 0)
    batch, other = next(iter(training)), next(iter(validation))
    assert batch.guidance.parsing is not None  # for the loss
    assert other.guidance.parsing is None
    assert (len(batch.rows), len(other.rows)) == (8, 8)


def test_insufficient_device_memory_is_reported_before_the_first_step(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: DeviceCacheLoader, source: object) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(DeviceCacheLoader, "_hold", refuse)
    with pytest.raises(DataError, match=r"32 rows need 0\.00 GiB on cpu.*training\.device_cache: false"):
        train(make_recipe(training={"device_cache": True}), tmp_path / "run")


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gpu_trains_with_a_device_cache(make_recipe: MakeRecipe, tmp_path: Path, compiled: bool) -> None:
    training = {"accelerator": "gpu", "precision": "bf16-mixed", "ema": 0.9, "epochs": 15}
    recipe = make_recipe(
        training={**training, "device_cache": True, "compile": compiled}, input={"height": 64}
    )
    outcome = train(recipe, tmp_path / "run")
    assert outcome.val_scores["mAP"] > 0.8
