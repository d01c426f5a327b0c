"""A training run from recipe to bundle, with interruption and resumption."""

import csv
import json
import logging
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
from passerby.schema import Attribute, AttributeSchema, BodyPart
from passerby.training import criterion, environment, train
from passerby.training.callbacks import LastCheckpoint
from passerby.training.initialization import initialize_model
from passerby.training.resuming import fill_open
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
"""A model whose loss keeps a history of each sample: the third epoch is weighted by two predictions."""

SSPNET: dict[str, dict[str, object]] = {
    "model": {
        "name": "sspnet",
        "pretrained": False,
        "arguments": {"backbone": "test_resnet", "pyramid_channels": 8, "selection_memory": 20},
    },
    "loss": {"name": "hierarchical", "arguments": {"weighting": "sb"}},
}
"""A model with counts that the optimiser does not update, and that it halves within each epoch."""

MTMS: dict[str, dict[str, object]] = {
    "model": {
        "name": "mtms",
        "pretrained": False,
        "arguments": {"backbone": "test_resnet", "parsing_classes": "coarse"},
    },
    "loss": {"name": "mtms", "arguments": {"first_epochs": 1}},
    "input": {"height": 32, "width": 16},
}
"""A model with two stages and parsing maps. The second stage has no loss in the first epoch."""

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
"""A model that is trained with masks, on crops; needs `add_masks`."""

LIMIT_S = 900
"""Far more than a busy machine needs; only a failing test takes that long."""

STAGE_TWO = ("attributes2", "parsing2", "attention", "backbone.network.stages.2", "backbone.network.layer3")


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "bundle" / "model.safetensors")


def final_state(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {**checkpoint["state_dict"], **checkpoint.get("current_model_state", {})}


def read_log(run: Path) -> list[dict[str, str]]:
    """The rows of the log without their times."""
    with (run / "logs" / "metrics.csv").open() as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@contextmanager
def power_failure_after(step: int) -> Iterator[None]:
    """Raise an error once the checkpoint of a step is written."""
    write = LastCheckpoint._write

    def write_then_fail(self: LastCheckpoint, trainer: object, *, due: bool) -> None:
        write(self, trainer, due=due)  # type: ignore[arg-type]
        if trainer.global_step == step:  # type: ignore[attr-defined]
            raise PowerFailureError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LastCheckpoint, "_write", write_then_fail)
        yield


def train_by_command(recipe: Recipe, folder: Path) -> Path:
    """The run folder of a training in a separate process, which may start others."""
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    run = folder / "run"
    command = [sys.executable, "-m", "passerby", "train", str(folder / "recipe.yaml"), "--out", str(run)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return run


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "passerby.training")
    return caplog


