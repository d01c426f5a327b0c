"""A run from recipe to bundle, its interruption and its resumption."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from passerby.bundle import Bundle
from passerby.config import Recipe, load_recipe
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError, TrainingError
from passerby.evaluation import evaluate
from passerby.evaluation.calibration import choose_thresholds
from passerby.losses import StagedMultiTask
from passerby.models import SSPNet
from passerby.parsing import COARSE_CLASSES
from passerby.schema import Attribute, AttributeSchema, Split
from passerby.training import engine, environment, train
from passerby.training.callbacks import LastCheckpoint
from passerby.training.initialization import create_start
from passerby.training.run_folder import RunFolder
from passerby.types import Output

MakeRecipe = Callable[..., Recipe]

DIAA: dict[str, dict[str, object]] = {
    "model": {
        "name": "diaa",
        "pretrained": False,
        "arguments": {"backbone": "test_resnet", "attention_channels": 8},
    },
    "loss": {"name": "diaa", "arguments": {"burn_in": 0}},
}
"""A model whose loss remembers every sample: with three epochs, the third is weighted by two predictions."""

SSPNET: dict[str, dict[str, object]] = {
    "model": {
        "name": "sspnet",
        "pretrained": False,
        "arguments": {"backbone": "test_resnet", "pyramid_channels": 8, "selection_memory": 20},
    },
    "loss": {"name": "hierarchical", "arguments": {"weighting": "sb"}},
}
"""A model that counts beside the optimiser, and halves its counts within each epoch."""

MTMS: dict[str, dict[str, object]] = {
    "model": {
        "name": "mtms",
        "pretrained": False,
        "arguments": {"backbone": "test_resnet", "parsing_classes": "coarse"},
    },
    "loss": {"name": "mtms", "arguments": {"first_epochs": 1}},
    "input": {"height": 32, "width": 16},
}
"""A model of two stages, of which the second has no loss in the first epoch; learns parsing, too."""

DA_HAR: dict[str, dict[str, object]] = {
    "model": {
        "name": "da-har",
        "pretrained": False,
        "arguments": {"backbone": "test_resnet", "fusion_channels": 8, "attention_channels": 8},
    },
    "loss": {"name": "da-har", "arguments": {"weighting": "mixed"}},
    "input": {"height": 64, "width": 48},
    "augmentation": {"pad_px": 0, "crop_sides": (1.0, 0.75), "crop_to": 0.75, "contrast": 0.1},
}
"""Learns a mask from those who have one, on crops; needs `give_masks`."""

STAGE_TWO = ("attributes2", "parsing2", "attention", "backbone.network.stages.2", "backbone.network.layer3")


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "bundle" / "model.safetensors")


def final_state(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {**checkpoint["state_dict"], **checkpoint.get("current_model_state", {})}


def read_log(run: Path) -> list[dict[str, str]]:
    """The epochs' rows without the time they took."""
    with (run / "logs" / "metrics.csv").open() as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@contextmanager
def stopping_at(step: int) -> Iterator[None]:
    """The power fails once this step's checkpoint is written."""
    written = LastCheckpoint._write

    def write_then_stop(self: LastCheckpoint, trainer: object, *, due: bool) -> None:
        written(self, trainer, due=due)  # type: ignore[arg-type]
        if trainer.global_step == step:  # type: ignore[attr-defined]
            raise PowerFailureError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LastCheckpoint, "_write", write_then_stop)
        yield


