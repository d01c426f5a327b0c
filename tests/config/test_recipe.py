"""The sections of a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from passerby.config import load_recipe
from passerby.errors import ConfigError


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {manifest: people.parquet, partition: own}\n")
    return path


def test_device_cache_and_compilation_are_off_by_default(recipe_path: Path, tmp_path: Path) -> None:
    training = load_recipe(recipe_path).training
    assert (training.device_cache, training.compile) == (False, False)
    recipe = load_recipe(recipe_path, ["training.device_cache=true", "training.compile=yes"])
    assert (recipe.training.device_cache, recipe.training.compile) == (True, True)
    again = tmp_path / "again.yaml"
    again.write_text(recipe.to_yaml())
    assert load_recipe(again) == recipe


@pytest.mark.parametrize("name", ["device_cache", "compile"])
def test_device_cache_and_compilation_are_booleans(recipe_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"training\.{name}: expected true or false, got 'gpu'"):
        load_recipe(recipe_path, [f"training.{name}=gpu"])
    with pytest.raises(ConfigError, match=rf"unknown key; did you mean '{name}'"):
        load_recipe(recipe_path, [f"training.{name}s=true"])


def test_thresholds_are_never_chosen_on_the_test_split(recipe_path: Path) -> None:
    assert load_recipe(recipe_path, ["training.calibrate=mA"]).training.calibrate == "mA"
    with pytest.raises(ConfigError, match=r"training\.calibrate with data\.val: test"):
        load_recipe(recipe_path, ["training.calibrate=f1", "data.val=test", "protocol=select-on-test"])


def test_teachers_as_labels_needs_a_loss_with_soft_labels(recipe_path: Path) -> None:
    assert load_recipe(recipe_path, ["loss.name=bce", "loss.teachers_as_labels=true"]).loss.teachers_as_labels
    with pytest.raises(ConfigError, match=r"expected the loss bce, got focal; remove teachers_as_labels"):
        load_recipe(recipe_path, ["loss.name=focal", "loss.teachers_as_labels=true"])
