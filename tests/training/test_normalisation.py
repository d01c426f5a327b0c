"""Mean and standard deviation of the input follow the initial weights unless the recipe states them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch

from passerby.bundle import Bundle
from passerby.config import Recipe, load_recipe
from passerby.config.packaged import list_recipes
from passerby.errors import ModelError
from passerby.models import list_arguments
from passerby.training import train
from passerby.types import Preprocess

MakeRecipe = Callable[..., Recipe]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def make_vit(make: MakeRecipe, **model: object) -> Recipe:
    """A recipe for a network whose weights expect mean and standard deviation 0.5."""
    arguments = {"backbone": "test_vit", "dropout": 0.0, "backbone_arguments": {"img_size": [32, 16]}}
    return make(
        model={"arguments": arguments, **model},
        input={"height": 32, "width": 16},
        training={"epochs": 1},
    )


def read(run: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of the bundle, which the recorded recipe must state as well."""
    preprocess, section = Bundle.load(run / "bundle").preprocess, load_recipe(run / "recipe.yaml").input
    assert (preprocess.mean, preprocess.std) == (section.mean, section.std)
    return preprocess.mean, preprocess.std


def test_a_weights_file_brings_mean_and_std_of_timm(
    make_recipe: MakeRecipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "passerby.training")
    path = tmp_path / "vit.pth"
    torch.save({"state_dict": timm.create_model("test_vit", img_size=(32, 16)).state_dict()}, path)
    recipe = make_vit(make_recipe, pretrained=str(path))
    assert read(train(recipe, tmp_path / "own").run) == HALF
    assert (
        "input.mean (0.5, 0.5, 0.5) and input.std (0.5, 0.5, 0.5), from timm for test_vit" in caplog.messages
    )
    assert Bundle.load(tmp_path / "own" / "bundle").metadata["pretraining"] == "vit"
    stated = recipe.model_copy(update={"input": recipe.input.model_copy(update={"mean": (0.1, 0.2, 0.3)})})
    assert read(train(stated, tmp_path / "stated").run) == ((0.1, 0.2, 0.3), HALF[1])


def test_random_weights_take_those_of_imagenet(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    assert read(train(make_vit(make_recipe, pretrained=False), tmp_path / "run").run) == IMAGENET


def test_a_bundle_to_start_from_brings_its_own(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_vit(make_recipe, pretrained=False)
    section = recipe.input.model_copy(update={"mean": (0.3, 0.3, 0.3), "std": (0.2, 0.2, 0.2)})
    first = train(recipe.model_copy(update={"input": section}), tmp_path / "first")
    again = make_vit(make_recipe, init_from=first.bundle)
    assert read(train(again, tmp_path / "again").run) == ((0.3, 0.3, 0.3), (0.2, 0.2, 0.2))


def test_packaged_recipes_without_mean_and_std_keep_those_of_imagenet() -> None:
    """Those without pretraining do; timm's weights of the others expect them."""
    checked = set()
    for recipe in list_recipes().values():
        if recipe.kind == "suite":
            continue
        try:
            loaded = load_recipe(recipe.path)
        except Exception:  # an environment variable in the path of a weights file
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("PASSERBY_WEIGHTS", "weights")
                loaded = load_recipe(recipe.path)
        if loaded.input.mean is not None or loaded.model.init_from is not None or not loaded.model.pretrained:
            continue
        name = loaded.model.arguments.get("backbone", list_arguments(loaded.model.name).get("backbone"))
        config = timm.get_pretrained_cfg(name)
        assert config is not None
        assert (tuple(config.mean), tuple(config.std)) == IMAGENET, recipe.name
        checked.add(name)
    assert {"resnet50", "resnet50.tv_in1k", "densenet121"} & checked
    assert (Preprocess().mean, Preprocess().std) == IMAGENET


def test_weights_out_of_reach_end_a_run_before_images_are_packed(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object, **options: object) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *given, **options: None)
    with pytest.raises(ModelError, match=r"cannot be reached .*; go online, give a weights file"):
        train(make_recipe(model={"pretrained": True}), tmp_path / "run")
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "run").exists()
