"""A suite's file becomes the runs that it names, or an error that names what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from passerby.config import LocalizationSection, load_suite
from passerby.config.recipe import Goal
from passerby.errors import ConfigError
from passerby.evaluation.calibration import GOALS
from passerby.explain.heat import METHODS

RECIPES = Path(__file__).parents[2] / "recipes"
SHARED = {"peta-128x96-elsewhere": "peta-128x96"}  # further tests of the bundles of another suite
RECIPE = {
    "data": {"manifest": "people.parquet", "partition": "own"},
    "model": {"arguments": {"backbone": "test_resnet", "dropout": 0.2}},
    "training": {"epochs": 3},
}
SUITE: dict[str, Any] = {
    "suite": "toy",
    "baseline": "plain",
    "seeds": [0, 1],
    "defaults": {"training": {"epochs": 5, "batch_size": 8}},
    "models": {
        "plain": "recipe.yaml",
        "wet": {"recipe": "recipe.yaml", "overrides": {"model": {"arguments": {"dropout": 0.5}}}},
    },
}


def write(folder: Path, **changes: object) -> Path:
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump({**SUITE, **changes}))
    return path


def test_every_system_gets_every_data_and_seed(tmp_path: Path) -> None:
    data = {"first": {}, "second": {"partition": "other"}}
    suite = load_suite(write(tmp_path, data=data), ["training.batch_size=4"])
    assert [run.name for run in suite.runs] == [
        f"{data}/{model}/seed{seed}"
        for data in ("first", "second")
        for model in ("plain", "wet")
        for seed in (0, 1)
    ]
    run = suite.runs[-1]
    assert (run.recipe.variant, run.recipe.seed, run.recipe.data.partition) == ("toy-wet-second", 1, "other")
    assert (run.recipe.training.epochs, run.recipe.training.batch_size) == (5, 4)
    assert run.recipe.model.arguments == {"backbone": "test_resnet", "dropout": 0.5}
    assert suite.runs[0].recipe.model.arguments["dropout"] == 0.2


def test_one_data_needs_no_name(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path))
    assert [run.name for run in suite.runs] == ["plain/seed0", "plain/seed1", "wet/seed0", "wet/seed1"]
    assert {run.recipe.variant for run in suite.runs} == {"toy-plain", "toy-wet"}


def test_a_suite_extends_another(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "short.yaml"
    path.write_text("extends: suite.yaml\nsuite: short\nseeds: [0]\ncommon: {training: {epochs: 1}}\n")
    suite = load_suite(path)
    assert [run.recipe.variant for run in suite.runs] == ["short-plain", "short-wet"]
    assert {(run.recipe.training.epochs, run.recipe.training.batch_size) for run in suite.runs} == {(1, 8)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "none"}, "baseline: none is none of the models: plain, wet"),
        (
            {"models": {**SUITE["models"], "p": {"recipe": "recipe.yaml", "teachers": ["wat"]}}},
            "p learns from wat, which is none of the models",
        ),
        (
            {
                "models": {
                    "plain": {"recipe": "recipe.yaml", "teachers": ["wet"]},
                    "wet": {"recipe": "recipe.yaml", "teachers": ["dry"]},
                    "dry": "recipe.yaml",
                }
            },
            "plain learns from wet, which learns from others itself",
        ),
        (
            {"models": {**SUITE["models"], "p": {"recipe": "recipe.yaml", "teachers": ["wet", "wet"]}}},
            "p: expected different teachers",
        ),
        ({"calibrate": ["f2"]}, "calibrate"),
        ({"calibrate": ["f1", "f1"]}, "calibrate: expected different ones"),
        (
            {"calibrate": ["f1"], "defaults": {"data": {"val": "test"}, "protocol": "select-on-test"}},
            "calibrate: thresholds chosen on the test split flatter",
        ),
        ({"seeds": [1, 1]}, "seeds: expected different ones"),
        ({"seeds": []}, "seeds: "),
        ({"suite": "To y"}, "suite: "),
        ({"sistems": {}}, "sistems: unknown key; did you mean 'models'"),
        ({"models": {"plain": "recipe.yaml"}}, "models: "),
        ({"models": {"plain": "recipe.yaml", "b": {"recipe": "recipe.yaml", "to": 1}}}, r"models\.b\.to"),
        ({"models": {"plain": "recipe.yaml", "b": "gone.yaml"}}, "no recipe at .*gone.yaml"),
        (
            {"defaults": {"training": {"epoch": 3}}},
            "plain:\n  training.epoch: unknown key; did you mean 'epochs'",
        ),
        ({"localization": {"x": {"manifest": "a.parquet"}}}, r"localization\.x\.partition: missing"),
        (
            {"tests": {"x": {"manifest": "a.parquet", "partitions": "b"}}},
            r"tests\.x\.partitions: unknown key",
        ),
        (
            {kind: {"x": {"manifest": "a.parquet", "partition": "b"}} for kind in ("tests", "localization")},
            "localization: x is the name of a test, too",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_suite(write(tmp_path, **changes))


def test_what_the_suite_decides_is_not_overridden(tmp_path: Path) -> None:
    path = write(tmp_path, data={"a": {"partition": "x"}, "b": {"partition": "y"}})
    for override in ("seed=3", "variant=q", "data.partition=z"):
        with pytest.raises(ConfigError, match="is set by the suite's"):
            load_suite(path, [override])
    with pytest.raises(ConfigError, match="seed is set by the suite's seeds"):
        load_suite(write(tmp_path, defaults={"seed": 3}))


def test_names_that_meet_and_rules_that_differ_are_refused(tmp_path: Path) -> None:
    models = {"plain": "recipe.yaml", "a": "recipe.yaml", "a-b": "recipe.yaml"}
    with pytest.raises(ConfigError, match="one variant"):
        load_suite(write(tmp_path, models=models, data={"b-c": {}, "c": {}}))
    for key, value in (("protocol", "threshold-0.4"), ("data", {"partition": "z"})):
        other = {"recipe": "recipe.yaml", "overrides": {key: value}}
        with pytest.raises(ConfigError, match="need one"):
            load_suite(write(tmp_path, models={"plain": "recipe.yaml", "b": other}))


def test_a_wrong_key_of_a_named_section_is_explained(tmp_path: Path) -> None:
    wrong = {"x": {"manifest": "a.parquet", "partition": "b", "methods": "own"}}
    with pytest.raises(ConfigError, match="did you mean 'method'"):
        load_suite(write(tmp_path, localization=wrong))
    with pytest.raises(ConfigError, match=r"no suite at .*, and no suite of that name in the package"):
        load_suite(tmp_path / "gone.yaml")


def test_a_suite_leaves_out_a_system_of_the_one_that_it_extends(tmp_path: Path) -> None:
    write(tmp_path, models={**SUITE["models"], "dry": "recipe.yaml"})
    path = tmp_path / "short.yaml"
    path.write_text("extends: suite.yaml\nsuite: short\nseeds: [0]\nsystems: {wet: null}\n")
    assert [run.model for run in load_suite(path).runs] == ["dry", "plain"]


def test_a_system_may_have_seeds_of_its_own(tmp_path: Path) -> None:
    taught = {"recipe": "recipe.yaml", "teachers": ["plain"], "seeds": [1]}
    suite = load_suite(write(tmp_path, models={**SUITE["models"], "taught": taught}))
    assert [run.name for run in suite.runs] == [
        "plain/seed0",
        "plain/seed1",
        "taught/seed1",
        "wet/seed0",
        "wet/seed1",
    ]
    for seeds, message in (([2], "lacks its seed 2"), ([1, 1], "taught: seeds: expected different ones")):
        with pytest.raises(ConfigError, match=message):
            load_suite(write(tmp_path, models={**SUITE["models"], "taught": {**taught, "seeds": seeds}}))


def test_teachers_are_not_overridden(tmp_path: Path) -> None:
    models = {**SUITE["models"], "p": {"recipe": "recipe.yaml", "teachers": ["wet"]}}
    with pytest.raises(ConfigError, match=r"loss\.teachers is set by the suite's teachers of p"):
        load_suite(write(tmp_path, models=models), ["loss.teachers=[a]"])


def test_goals_are_those_of_the_thresholds() -> None:
    assert get_args(Goal) == tuple(GOALS)


def test_methods_are_those_of_localisation() -> None:
    assert get_args(LocalizationSection.model_fields["method"].annotation) == METHODS


@pytest.mark.parametrize("path", sorted((RECIPES / "suites").glob("*.yaml")), ids=lambda path: path.stem)
def test_our_suites_are_valid_and_named_after_their_files(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSERBY_WEIGHTS", "weights")
    suite = load_suite(path)
    assert suite.name == SHARED.get(path.stem, path.stem)
    recipes = [run.recipe for run in suite.runs]
    assert len({recipe.input for recipe in recipes}) == 1
    assert len({recipe.augmentation for recipe in recipes}) == 1
    for name in ("optimizer", "schedule", "training", "protocol"):
        assert len({getattr(recipe, name) for recipe in recipes}) == 1
    assert len({recipe.model.arguments["backbone"] for recipe in recipes}) == 1