def test_a_run_writes_all_its_files(
    make_recipe: MakeRecipe, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    recipe = make_recipe()
    outcome = train(recipe, tmp_path / "run")
    run = outcome.run
    recorded = load_recipe(run / "recipe.yaml")
    assert (recorded.input.mean, recorded.input.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert recorded == fill_open(recipe, recorded)
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
    assert sum("epoch" in line and " left" in line for line in log.messages) == 3
    bundle = Bundle.load(outcome.bundle)
    assert bundle.schema.names == ("RedTop", "BlueBottom", "Bright")
    assert bundle.metadata["seed"] == 0
    assert str(tmp_path) not in (outcome.bundle / "config.json").read_text()


def test_a_bundle_knows_the_domain_of_its_data(
    make_recipe: MakeRecipe, manifest_path: Path, tmp_path: Path
) -> None:
    replace(Manifest.load(manifest_path), domain="synthetic people").write(manifest_path)
    outcome = train(make_recipe(training={"epochs": 1}), tmp_path / "run")
    assert Bundle.load(outcome.bundle).domain == "synthetic people"


def test_training_fits_the_data(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    outcome = train(make_recipe(training={"epochs": 15}, augmentation={"pad_px": 0}), tmp_path / "run")
    assert outcome.val_scores["mAP"] > 0.9


def test_a_seed_fixes_a_run_and_another_seed_gives_another(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 2**32 - 1)):
        train(make_recipe().model_copy(update={"seed": seed}), tmp_path / name)
    assert_equal(final_state(tmp_path / "a"), final_state(tmp_path / "b"))
    with pytest.raises(AssertionError):
        assert_equal(final_state(tmp_path / "a"), final_state(tmp_path / "c"))


class PowerFailureError(Exception):
    """Stands for a power failure."""


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
def test_a_resumed_run_equals_an_uninterrupted_one(
    make_recipe: MakeRecipe,
    tmp_path: Path,
    stop_at: int,
    sections: dict[str, dict[str, object]],
) -> None:
    recipe = make_recipe(**sections)
    if recipe.model.name == "da-har":
        add_masks(recipe, range(0, 48, 2))
    whole = train(recipe, tmp_path / "whole")

    with pytest.raises(PowerFailureError), power_failure_after(stop_at):
        train(recipe, tmp_path / "interrupted")
    assert not (tmp_path / "interrupted" / "bundle").exists()
    resumed = train(recipe, tmp_path / "interrupted", resume=True)

    assert_equal(weights(whole.run), weights(resumed.run))
    assert_equal(final_state(whole.run), final_state(resumed.run))
    assert whole.val_scores == resumed.val_scores
    assert read_log(whole.run) == read_log(resumed.run)


PAUSED_RUN = """
import sys, time
from pathlib import Path
from passerby.config import load_recipe
from passerby.training import train
from passerby.training.task import AttributeTask
folder = Path(sys.argv[1])
step = AttributeTask.training_step
def pause(self, batch, batch_idx):
    if self.global_step == 5:  # the second step of the second epoch
        (folder / "paused").touch()
        while not (folder / "continue").exists():
            time.sleep(0.05)
    return step(self, batch, batch_idx)
AttributeTask.training_step = pause
train(load_recipe(folder / "recipe.yaml"), folder / "run")
"""


@contextmanager
def paused_run(recipe: Recipe, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A training process that waits within its second epoch until the file `continue` exists."""
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    process = subprocess.Popen(
        [sys.executable, "-c", PAUSED_RUN, str(folder)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        end = time.monotonic() + LIMIT_S
        while not (folder / "paused").exists():
            assert process.poll() is None, f"the run ended early: {process.communicate()[1]}"
            assert time.monotonic() < end, "the run did not reach its second epoch"
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("model", [{}, DIAA], ids=["baseline", "diaa"])
def test_a_killed_run_resumes_within_an_epoch(
    make_recipe: MakeRecipe, tmp_path: Path, model: dict[str, dict[str, object]]
) -> None:
    recipe = make_recipe(training={"checkpoint_every_steps": 1, "ema": 0.9}, **model)
    with paused_run(recipe, tmp_path) as process:
        process.kill()
        process.communicate()
    resumed = train(recipe, tmp_path / "run", resume=True)
    whole = train(recipe, tmp_path / "whole")
    assert_equal(weights(whole.run), weights(resumed.run))
    assert_equal(final_state(whole.run), final_state(resumed.run))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_writes_a_checkpoint_to_resume_from(
    make_recipe: MakeRecipe, tmp_path: Path, number: signal.Signals
) -> None:
    recipe = make_recipe()  # no checkpoints within an epoch, except after a signal
    with paused_run(recipe, tmp_path) as process:
        process.send_signal(number)
        (tmp_path / "continue").touch()
        error = process.communicate(timeout=LIMIT_S)[1]
    assert process.returncode != 0
    assert "interrupted after step 6; continue from" in error
    assert "--resume" in error
    resumed = train(recipe, tmp_path / "run", resume=True)
    whole = train(recipe, tmp_path / "whole")
    assert_equal(final_state(whole.run), final_state(resumed.run))


def test_early_stopping_holds_after_a_power_failure(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(training={"epochs": 30, "early_stopping": 1}, optimizer={"lr": 1e-12})
    whole = train(recipe, tmp_path / "whole")

    def fail(*args: object, **kwargs: object) -> None:
        raise PowerFailureError

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", fail)
        with pytest.raises(PowerFailureError):
            train(recipe, tmp_path / "interrupted")
    resumed = train(recipe, tmp_path / "interrupted", resume=True)
    assert read_log(resumed.run) == read_log(whole.run)
    assert_equal(final_state(whole.run), final_state(resumed.run))


def test_the_folder_of_an_unstarted_run_is_used_again(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        train(make_recipe(loss={"name": "nonsense"}), tmp_path / "run")
    train(make_recipe(training={"epochs": 1}), tmp_path / "run")
    assert (tmp_path / "run" / "outcome.json").is_file()


def test_the_bundle_notes_the_commit_that_the_run_started_with(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = iter(("first", "second", "third"))
    monkeypatch.setattr(environment, "find_commit", lambda: next(commits))
    outcome = train(make_recipe(training={"epochs": 1}), tmp_path / "run")
    noted = Bundle.load(outcome.bundle).metadata["environment"]
    assert noted["commit"] == "first"
    assert noted["device"] == "cpu"


def test_a_missing_device_is_reported(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TrainingError, match=r"training\.accelerator=gpu"):
        train(make_recipe(training={"accelerator": "gpu"}), tmp_path / "run")


@pytest.mark.parametrize("step", [6, 8])  # within an epoch, and its last
def test_weights_that_are_not_finite_are_neither_saved_nor_validated(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    spoil(monkeypatch, step, with_infinite_gradient)
    with pytest.raises(TrainingError, match=f"not finite after step {step} .*last good checkpoint"):
        train(make_recipe(training={"checkpoint_every_steps": 1}), tmp_path / "run")
    assert all(torch.isfinite(value).all() for value in final_state(tmp_path / "run").values())


STILL: dict[str, object] = {"optimizer": {"lr": 1e-12, "weight_decay": 0.0}, "augmentation": {"pad_px": 0}}


def init_from(make_recipe: MakeRecipe, bundle: Path, **sections: dict[str, object]) -> Recipe:
    """A recipe of one epoch that hardly changes the weights."""
    model = {"init_from": bundle, **sections.pop("model", {})}
    return make_recipe(**{**STILL, "training": {"epochs": 1}, "model": model, **sections})


def parameters_of(run: Path) -> dict[str, torch.Tensor]:
    return {k: v for k, v in weights(run).items() if k.endswith(("weight", "bias"))}


def test_a_run_is_initialized_from_a_bundle(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    first = train(make_recipe(training={"epochs": 1}), tmp_path / "first")
    again = train(init_from(make_recipe, first.bundle), tmp_path / "again")
    for name, value in parameters_of(first.run).items():
        assert torch.allclose(weights(again.run)[name], value, atol=1e-6), name
    assert Bundle.load(again.bundle).metadata["pretraining"] == "bundle baseline default tiny"


def test_attributes_are_initialized_by_name(
    make_recipe: MakeRecipe, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    two = make_recipe(training={"epochs": 1}, data={"attributes": ["RedTop", "Bright"]})
    first = train(two, tmp_path / "first")
    recipe = init_from(make_recipe, first.bundle, data={"attributes": ["Bright", "BlueBottom", "RedTop"]})
    again = train(recipe, tmp_path / "again")
    assert any(line.endswith("; new attributes: BlueBottom") for line in log.messages)
    before, after = weights(first.run), weights(again.run)
    for name, value in parameters_of(first.run).items():
        mine = after[name][[2, 0]] if name.startswith("classifier") else after[name]
        assert torch.allclose(mine, value, atol=1e-6), name
    assert before["classifier.weight"].shape[0] == 2
    assert after["classifier.weight"].shape[0] == 3


def test_every_axis_of_attributes_is_initialized_by_name(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    arguments = {"backbone": "test_resnet", "aggregation": "strided-conv", "attention_channels": 4}
    model = {"name": "diaa", "pretrained": False, "arguments": arguments}
    recipe = make_recipe(model=model, loss=DIAA["loss"], training={"epochs": 1})
    first = train(recipe, tmp_path / "first")
    section = recipe.model.model_copy(update={"init_from": first.bundle})
    given = Bundle.load(first.bundle)
    names = ("Bright", "New", "RedTop")
    schema = AttributeSchema("other", tuple(Attribute(name, "has it") for name in names))
    started = initialize_model(section, schema).state_dict()
    theirs = given.model.state_dict()
    mine, old = [0, 2], [2, 0]  # Bright and RedTop, here and in the bundle
    for name in ("shrink.weight", "attention_classifiers.attention.linear.weight"):
        assert torch.equal(started[name][mine][:, mine], theirs[name][old][:, old]), name
    name = "attention.3.attention.6.weight"
    assert torch.equal(started[name][mine], theirs[name][old])
    assert started[name][1].abs().sum() > 0
    disjoint = AttributeSchema("disjoint", (Attribute("New", "has it"),))  # no common attribute
    assert initialize_model(section, disjoint).schema.names == ("New",)


def test_rows_of_body_part_classifiers_are_initialized_by_name(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(training={"epochs": 1}, **SSPNET)
    first = train(recipe, tmp_path / "first")
    section = recipe.model.model_copy(update={"init_from": first.bundle})
    theirs = Bundle.load(first.bundle).model.state_dict()
    body_parts: dict[str, BodyPart] = {"Bright": "all", "New": "torso", "RedTop": "torso", "Low": "bottom"}
    attributes = (Attribute(name, "has it", body_part=part) for name, part in body_parts.items())
    schema = AttributeSchema("other", tuple(attributes))
    started = initialize_model(section, schema).state_dict()
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


def test_auxiliary_inputs_of_the_model_are_required(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    model: dict[str, object] = {**SSPNET["model"]}
    model["arguments"] = {"backbone": "test_resnet", "pyramid_channels": 8, "locations": "keypoints"}
    with pytest.raises(TrainingError, match=r"training sspnet needs keypoints, and no row of .* has any"):
        train(make_recipe(model=model, loss=SSPNET["loss"]), tmp_path / "run")


def test_a_bundle_of_another_backbone_is_refused(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    first = train(make_recipe(training={"epochs": 1}), tmp_path / "first")
    other = init_from(make_recipe, first.bundle, model={"arguments": {"backbone": "test_vit"}})
    with pytest.raises(TrainingError, match=r"model\.init_from: only \d+ of \d+ tensors"):
        train(other, tmp_path / "again")


def test_resuming_with_another_recipe_is_refused(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    train(make_recipe(training={"epochs": 1}), tmp_path / "run")
    message = r"differs from the given recipe: training\.batch_size is 8 there, 4 here; .*only training"
    with pytest.raises(TrainingError, match=message):
        train(make_recipe(training={"epochs": 1, "batch_size": 4}), tmp_path / "run", resume=True)


def test_an_existing_folder_is_not_overwritten(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("important")
    with pytest.raises(TrainingError, match="already exists"):
        train(make_recipe(), tmp_path / "run")
    assert (tmp_path / "run" / "thesis.txt").read_text() == "important"


def test_resuming_a_finished_run_returns_it(
    make_recipe: MakeRecipe, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    recipe = make_recipe(training={"epochs": 1})
    first = train(recipe, tmp_path / "run")
    log.clear()
    assert train(recipe, tmp_path / "run", resume=True) == first
    assert log.messages == [f"{tmp_path / 'run'} is already finished"]


def test_the_moving_average_is_validated_and_saved(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    outcome = train(make_recipe(training={"ema": 0.9, "epochs": 2}), tmp_path / "run")
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
    create = criterion.create_loss

    def create_spoiled(*args: object, **kwargs: object) -> torch.nn.Module:
        loss = create(*args, **kwargs)  # type: ignore[arg-type]
        calls = {"n": 0}

        class Spoiled(torch.nn.Module):
            def forward(self, output: Output, labels: torch.Tensor, batch: object) -> Terms:
                terms: Terms = loss(output, labels, batch)
                calls["n"] += self.training
                return change(output, terms) if self.training and calls["n"] == step else terms

        return Spoiled()

    monkeypatch.setattr(criterion, "create_loss", create_spoiled)


def with_nan(output: Output, terms: Terms) -> Terms:
    return {**terms, "total": terms["total"] * float("nan")}


def with_infinite_gradient(output: Output, terms: Terms) -> Terms:
    output.logits.register_hook(lambda gradient: gradient * float("inf"))
    return terms


def test_a_loss_that_is_not_finite_is_reported_with_its_images(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, 6, with_nan)
    with pytest.raises(TrainingError) as caught:
        train(make_recipe(), tmp_path / "run")
    text = str(caught.value)
    assert "step 5 (epoch 1)" in text
    assert text.count("images/") == 8
    assert f"last good checkpoint is {tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}" in text


def test_early_stopping_ends_the_run(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(training={"epochs": 30, "early_stopping": 1}, optimizer={"lr": 1e-12})
    outcome = train(recipe, tmp_path / "run")
    assert len((outcome.run / "logs" / "metrics.csv").read_text().splitlines()) < 10


@pytest.mark.parametrize("on_unreadable", ["raise", "skip"])
def test_an_unreadable_image_is_reported(
    make_recipe: MakeRecipe,
    manifest_path: Path,
    tmp_path: Path,
    on_unreadable: str,
    log: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "people" / "images" / "005.png").write_bytes(b"no image")
    recipe = make_recipe(data={"on_unreadable": on_unreadable}, training={"epochs": 1})
    if on_unreadable == "raise":
        with pytest.raises(DataError, match=r"005\.png"):
            train(recipe, tmp_path / "run")
    else:
        outcome = train(recipe, tmp_path / "run")
        assert any("skipped images/005.png" in line for line in log.messages)
        assert Bundle.load(outcome.bundle).metadata["train_images"] == 31


def test_a_batch_larger_than_the_data_is_refused(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="do not fill a batch of 64"):
        train(make_recipe(training={"batch_size": 64}), tmp_path / "run")


def test_selected_attributes_keep_their_order(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(data={"attributes": ["Bright", "RedTop"]}, training={"epochs": 1})
    bundle = Bundle.load(train(recipe, tmp_path / "run").bundle)
    assert bundle.schema.names == ("Bright", "RedTop")


def test_the_history_contains_all_training_samples(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    run = train(make_recipe(**DIAA), tmp_path / "run").run
    state = final_state(run)
    assert state["criterion.history.visits"].tolist() == [3] * 32
    kept = state["criterion.history.probs"]
    assert kept.dtype == torch.float16
    assert kept.shape == (32, 5, 3)
    assert bool((kept[:, :3] > 0).all())
    assert not kept[:, 3:].any()
    assert not any("history" in name for name in weights(run))


def test_the_moving_average_shares_the_criterion(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    sections = {**DIAA, "training": {"ema": 0.9}}
    run = train(make_recipe(**sections), tmp_path / "run").run
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
    """Samples move between the processes from epoch to epoch, and each counts once."""
    recipe = make_recipe(training={"devices": 2, "batch_size": 4, "ema": ema}, **DIAA)
    run = train_by_command(recipe, tmp_path)
    state = final_state(run)
    assert state["criterion.history.visits"].tolist() == [3] * 32
    assert bool((state["criterion.history.probs"][:, :3] > 0).all())


@pytest.mark.parametrize("ema", [None, 0.9])
def test_the_selected_scales_are_logged_and_saved(
    make_recipe: MakeRecipe, tmp_path: Path, ema: float | None
) -> None:
    run = train(make_recipe(training={"ema": ema}, **SSPNET), tmp_path / "run").run
    log = read_log(run)
    for row in log:
        for body_part in ("torso", "bottom", "all"):
            running = [float(row[f"running_mA/{body_part}/P{scale}"]) for scale in (1, 2, 3)]
            assert running[int(float(row[f"scale/{body_part}"])) - 1] == max(running)
    best = max(log, key=lambda row: float(row["val_mA"]))
    model = Bundle.load(run / "bundle").model
    assert isinstance(model, SSPNet)
    expected = [int(float(best[f"scale/{part}"])) for part in ("torso", "bottom", "all")]
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


def test_the_second_stage_has_no_loss_in_the_first_epochs(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    compute = StagedMultiTask.forward

    def watch(self: StagedMultiTask, *given: Any) -> dict[str, torch.Tensor]:
        terms = compute(self, *given)
        if self.training:
            seen.append(set(terms) - {"total"})
        return terms

    monkeypatch.setattr(StagedMultiTask, "forward", watch)
    train(make_recipe(**MTMS), tmp_path / "run")
    first = {"attributes/stage1", "parsing/stage1"}
    both = first | {"attributes/stage2", "parsing/stage2"}
    assert seen == [first] * 4 + [both] * 8


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("lip", r"predicts the parsing classes Background.*have background.*parsing-from relabel"),
        ("mask", r"training mtms needs masks, and no row of .* has any"),
    ],
)
def test_parsing_maps_of_other_classes_are_refused(
    make_recipe: MakeRecipe, tmp_path: Path, classes: str, message: str
) -> None:
    model: dict[str, object] = {**MTMS["model"]}
    model["arguments"] = {"backbone": "test_resnet", "parsing_classes": classes}
    with pytest.raises(TrainingError, match=message):
        train(make_recipe(**{**MTMS, "model": model}), tmp_path / "run")


def test_masks_may_be_missing_for_some_samples(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    model: dict[str, object] = {**MTMS["model"]}
    model["arguments"] = {"backbone": "test_resnet", "parsing_classes": "mask"}
    recipe = make_recipe(**{**MTMS, "model": model, "training": {"epochs": 2}})
    manifest = Manifest.load(recipe.data.manifest)
    masks: list[str | None] = list(manifest.paths("parsing"))  # above 0 everywhere
    manifest.with_guidance(masks=masks).write(recipe.data.manifest)
    assert train(recipe, tmp_path / "run").run.is_dir()
    for count in (1, 31):
        masks[:count] = [None] * count
        manifest.with_guidance(masks=masks).write(recipe.data.manifest)
        assert train(recipe, tmp_path / f"without {count}").run.is_dir()
    masks[:32] = [None] * 32
    manifest.with_guidance(masks=masks).write(recipe.data.manifest)
    with pytest.raises(
        TrainingError, match=r"trained with masks, and none of the 32 training rows of .* any"
    ):
        train(recipe, tmp_path / "other")


def add_masks(recipe: Recipe, rows: range) -> None:
    """Make the upper half of each image green, and add masks of it for some rows."""
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


def test_mask_supervision_generalizes_to_samples_without_masks(
    make_recipe: MakeRecipe, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """Half of the samples have a mask. Without supervision, the model does not find the region."""
    recipe = make_recipe(**DA_HAR, training={"epochs": 32}, optimizer={"lr": 1e-2})
    add_masks(recipe, range(0, 48, 2))
    found = {}
    for supervised in (True, False):
        model = recipe.model.model_dump()
        model["arguments"]["mask_supervision"] = supervised
        changed = Recipe.model_validate({**recipe.model_dump(), "model": model})
        run = train(changed, tmp_path / f"{supervised}").run
        manifest = Manifest.load(recipe.data.manifest)
        add_masks(recipe, range(48))
        complete = Manifest.load(recipe.data.manifest)
        bundle = Bundle.load(run / "bundle")
        last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        weights = {key.removeprefix("model."): last[key] for key in last if key.startswith("model.")}
        bundle.model.load_state_dict(
            weights
        )  # not those of the best epoch, which eight validation labels select
        evaluation = evaluate(bundle, complete, partition="own")
        manifest.write(recipe.data.manifest)
        found[supervised] = evaluation.parsing["mask"].iou["person"]
    assert "16 of 32 training images have no masks" in log.messages
    assert found[True] > 0.8
    assert found[False] < 0.6


def test_crops_of_unsupported_size_are_refused(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    sections: dict[str, dict[str, object]] = {**DA_HAR}
    sections["model"] = {
        "name": "baseline",
        "pretrained": False,
        "arguments": {"backbone": "test_vit", "dropout": 0.0},
    }
    sections["loss"] = {"name": "bce", "arguments": {}}
    with pytest.raises(
        TrainingError,
        match=r"does not support crops of 48×36 pixels .*divisible.*; set augmentation.crop_to to 1",
    ):
        train(make_recipe(**sections), tmp_path / "run")


def test_parameters_without_loss_do_not_change(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(**MTMS, training={"epochs": 2, "checkpoint_every_steps": 1})
    torch.manual_seed(recipe.seed)
    start = initialize_model(recipe.model, Manifest.load(recipe.data.manifest).schema)
    names = {k for k, _ in start.named_parameters() if k.startswith(STAGE_TWO)}
    before = {k: v.clone() for k, v in start.state_dict().items()}
    moved = {}
    for step in (4, 5):
        with pytest.raises(PowerFailureError), power_failure_after(step):
            train(recipe, tmp_path / str(step))
        state = final_state(tmp_path / str(step))
        moved[step] = {k for k, v in before.items() if not torch.equal(v, state[f"model.{k}"])}
    assert not names & moved[4]
    assert {"attributes1.weight", "parsing1.weight", "attributes1_tail.layers.0.conv1.weight"} <= moved[4]
    assert {"attributes2.weight", "parsing2.weight", "attention.weight.weight"} <= moved[5]


def test_the_first_stage_must_end_before_the_run(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(**{**MTMS, "loss": {"name": "mtms", "arguments": {"first_epochs": 3}}})
    with pytest.raises(TrainingError, match=r"first_epochs below training\.epochs \(3\), got 3"):
        train(recipe, tmp_path / "run")


def test_parsing_supervision_needs_maps_with_class_names(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(**MTMS, training={"epochs": 2})
    manifest = Manifest.load(recipe.data.manifest)
    maps = list(manifest.paths("parsing"))
    some = [None if i % 2 else path for i, path in enumerate(maps)]
    manifest.with_guidance(parsing=some, parsing_classes=COARSE_CLASSES).write(recipe.data.manifest)
    assert train(recipe, tmp_path / "some").run.is_dir()
    none = [None if i < 32 else path for i, path in enumerate(maps)]
    manifest.with_guidance(parsing=none, parsing_classes=COARSE_CLASSES).write(recipe.data.manifest)
    with pytest.raises(TrainingError, match=r"none of the 32 training rows of .* has any"):
        train(recipe, tmp_path / "none")
    replace(manifest, parsing_classes=()).write(recipe.data.manifest)
    with pytest.raises(TrainingError, match=r"have no class names.*--parsing-from files"):
        train(recipe, tmp_path / "unnamed")


@pytest.mark.slow
def test_two_processes_train_stage_by_stage(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(training={"devices": 2, "epochs": 2, "batch_size": 4}, **MTMS)
    run = train_by_command(recipe, tmp_path)
    assert len(read_log(run)) == 2
    torch.manual_seed(recipe.seed)
    start = initialize_model(recipe.model, Manifest.load(recipe.data.manifest).schema).state_dict()
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


def test_thresholds_are_chosen_on_the_validation_split(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = partial(choose_thresholds, min_count=1)  # the validation split has eight images
    monkeypatch.setattr("passerby.evaluation.calibration.choose_thresholds", choose)
    recipe = make_recipe(training={"epochs": 1, "calibrate": "f1"})
    plain = Bundle.load(train(make_recipe(training={"epochs": 1}), tmp_path / "plain").bundle)
    calibrated = Bundle.load(train(recipe, tmp_path / "calibrated").bundle)
    evaluation = evaluate(plain, Manifest.load(recipe.data.manifest), partition="own", split="val")
    assert set(plain.thresholds) == {0.5}
    expected = choose_thresholds(evaluation.probs, evaluation.labels, goal="f1", min_count=1)
    assert 0.5 not in expected
    np.testing.assert_allclose(calibrated.thresholds, expected, rtol=1e-4)
    assert calibrated.metadata["calibration"] == "thresholds for the best f1 on tiny own/val"
