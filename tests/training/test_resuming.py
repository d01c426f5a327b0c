"""A run can be resumed with more epochs where its schedule allows, and with nothing else that changes it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from passerby.bundle import Bundle
from passerby.cli import app
from passerby.config import Recipe, load_recipe
from passerby.errors import TrainingError
from passerby.training import train
from passerby.training.plan import plan_runs
from passerby.training.resuming import match_recipe
from passerby.training.run_folder import RunFolder

MakeRecipe = Callable[..., Recipe]

CONSTANT = {"name": "constant", "warmup_epochs": 0.5}


def load_state(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {
        **{f"bundle:{k}": v for k, v in load_file(run / "bundle" / "model.safetensors").items()},
        **checkpoint["state_dict"],
        **checkpoint.get("current_model_state", {}),
    }


def read_log(run: Path) -> list[dict[str, str]]:
    with (run / "logs" / "metrics.csv").open() as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    "schedule",
    [
        CONSTANT,
        {"name": "plateau", "patience": 0, "factor": 0.5, "warmup_epochs": 0},
        {"name": "step", "milestones": [1, 3], "warmup_epochs": 0},
        {"name": "inverse-time", "decay": 0.01, "warmup_epochs": 0},
    ],
    ids=["constant", "plateau", "step", "inverse-time"],
)
@pytest.mark.parametrize("ema", [None, 0.9])
def test_an_extended_run_equals_a_longer_one(
    make_recipe: MakeRecipe, tmp_path: Path, schedule: dict[str, object], ema: float | None
) -> None:
    def make(epochs: int) -> Recipe:
        return make_recipe(training={"epochs": epochs, "ema": ema}, schedule=schedule)

    whole = train(make(4), tmp_path / "whole")
    train(make(2), tmp_path / "extended")
    extended = train(make(4), tmp_path / "extended", resume=True)
    assert read_log(extended.run) == read_log(whole.run)
    assert (extended.best_epoch, extended.val_scores) == (whole.best_epoch, whole.val_scores)
    first, second = load_state(whole.run), load_state(extended.run)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    assert Bundle.load(extended.bundle).metadata["epochs"] == 4
    assert load_recipe(extended.run / "recipe.yaml").training.epochs == 4


def test_the_outcome_of_the_shorter_run_stays_until_the_longer_one_has_finished(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(epochs: int) -> Recipe:
        return make_recipe(training={"epochs": epochs}, schedule=CONSTANT)

    run = train(make(1), tmp_path / "run").run
    outcome, bundle = (run / "outcome.json").read_bytes(), (run / "bundle" / "config.json").read_bytes()

    class PowerFailureError(Exception):
        pass

    def fail(*args: object, **kwargs: object) -> None:
        raise PowerFailureError

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", fail)
        with pytest.raises(PowerFailureError):
            train(make(2), run, resume=True)
    assert (run / "outcome.json").read_bytes() == outcome
    assert (run / "bundle" / "config.json").read_bytes() == bundle
    assert RunFolder(run).find_outcome(make(2)) is None
    train(make(2), run, resume=True)
    assert json.loads((run / "outcome.json").read_text())["epochs"] == 2
    finished = RunFolder(run).find_outcome(make(2))
    assert finished is not None
    assert finished.bundle == run / "bundle"


def test_the_outcome_of_an_older_version_is_read(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    """Its `outcome.json` does not state the epochs, its bundle does."""
    recipe = make_recipe(training={"epochs": 1}, schedule=CONSTANT)
    outcome = train(recipe, tmp_path / "run")
    path = outcome.run / "outcome.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "epochs"}))
    assert train(recipe, outcome.run, resume=True) == outcome
    assert RunFolder(outcome.run).find_outcome(make_recipe(training={"epochs": 2}, schedule=CONSTANT)) is None
    shutil.rmtree(outcome.bundle)
    assert RunFolder(outcome.run).find_outcome(recipe) == outcome


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"training": {"epochs": 9}},
            r"cosine schedule cannot be extended from 3 to 9 epochs: .*init_from=run/bundle",
        ),
        (
            {"training": {"epochs": 2}},
            r"the run in run has training\.epochs=3; expected at least as many, got 2",
        ),
        (
            {"optimizer": {"lr": 1.0}},
            r"optimizer\.lr is 0\.003 there, 1\.0 here; resume with the same recipe",
        ),
        ({"model": {"arguments": {"backbone": "test_vit"}}}, r"model\.arguments is "),
        (
            {"data": {"limit": 5}},
            r"variant is default there, default-train-limit-5 here; data\.limit is None",
        ),
        ({"input": {"mean": (0.5, 0.5, 0.5)}}, r"input\.mean is \[0\.485"),
    ],
)
def test_what_changes_the_computation_may_not_differ(
    make_recipe: MakeRecipe, sections: dict[str, dict[str, object]], message: str
) -> None:
    recorded = make_recipe(input={"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)})
    with pytest.raises(TrainingError, match=message):
        match_recipe(recorded, make_recipe(**sections), run=Path("run"))


def test_paths_and_workers_may_differ_and_open_values_are_those_of_the_run(make_recipe: MakeRecipe) -> None:
    recorded = make_recipe(input={"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.5, 0.5)})
    data = {"partition": None, "cache": "elsewhere", "root": "moved"}
    given = make_recipe(data=data, training={"workers": 7, "checkpoint_every_steps": 5})
    matched = match_recipe(recorded, given, run=Path("run"))
    assert matched.data.partition == "own"
    assert (matched.input.mean, matched.input.std) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    assert (matched.data.cache, matched.training.workers) == (Path("elsewhere"), 7)


def test_nothing_to_resume_is_an_error_unless_missing_runs_are_started(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(training={"epochs": 1})
    with pytest.raises(TrainingError, match=r"nothing to resume in .*run; leave out --resume"):
        plan_runs(recipe, tmp_path / "run", (0,), resume=True)
    assert list(plan_runs(recipe, tmp_path / "run", (0,), resume=True, start_missing=True)) == [
        tmp_path / "run"
    ]
    train(recipe, tmp_path / "runs" / "seed0")
    plan = plan_runs(recipe, tmp_path / "runs", (0, 1), resume=True)
    assert list(plan) == [tmp_path / "runs" / "seed0", tmp_path / "runs" / "seed1"]


def test_the_command_extends_a_finished_run(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(training={"epochs": 1}, schedule=CONSTANT, data={"partition": None})
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    words = ["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]
    assert CliRunner().invoke(app, words).exit_code == 0
    done = CliRunner().invoke(app, [*words, "--resume", "--set", "training.epochs=2"])
    assert done.exit_code == 0, done.output
    assert "epoch 2/2" in done.output
    assert "epoch 1/2" not in done.output
    assert len(read_log(tmp_path / "run")) == 2