def train_by_command(recipe: Recipe, folder: Path) -> Path:
    """The run folder of a training in a process of its own, which may start others."""
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    run = folder / "run"
    command = [sys.executable, "-m", "passerby", "train", str(folder / "recipe.yaml"), "--out", str(run)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return run


def quiet(line: str) -> None:
    del line


def test_a_run_leaves_everything_it_promises(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    lines: list[str] = []
    recipe = make_recipe()
    outcome = train(recipe, tmp_path / "run", say=lines.append)
    run = outcome.run
    assert load_recipe(run / "recipe.yaml") == recipe
    assert json.loads((run / "environment.json").read_text())["torch"] == torch.__version__.split("+")[0]
    with (run / "logs" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [row["step"] for row in rows] == ["4", "8", "12"]
    assert set(rows[0]) >= {"train_loss", "lr", "val_loss", "val_mA", "val_f1", "val_mAP", "seconds"}
    best = max(rows, key=lambda row: float(row["val_mA"]))
    assert outcome.val_scores["mA"] == float(best["val_mA"])
    assert list((run / "logs" / "tensorboard").glob("events*"))
    assert (run / "checkpoints" / "best.ckpt").is_file()
    assert sum("epoch" in line and "to go" in line for line in lines) == 3
    bundle = Bundle.load(outcome.bundle)
    assert bundle.schema.names == ("RedTop", "BlueBottom", "Bright")
    assert bundle.metadata["seed"] == 0
    assert str(tmp_path) not in (outcome.bundle / "config.json").read_text()


def test_it_learns(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    outcome = train(
        make_recipe(training={"epochs": 15}, augmentation={"pad_px": 0}), tmp_path / "run", say=quiet
    )
    assert outcome.val_scores["mAP"] > 0.9


def test_a_seed_fixes_a_run_and_another_seed_gives_another(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 2**32 - 1)):
        train(make_recipe().model_copy(update={"seed": seed}), tmp_path / name, say=quiet)
    assert_equal(final_state(tmp_path / "a"), final_state(tmp_path / "b"))
    with pytest.raises(AssertionError):
        assert_equal(final_state(tmp_path / "a"), final_state(tmp_path / "c"))


class PowerFailureError(Exception):
    """Stands for the power failing."""


@pytest.mark.parametrize("stop_at", [3, 4, 6, 11])
@pytest.mark.parametrize(
    "sections",
    [
        {"training": {"ema": 0.9, "checkpoint_every_steps": 1}},
        {
            "training": {"checkpoint_every_steps": 1},
            "schedule": {"name": "plateau", "patience": 0, "factor": 0.5, "warmup_epochs": 0},
        },
        {"training": {"checkpoint_every_steps": 1}, **DIAA},
        {"training": {"ema": 0.9, "checkpoint_every_steps": 1}, **DIAA},
        {"training": {"checkpoint_every_steps": 1}, **SSPNET},
        {"training": {"ema": 0.9, "checkpoint_every_steps": 1}, **SSPNET},
        {"training": {"checkpoint_every_steps": 1}, **MTMS},
        {"training": {"ema": 0.9, "checkpoint_every_steps": 1}, **DA_HAR},
        {"training": {"ema": 0.9, "checkpoint_every_steps": 1, "device_cache": True}, **DA_HAR},
    ],
    ids=[
        "ema-cosine",
        "plateau",
        "diaa",
        "diaa-ema",
        "sspnet",
        "sspnet-ema",
        "mtms",
        "da-har",
        "device_cache",
    ],
)
def test_a_resumed_run_equals_an_unbroken_one(
    make_recipe: MakeRecipe,
    tmp_path: Path,
    stop_at: int,
    sections: dict[str, dict[str, object]],
) -> None:
    recipe = make_recipe(**sections)
    if recipe.model.name == "da-har":
        give_masks(recipe, range(0, 48, 2))
    whole = train(recipe, tmp_path / "whole", say=quiet)

    with pytest.raises(PowerFailureError), stopping_at(stop_at):
        train(recipe, tmp_path / "unreadable", say=quiet)
    assert not (tmp_path / "unreadable" / "bundle").exists()
    resumed = train(recipe, tmp_path / "unreadable", resume=True, say=quiet)

    assert_equal(weights(whole.run), weights(resumed.run))
    assert_equal(final_state(whole.run), final_state(resumed.run))
    assert whole.val_scores == resumed.val_scores
    assert read_log(whole.run) == read_log(resumed.run)


SLOW_RUN = """
import sys, time
from pathlib import Path
from passerby.config import load_recipe
from passerby.training import train
from passerby.training.task import AttributeTask
step = AttributeTask.training_step
def slow(self, batch, batch_idx):
    time.sleep(0.2)
    return step(self, batch, batch_idx)
AttributeTask.training_step = slow
train(load_recipe(Path(sys.argv[1])), Path(sys.argv[2]))
"""


def start_slow_run(recipe: Recipe, folder: Path) -> "subprocess.Popen[str]":
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, str(folder / "recipe.yaml"), str(folder / "run")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    for _ in range(600):
        if path.exists():
            return
        if process.poll() is not None:
            pytest.fail(f"the run ended early: {process.communicate()[1]}")
        time.sleep(0.1)
    process.kill()
    pytest.fail(f"{path} did not appear")


@pytest.mark.slow
@pytest.mark.parametrize("model", [{}, DIAA], ids=["baseline", "diaa"])
def test_kill_minus_nine_in_mid_epoch_then_resume(
    make_recipe: MakeRecipe, tmp_path: Path, model: dict[str, dict[str, object]]
) -> None:
    recipe = make_recipe(training={"checkpoint_every_steps": 1, "ema": 0.9}, **model)
    process = start_slow_run(recipe, tmp_path)
    wait_for(tmp_path / "run" / "checkpoints" / "last.ckpt", process)
    time.sleep(0.3)
    process.kill()
    process.communicate()
    resumed = train(recipe, tmp_path / "run", resume=True, say=quiet)
    whole = train(recipe, tmp_path / "whole", say=quiet)
    assert_equal(weights(whole.run), weights(resumed.run))
    assert_equal(final_state(whole.run), final_state(resumed.run))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_writes_a_checkpoint_and_says_how_to_go_on(
    make_recipe: MakeRecipe, tmp_path: Path, number: signal.Signals
) -> None:
    recipe = make_recipe()  # no checkpoint within an epoch but the one that the signal asks for
    process = start_slow_run(recipe, tmp_path)
    wait_for(tmp_path / "run" / "logs" / "tensorboard", process)
    time.sleep(1.0)
    process.send_signal(number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert "go on from" in error
    assert "--resume" in error
    resumed = train(recipe, tmp_path / "run", resume=True, say=quiet)
    whole = train(recipe, tmp_path / "whole", say=quiet)
    assert_equal(final_state(whole.run), final_state(resumed.run))


def test_early_stopping_holds_after_a_power_failure(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(training={"epochs": 30, "early_stopping": 1}, optimizer={"lr": 1e-12})
    whole = train(recipe, tmp_path / "whole", say=quiet)

    def fail(*args: object, **kwargs: object) -> None:
        raise PowerFailureError

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", fail)
        with pytest.raises(PowerFailureError):
            train(recipe, tmp_path / "unreadable", say=quiet)
    resumed = train(recipe, tmp_path / "unreadable", resume=True, say=quiet)
    assert read_log(resumed.run) == read_log(whole.run)
    assert_equal(final_state(whole.run), final_state(resumed.run))


def test_a_run_that_never_started_is_not_in_the_way(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        train(make_recipe(loss={"name": "nonsense"}), tmp_path / "run", say=quiet)
    train(make_recipe(training={"epochs": 1}), tmp_path / "run", say=quiet)
    assert (tmp_path / "run" / "outcome.json").is_file()


def test_the_bundle_notes_the_commit_that_the_run_started_with(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = iter(("first", "second", "third"))
    monkeypatch.setattr(environment, "find_commit", lambda: next(commits))
    outcome = train(make_recipe(training={"epochs": 1}), tmp_path / "run", say=quiet)
    noted = Bundle.load(outcome.bundle).metadata["environment"]
    assert noted["commit"] == "first"
    assert noted["device"] == "cpu"


def test_a_device_that_is_not_there_is_explained(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TrainingError, match=r"training\.accelerator=gpu"):
        train(make_recipe(training={"accelerator": "gpu"}), tmp_path / "run", say=quiet)


@pytest.mark.parametrize("step", [6, 8])  # within an epoch, and its last
def test_weights_that_are_not_finite_are_neither_kept_nor_measured(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    spoil(monkeypatch, step, with_infinite_gradient)
    with pytest.raises(TrainingError, match=f"not finite after step {step} .*last good checkpoint"):
        train(make_recipe(training={"checkpoint_every_steps": 1}), tmp_path / "run", say=quiet)
    assert all(torch.isfinite(value).all() for value in final_state(tmp_path / "run").values())


STILL: dict[str, object] = {"optimizer": {"lr": 1e-12, "weight_decay": 0.0}, "augmentation": {"pad_px": 0}}


def init_from(make_recipe: MakeRecipe, bundle: Path, **sections: dict[str, object]) -> Recipe:
    """One epoch that hardly moves the weights."""
    model = {"init_from": bundle, **sections.pop("model", {})}
    return make_recipe(**{**STILL, "training": {"epochs": 1}, "model": model, **sections})


def trained_part(run: Path) -> dict[str, torch.Tensor]:
    return {k: v for k, v in weights(run).items() if k.endswith(("weight", "bias"))}


def test_a_run_starts_from_a_bundle(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    first = train(make_recipe(training={"epochs": 1}), tmp_path / "first", say=quiet)
    again = train(init_from(make_recipe, first.bundle), tmp_path / "again", say=quiet)
    for name, value in trained_part(first.run).items():
        assert torch.allclose(weights(again.run)[name], value, atol=1e-6), name
    assert Bundle.load(again.bundle).metadata["pretraining"] == "bundle baseline default tiny"


def test_a_start_of_other_attributes_keeps_what_both_know_by_name(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    two = make_recipe(training={"epochs": 1}, data={"attributes": ["RedTop", "Bright"]})
    first = train(two, tmp_path / "first", say=quiet)
    lines: list[str] = []
    recipe = init_from(make_recipe, first.bundle, data={"attributes": ["Bright", "BlueBottom", "RedTop"]})
    again = train(recipe, tmp_path / "again", say=lines.append)
    assert any(line.endswith("; fresh attributes: BlueBottom") for line in lines)
    before, after = weights(first.run), weights(again.run)
    for name, value in trained_part(first.run).items():
        mine = after[name][[2, 0]] if name.startswith("classifier") else after[name]
        assert torch.allclose(mine, value, atol=1e-6), name
    assert before["classifier.weight"].shape[0] == 2
    assert after["classifier.weight"].shape[0] == 3


def test_a_start_of_other_attributes_sorts_every_axis_of_attributes(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    arguments = {"backbone": "test_resnet", "aggregation": "strided-conv", "attention_channels": 4}
    model = {"name": "diaa", "pretrained": False, "arguments": arguments}
    recipe = make_recipe(model=model, loss=DIAA["loss"], training={"epochs": 1})
    first = train(recipe, tmp_path / "first", say=quiet)
    section = recipe.model.model_copy(update={"init_from": first.bundle})
    given = Bundle.load(first.bundle)
    names = ("Bright", "New", "RedTop")
    schema = AttributeSchema("other", tuple(Attribute(name, "has it") for name in names))
    started = create_start(section, schema, say=quiet).state_dict()
    theirs = given.model.state_dict()
    mine, old = [0, 2], [2, 0]  # Bright and RedTop, here and in the bundle
    for name in ("shrink.weight", "attention_classifiers.attention.linear.weight"):
        assert torch.equal(started[name][mine][:, mine], theirs[name][old][:, old]), name
    name = "attention.3.attention.6.weight"
    assert torch.equal(started[name][mine], theirs[name][old])
    assert started[name][1].abs().sum() > 0
    strangers = AttributeSchema("strangers", (Attribute("New", "has it"),))  # none in common: all are fresh
    assert create_start(section, strangers, say=quiet).schema.names == ("New",)


def test_a_start_of_other_attributes_finds_their_rows_in_the_classifier_of_a_part(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(training={"epochs": 1}, **SSPNET)
    first = train(recipe, tmp_path / "first", say=quiet)
    section = recipe.model.model_copy(update={"init_from": first.bundle})
    theirs = Bundle.load(first.bundle).model.state_dict()
    splits: dict[str, Split] = {"Bright": "all", "New": "torso", "RedTop": "torso", "Low": "bottom"}
    schema = AttributeSchema("other", tuple(Attribute(n, "has it", split=p) for n, p in splits.items()))
    started = create_start(section, schema, say=quiet).state_dict()
    for scale in (1, 2, 3):
        for name in ("weight", "bias"):
            torso = f"classifiers.P{scale}.torso.{name}"
            assert torch.equal(started[torso][1:], theirs[torso])
            assert not torch.equal(started[torso][:1], theirs[torso])
            everywhere = f"classifiers.P{scale}.all.{name}"
            assert torch.equal(started[everywhere], theirs[everywhere])
    assert torch.equal(started["pyramid.lateral.0.weight"], theirs["pyramid.lateral.0.weight"])
    assert theirs["selection.samples"] > 0
    assert not any(started[f"selection.{name}"].any() for name in ("hits", "seen", "samples"))


def test_what_a_model_looks_at_must_be_there_in_training(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    model: dict[str, object] = {**SSPNET["model"]}
    model["arguments"] = {"backbone": "test_resnet", "pyramid_channels": 8, "locations": "keypoints"}
    with pytest.raises(TrainingError, match=r"sspnet needs keypoints to train, and nobody in .* has any"):
        train(make_recipe(model=model, loss=SSPNET["loss"]), tmp_path / "run", say=quiet)


def test_a_bundle_of_another_backbone_is_no_start(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    first = train(make_recipe(training={"epochs": 1}), tmp_path / "first", say=quiet)
    other = init_from(make_recipe, first.bundle, model={"arguments": {"backbone": "test_vit"}})
    with pytest.raises(TrainingError, match=r"model\.init_from: only \d+ of \d+ tensors"):
        train(other, tmp_path / "again", say=quiet)


def test_resuming_with_another_recipe_is_refused(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    train(make_recipe(training={"epochs": 1}), tmp_path / "run", say=quiet)
    with pytest.raises(TrainingError, match="differs from the recipe given"):
        train(make_recipe(training={"epochs": 2}), tmp_path / "run", resume=True, say=quiet)


def test_an_existing_folder_is_not_overwritten(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("dear to me")
    with pytest.raises(TrainingError, match="is there already"):
        train(make_recipe(), tmp_path / "run", say=quiet)
    assert (tmp_path / "run" / "thesis.txt").read_text() == "dear to me"


def test_resuming_a_finished_run_returns_it(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(training={"epochs": 1})
    first = train(recipe, tmp_path / "run", say=quiet)
    lines: list[str] = []
    assert train(recipe, tmp_path / "run", resume=True, say=lines.append) == first
    assert lines == [f"{tmp_path / 'run'} is finished already"]


def test_the_average_is_what_is_validated_and_saved(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    outcome = train(make_recipe(training={"ema": 0.9, "epochs": 2}), tmp_path / "run", say=quiet)
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    saved = weights(outcome.run)
    averaged = {
        k.removeprefix("model."): v for k, v in checkpoint["state_dict"].items() if k.startswith("model.")
    }
    raw = {k.removeprefix("model."): v for k, v in checkpoint["current_model_state"].items()}
    assert_equal(saved, averaged)
    assert any(not torch.equal(saved[name], raw[name]) for name in saved)


Terms = dict[str, torch.Tensor]


def spoil(monkeypatch: pytest.MonkeyPatch, step: int, change: Callable[[Output, Terms], Terms]) -> None:
    """Change the loss terms of one training step, counted from 1."""
    create = engine.create_loss

    def create_spoiled(*args: object, **kwargs: object) -> torch.nn.Module:
        loss = create(*args, **kwargs)  # type: ignore[arg-type]
        calls = {"n": 0}

        class Spoiled(torch.nn.Module):
            def forward(self, output: Output, labels: torch.Tensor, batch: object) -> Terms:
                terms: Terms = loss(output, labels, batch)
                calls["n"] += self.training
                return change(output, terms) if self.training and calls["n"] == step else terms

        return Spoiled()

    monkeypatch.setattr(engine, "create_loss", create_spoiled)


def with_nan(output: Output, terms: Terms) -> Terms:
    return {**terms, "total": terms["total"] * float("nan")}


def with_infinite_gradient(output: Output, terms: Terms) -> Terms:
    output.logits.register_hook(lambda gradient: gradient * float("inf"))
    return terms


def test_a_loss_that_is_not_finite_stops_with_all_names(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, 6, with_nan)
    with pytest.raises(TrainingError) as caught:
        train(make_recipe(), tmp_path / "run", say=quiet)
    text = str(caught.value)
    assert "step 5 (epoch 1)" in text
    assert text.count("images/") == 8
    assert f"last good checkpoint is {tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}" in text


def test_early_stopping_ends_the_run(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(training={"epochs": 30, "early_stopping": 1}, optimizer={"lr": 1e-12})
    outcome = train(recipe, tmp_path / "run", say=quiet)
    assert len((outcome.run / "logs" / "metrics.csv").read_text().splitlines()) < 10


@pytest.mark.parametrize("on_unreadable", ["raise", "skip"])
def test_a_broken_picture_is_named(
    make_recipe: MakeRecipe, manifest_path: Path, tmp_path: Path, on_unreadable: str
) -> None:
    (tmp_path / "people" / "images" / "005.png").write_bytes(b"no picture")
    recipe = make_recipe(data={"on_unreadable": on_unreadable}, training={"epochs": 1})
    lines: list[str] = []
    if on_unreadable == "raise":
        with pytest.raises(DataError, match=r"005\.png"):
            train(recipe, tmp_path / "run", say=lines.append)
    else:
        outcome = train(recipe, tmp_path / "run", say=lines.append)
        assert any("skipped images/005.png" in line for line in lines)
        assert Bundle.load(outcome.bundle).metadata["train_images"] == 31


def test_a_batch_larger_than_the_data_is_explained(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="make no full batch of 64"):
        train(make_recipe(training={"batch_size": 64}), tmp_path / "run", say=quiet)


def test_selected_attributes_keep_their_order(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(data={"attributes": ["Bright", "RedTop"]}, training={"epochs": 1})
    bundle = Bundle.load(train(recipe, tmp_path / "run", say=quiet).bundle)
    assert bundle.schema.names == ("Bright", "RedTop")


def test_the_history_of_a_run_holds_every_sample_that_trained(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    run = train(make_recipe(**DIAA), tmp_path / "run", say=quiet).run
    state = final_state(run)
    assert state["criterion.history.visits"].tolist() == [3] * 32
    kept = state["criterion.history.probs"]
    assert kept.dtype == torch.float16
    assert kept.shape == (32, 5, 3)
    assert bool((kept[:, :3] > 0).all())
    assert not kept[:, 3:].any()
    assert not any("history" in name for name in weights(run))


def test_an_average_shares_what_the_criterion_remembers(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    sections = {**DIAA, "training": {"ema": 0.9}}
    run = train(make_recipe(**sections), tmp_path / "run", say=quiet).run
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    for name in ("visits", "probs", "rows"):
        averaged, current = (
            checkpoint[key][f"criterion.history.{name}"] for key in ("state_dict", "current_model_state")
        )
        assert torch.equal(averaged, current), name
    name = "model.classifier.weight"
    assert not torch.equal(checkpoint["state_dict"][name], checkpoint["current_model_state"][name])


@pytest.mark.slow
@pytest.mark.parametrize("ema", [None, 0.9])
def test_two_processes_keep_one_history(make_recipe: MakeRecipe, tmp_path: Path, ema: float | None) -> None:
    """Samples change places between the processes from epoch to epoch, yet none is lost or counted twice."""
    recipe = make_recipe(training={"devices": 2, "batch_size": 4, "ema": ema}, **DIAA)
    run = train_by_command(recipe, tmp_path)
    state = final_state(run)
    assert state["criterion.history.visits"].tolist() == [3] * 32
    assert bool((state["criterion.history.probs"][:, :3] > 0).all())


@pytest.mark.parametrize("ema", [None, 0.9])
def test_the_chosen_scales_are_logged_and_kept_in_the_bundle(
    make_recipe: MakeRecipe, tmp_path: Path, ema: float | None
) -> None:
    run = train(make_recipe(training={"ema": ema}, **SSPNET), tmp_path / "run", say=quiet).run
    log = read_log(run)
    for row in log:
        for split in ("torso", "bottom", "all"):
            running = [float(row[f"running_mA/{split}/P{scale}"]) for scale in (1, 2, 3)]
            assert running[int(float(row[f"scale/{split}"])) - 1] == max(running)
    best = max(log, key=lambda row: float(row["val_mA"]))
    model = Bundle.load(run / "bundle").model
    assert isinstance(model, SSPNet)
    expected = [int(float(best[f"scale/{split}"])) for split in ("torso", "bottom", "all")]
    assert list(model.scales) == expected
    assert weights(run)["selection.choice"].tolist() == expected


@pytest.mark.slow
@pytest.mark.parametrize("ema", [None, 0.9])
def test_two_processes_count_each_sample_once(
    make_recipe: MakeRecipe, manifest_path: Path, tmp_path: Path, ema: float | None
) -> None:
    recipe = make_recipe(training={"devices": 2, "batch_size": 4, "ema": ema}, **SSPNET)
    arguments = {**recipe.model.arguments, "selection_memory": 1000}
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"arguments": arguments})})
    run = train_by_command(recipe, tmp_path)
    state = final_state(run)
    assert int(state["model.selection.samples"]) == 3 * 32
    manifest = Manifest.load(manifest_path)
    labels = torch.from_numpy(manifest.labels[manifest.split_rows("own", "train")])
    expected = torch.stack([(labels == 1).sum(0), (labels == 0).sum(0)], dim=1)
    assert torch.equal(state["model.selection.seen"], 3 * expected)
    assert bool((state["model.selection.hits"] <= state["model.selection.seen"]).all())


def test_the_second_stage_waits_for_the_first(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a loss in the first epoch, with one from the second on."""
    seen: list[set[str]] = []
    compute = StagedMultiTask.forward

    def watch(self: StagedMultiTask, *given: Any) -> dict[str, torch.Tensor]:
        terms = compute(self, *given)
        if self.training:
            seen.append(set(terms) - {"total"})
        return terms

    monkeypatch.setattr(StagedMultiTask, "forward", watch)
    train(make_recipe(**MTMS), tmp_path / "run", say=quiet)
    first = {"attributes/stage1", "parsing/stage1"}
    both = first | {"attributes/stage2", "parsing/stage2"}
    assert seen == [first] * 4 + [both] * 8


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("lip", r"learns the parsing classes Background.*have background.*parsing-from relabel"),
        ("mask", r"mtms needs masks to train, and nobody in .* has any"),
    ],
)
def test_parsing_maps_of_other_classes_are_refused(
    make_recipe: MakeRecipe, tmp_path: Path, classes: str, message: str
) -> None:
    model: dict[str, object] = {**MTMS["model"]}
    model["arguments"] = {"backbone": "test_resnet", "parsing_classes": classes}
    with pytest.raises(TrainingError, match=message):
        train(make_recipe(**{**MTMS, "model": model}), tmp_path / "run", say=quiet)


def test_masks_to_learn_from_may_be_missing_for_some(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    model: dict[str, object] = {**MTMS["model"]}
    model["arguments"] = {"backbone": "test_resnet", "parsing_classes": "mask"}
    recipe = make_recipe(**{**MTMS, "model": model, "training": {"epochs": 2}})
    manifest = Manifest.load(recipe.data.manifest)
    masks: list[str | None] = list(manifest.paths("parsing"))  # above 0 everywhere
    manifest.with_guidance(masks=masks).write(recipe.data.manifest)
    assert train(recipe, tmp_path / "run", say=quiet).run.is_dir()
    for count in (1, 31):
        masks[:count] = [None] * count
        manifest.with_guidance(masks=masks).write(recipe.data.manifest)
        assert train(recipe, tmp_path / f"without {count}", say=quiet).run.is_dir()
    masks[:32] = [None] * 32
    manifest.with_guidance(masks=masks).write(recipe.data.manifest)
    with pytest.raises(TrainingError, match=r"learns from masks, and none of the 32 training rows of .* any"):
        train(recipe, tmp_path / "other", say=quiet)


def give_masks(recipe: Recipe, rows: range) -> None:
    """Everybody becomes green above, and some have a mask of that."""
    manifest = Manifest.load(recipe.data.manifest)
    masks: list[str | None] = [None] * len(manifest)
    (manifest.root / "masks").mkdir(exist_ok=True)
    upper = np.repeat(np.uint8([1, 0]), 12)[:, None].repeat(16, 1)
    for row, image in enumerate(manifest.images):
        pixels = np.asarray(Image.open(manifest.root / image)).copy()
        pixels[..., 1] = np.where(upper, 255, pixels[..., 1])
        Image.fromarray(pixels).save(manifest.root / image)
        if row in rows:
            masks[row] = f"masks/{row}.png"
            Image.fromarray(upper).save(manifest.root / f"masks/{row}.png")
    manifest.with_guidance(masks=masks).write(recipe.data.manifest)


def test_masks_teach_where_the_person_is_and_labels_alone_do_not(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    """Half of the people have a mask; what was learnt from them holds for the others."""
    recipe = make_recipe(**DA_HAR, training={"epochs": 32}, optimizer={"lr": 1e-2})
    give_masks(recipe, range(0, 48, 2))
    lines: list[str] = []
    found = {}
    for supervised in (True, False):
        model = recipe.model.model_dump()
        model["arguments"]["mask_supervision"] = supervised
        changed = Recipe.model_validate({**recipe.model_dump(), "model": model})
        run = train(changed, tmp_path / f"{supervised}", say=lines.append).run
        manifest = Manifest.load(recipe.data.manifest)
        give_masks(recipe, range(48))
        everybody = Manifest.load(recipe.data.manifest)
        bundle = Bundle.load(run / "bundle")
        last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        weights = {key.removeprefix("model."): last[key] for key in last if key.startswith("model.")}
        bundle.model.load_state_dict(weights)  # not the best epoch's, which eight people's labels choose
        evaluation = evaluate(bundle, everybody, partition="own")
        manifest.write(recipe.data.manifest)
        found[supervised] = evaluation.parsing["mask"].iou["person"]
    assert "16 of 32 training pictures have no masks" in lines
    assert found[True] > 0.8
    assert found[False] < 0.6


def test_crops_of_a_size_that_the_backbone_refuses_are_told(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    sections: dict[str, dict[str, object]] = {**DA_HAR}
    sections["model"] = {
        "name": "baseline",
        "pretrained": False,
        "arguments": {"backbone": "test_vit", "dropout": 0.0},
    }
    sections["loss"] = {"name": "bce", "arguments": {}}
    with pytest.raises(
        TrainingError, match=r"takes no crops of 48×36 pixels .*divisible.*; set augmentation.crop_to: 1"
    ):
        train(make_recipe(**sections), tmp_path / "run", say=quiet)


def test_what_has_no_loss_keeps_its_weights(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(**MTMS, training={"epochs": 2, "checkpoint_every_steps": 1})
    torch.manual_seed(recipe.seed)
    start = create_start(recipe.model, Manifest.load(recipe.data.manifest).schema, say=quiet)
    names = {k for k, _ in start.named_parameters() if k.startswith(STAGE_TWO)}
    before = {k: v.clone() for k, v in start.state_dict().items()}
    moved = {}
    for step in (4, 5):
        with pytest.raises(PowerFailureError), stopping_at(step):
            train(recipe, tmp_path / str(step), say=quiet)
        state = final_state(tmp_path / str(step))
        moved[step] = {k for k, v in before.items() if not torch.equal(v, state[f"model.{k}"])}
    assert not names & moved[4]
    assert {"attributes1.weight", "parsing1.weight", "attributes1_tail.layers.0.conv1.weight"} <= moved[4]
    assert {"attributes2.weight", "parsing2.weight", "attention.weight.weight"} <= moved[5]


def test_stage_one_may_not_train_alone_to_the_end(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(**{**MTMS, "loss": {"name": "mtms", "arguments": {"first_epochs": 3}}})
    with pytest.raises(TrainingError, match=r"first_epochs below training\.epochs \(3\), got 3"):
        train(recipe, tmp_path / "run", say=quiet)


def test_parsing_is_not_learnt_without_a_map(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    """A few rows may lack one; if all do, nothing is learnt; names must be known."""
    recipe = make_recipe(**MTMS, training={"epochs": 2})
    manifest = Manifest.load(recipe.data.manifest)
    maps = list(manifest.paths("parsing"))
    some = [None if i % 2 else path for i, path in enumerate(maps)]
    manifest.with_guidance(parsing=some, parsing_classes=COARSE_CLASSES).write(recipe.data.manifest)
    assert train(recipe, tmp_path / "some", say=quiet).run.is_dir()
    none = [None if i < 32 else path for i, path in enumerate(maps)]
    manifest.with_guidance(parsing=none, parsing_classes=COARSE_CLASSES).write(recipe.data.manifest)
    with pytest.raises(TrainingError, match=r"none of the 32 training rows of .* has any"):
        train(recipe, tmp_path / "none", say=quiet)
    replace(manifest, parsing_classes=()).write(recipe.data.manifest)
    with pytest.raises(TrainingError, match=r"do not say theirs.*--parsing-from given"):
        train(recipe, tmp_path / "unnamed", say=quiet)


@pytest.mark.slow
def test_two_processes_train_stage_by_stage(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(training={"devices": 2, "epochs": 2, "batch_size": 4}, **MTMS)
    run = train_by_command(recipe, tmp_path)
    assert len(read_log(run)) == 2
    torch.manual_seed(recipe.seed)
    start = create_start(recipe.model, Manifest.load(recipe.data.manifest).schema, say=quiet).state_dict()
    state = final_state(run)
    for name in ("attributes1.weight", "attributes2.weight", "parsing2.weight"):
        assert not torch.equal(start[name], state[f"model.{name}"]), name


@pytest.mark.slow
def test_two_processes_train_one_model(make_recipe: MakeRecipe, manifest_path: Path, tmp_path: Path) -> None:
    recipe = make_recipe(training={"devices": 2, "epochs": 2, "batch_size": 4, "ema": 0.9})
    run = train_by_command(recipe, tmp_path)
    bundle = Bundle.load(run / "bundle")
    manifest = Manifest.load(manifest_path)
    rows = manifest.split_rows("own", "val")
    images = np.stack([np.asarray(Image.open(manifest.root / manifest.images[r])) for r in rows])
    probs = bundle.predict_batch(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
    with (run / "logs" / "metrics.csv").open() as file:
        logged = [float(row["val_mA"]) for row in csv.DictReader(file)]
    from passerby.metrics import AttributeMetrics

    metric = AttributeMetrics(3)
    metric.update(probs, torch.from_numpy(manifest.labels[rows]))
    assert metric.compute().mA == pytest.approx(max(logged), abs=1e-6)


def test_thresholds_are_chosen_on_the_validation_part(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = partial(choose_thresholds, least=1)  # eight pictures validate here
    monkeypatch.setattr("passerby.evaluation.calibration.choose_thresholds", choose)
    recipe = make_recipe(training={"epochs": 1, "calibrate": "f1"})
    plain = Bundle.load(train(make_recipe(training={"epochs": 1}), tmp_path / "plain").bundle)
    own = Bundle.load(train(recipe, tmp_path / "own").bundle)
    evaluation = evaluate(plain, Manifest.load(recipe.data.manifest), partition="own", split="val")
    assert set(plain.thresholds) == {0.5}
    want = choose_thresholds(evaluation.probs, evaluation.labels, goal="f1", least=1)
    assert 0.5 not in want
    np.testing.assert_allclose(own.thresholds, want, rtol=1e-4)
    assert own.metadata["calibration"] == "thresholds for the best f1 on tiny own/val"
