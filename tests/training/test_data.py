"""The loaders of a recipe: pictures that the host fetches, or that lie on the device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from passerby.config import Recipe
from passerby.data.device_cache import DeviceCacheLoader
from passerby.errors import DataError
from passerby.training import train
from passerby.training.data import TrainingData
from passerby.training.initialization import create_start
from passerby.types import Preprocess

MakeRecipe = Callable[..., Recipe]
Sections = dict[str, dict[str, Any]]

AUGMENTED: Sections = {
    "augmentation": {"pad_px": 2, "rotation_deg": 5, "contrast": 0.2, "hue": 0.05, "erase": 0.2},
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
"""A model that learns from parsing maps."""


def quiet(line: str) -> None:
    del line


def make_both(make: MakeRecipe, sections: Sections) -> tuple[Recipe, Recipe]:
    """The same recipe without and with device_cache pictures."""
    first, second = (
        make(**{**sections, "training": {**sections.get("training", {}), "device_cache": device_cache}})
        for device_cache in (False, True)
    )
    return first, second


def final_state(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {**checkpoint["state_dict"], **checkpoint.get("current_model_state", {})}


@pytest.mark.parametrize("sections", [AUGMENTED, PARSING], ids=["augmented", "parsing"])
def test_resident_pictures_train_the_same_weights(
    make_recipe: MakeRecipe, tmp_path: Path, sections: Sections
) -> None:
    recipes = make_both(make_recipe, sections)
    runs = [train(recipe, tmp_path / f"{i}", say=quiet) for i, recipe in enumerate(recipes)]
    fetched, device_cache = (final_state(outcome.run) for outcome in runs)
    assert fetched.keys() == device_cache.keys()
    for name, value in fetched.items():
        assert torch.equal(value, device_cache[name]), name
    assert runs[0].val_scores == runs[1].val_scores


def test_the_loaders_of_a_resident_run_hold_what_each_serves(make_recipe: MakeRecipe) -> None:
    recipe = make_both(make_recipe, PARSING)[1]
    data = TrainingData.load(recipe, Preprocess(**recipe.input.model_dump()), quiet)
    model = create_start(recipe.model, data.manifest.schema, say=quiet)
    loaders = data.create_loaders(recipe, model=model, rank=0, world_size=1, device=torch.device("cpu"))
    training, validation = loaders
    assert isinstance(training, DeviceCacheLoader)
    assert isinstance(validation, DeviceCacheLoader)
    assert (training.workers, validation.workers) == (0, 0)
    batch, other = next(iter(training)), next(iter(validation))
    assert batch.guidance.parsing is not None  # to learn from
    assert other.guidance.parsing is None
    assert (len(batch.rows), len(other.rows)) == (8, 8)


def test_a_device_that_is_too_small_is_told_before_the_first_step(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: DeviceCacheLoader, source: object) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(DeviceCacheLoader, "_hold", refuse)
    with pytest.raises(DataError, match=r"32 rows need 0\.00 GiB on cpu.*training\.device_cache: false"):
        train(make_recipe(training={"device_cache": True}), tmp_path / "run", say=quiet)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gpu_learns_from_resident_pictures(make_recipe: MakeRecipe, tmp_path: Path, compiled: bool) -> None:
    training = {"accelerator": "gpu", "precision": "bf16-mixed", "ema": 0.9, "epochs": 15}
    recipe = make_recipe(
        training={**training, "device_cache": True, "compile": compiled}, input={"height": 64}
    )
    outcome = train(recipe, tmp_path / "run", say=quiet)
    assert outcome.val_scores["mAP"] > 0.8
