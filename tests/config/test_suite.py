"""Suites are read into runs, or refused with a clear message."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from passerby.config import LocalizationSection, load_suite
from passerby.config.training_sections import Goal
from passerby.errors import ConfigError
from passerby.evaluation.calibration import GOALS
from passerby.explain.heat import METHODS

RECIPES = Path(__file__).parents[2] / "recipes"
SHARED = {"peta-128x96-elsewhere": "peta-128x96"}  # additional tests of the bundles of another suite
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


def test_every_model_is_trained_with_all_data_and_seeds(tmp_path: Path) -> None:
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


def test_runs_without_data_section_have_short_names(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path))
    assert [run.name for run in suite.runs] == ["plain/seed0", "plain/seed1", "wet/seed0", "wet/seed1"]
    assert {run.recipe.variant for run in suite.runs} == {"toy-plain", "toy-wet"}


def test_a_suite_extends_another(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "short.yaml"
    path.write_text("extends: suite.yaml\nsuite: short\nseeds: [0]\ndefaults: {training: {epochs: 1}}\n")
    suite = load_suite(path)
    assert [run.recipe.variant for run in suite.runs] == ["short-plain", "short-wet"]
    assert {(run.recipe.training.epochs, run.recipe.training.batch_size) for run in suite.runs} == {(1, 8)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "none"}, "baseline: expected one of the models plain, wet, got none"),
        (
            {"models": {**SUITE["models"], "p": {"recipe": "recipe.yaml", "teachers": ["wat"]}}},
            "p: the teacher wat is not one of the models",
        ),
        (
            {
                "models": {
                    "plain": {"recipe": "recipe.yaml", "teachers": ["wet"]},
                    "wet": {"recipe": "recipe.yaml", "teachers": ["dry"]},
                    "dry": "recipe.yaml",
                }
            },
            "plain: the teacher wet must not have teachers itself",
        ),
        (
            {"models": {**SUITE["models"], "p": {"recipe": "recipe.yaml", "teachers": ["wet", "wet"]}}},
            "p: expected distinct teachers",
        ),
        ({"calibrate": ["f2"]}, "calibrate"),
        ({"calibrate": ["f1", "f1"]}, "calibrate: expected distinct values, got f1, f1"),
        (
            {"calibrate": ["f1"], "defaults": {"data": {"val": "test"}, "protocol": "select-on-test"}},
            "calibrate: thresholds chosen on the test split make its scores too optimistic",
        ),
        ({"seeds": [1, 1]}, "seeds: expected distinct values, got 1, 1"),
        ({"seeds": []}, "seeds: "),
        ({"suite": "To y"}, "suite: "),
        ({"modells": {}}, "modells: unknown key; did you mean 'models'"),
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
            "localization: x is also the name of a test",
        ),
    ],
)
def test_errors_name_the_key(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_suite(write(tmp_path, **changes))


def test_keys_that_the_suite_sets_cannot_be_overridden(tmp_path: Path) -> None:
    path = write(tmp_path, data={"a": {"partition": "x"}, "b": {"partition": "y"}})
    for override in ("seed=3", "variant=q", "data.partition=z"):
        with pytest.raises(ConfigError, match="is set by the suite's"):
            load_suite(path, [override])
    with pytest.raises(ConfigError, match="seed is set by the suite's seeds"):
        load_suite(write(tmp_path, defaults={"seed": 3}))


def test_equal_variants_and_different_protocols_are_refused(tmp_path: Path) -> None:
    models = {"plain": "recipe.yaml", "a": "recipe.yaml", "a-b": "recipe.yaml"}
    with pytest.raises(ConfigError, match="the same variant"):
        load_suite(write(tmp_path, models=models, data={"b-c": {}, "c": {}}))
    for key, value in (("protocol", "threshold-0.4"), ("data", {"partition": "z"})):
        other = {"recipe": "recipe.yaml", "overrides": {key: value}}
        with pytest.raises(ConfigError, match="need the same"):
            load_suite(write(tmp_path, models={"plain": "recipe.yaml", "b": other}))


def test_a_wrong_key_of_a_named_section_is_reported(tmp_path: Path) -> None:
    wrong = {"x": {"manifest": "a.parquet", "partition": "b", "methods": "native"}}
    with pytest.raises(ConfigError, match="did you mean 'method'"):
        load_suite(write(tmp_path, localization=wrong))
    with pytest.raises(ConfigError, match=r"no suite at .*, and no suite of that name in the package"):
        load_suite(tmp_path / "gone.yaml")


def test_a_suite_can_remove_a_model_of_the_extended_suite(tmp_path: Path) -> None:
    write(tmp_path, models={**SUITE["models"], "dry": "recipe.yaml"})
    path = tmp_path / "short.yaml"
    path.write_text("extends: suite.yaml\nsuite: short\nseeds: [0]\nmodels: {wet: null}\n")
    assert [run.model for run in load_suite(path).runs] == ["dry", "plain"]


def test_a_model_may_have_its_own_seeds(tmp_path: Path) -> None:
    student = {"recipe": "recipe.yaml", "teachers": ["plain"], "seeds": [1]}
    suite = load_suite(write(tmp_path, models={**SUITE["models"], "student": student}))
    assert [run.name for run in suite.runs] == [
        "plain/seed0",
        "plain/seed1",
        "student/seed1",
        "wet/seed0",
        "wet/seed1",
    ]
    for seeds, message in (
        ([2], "is not trained with seed 2"),
        ([1, 1], "student: seeds: expected distinct values"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_suite(write(tmp_path, models={**SUITE["models"], "student": {**student, "seeds": seeds}}))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("systems", {}, "systems: renamed to models"),
        ("common", {}, "common: renamed to defaults"),
        ("models", {"wet": {"change": {}}}, r"models\.wet\.change: renamed to models\.wet\.overrides"),
        (
            "tests",
            {"x": {"part": "val"}},
            r"tests\.x\.part: renamed to tests\.x\.split \(and the former split",
        ),
        ("tests", {"x": {"names": "m.json"}}, r"tests\.x\.names: renamed to tests\.x\.label_map"),
        ("localization", {"x": {"least_px": 4}}, r"x\.least_px: renamed to localization\.x\.min_area_px"),
        ("localization", {"x": {"method": "own"}}, r"x\.method: the value own was renamed to native"),
        ("defaults", {"data": {"split": "x"}}, r"plain:\n  data\.split: renamed to data\.partition"),
    ],
)
def test_renamed_keys_are_reported(tmp_path: Path, key: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_suite(write(tmp_path, **{key: value}))


def test_data_may_have_the_name_of_a_renamed_key(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path, data={"split": {"partition": "a"}, "broken": {"partition": "b"}}))
    assert {run.recipe.data.partition for run in suite.runs} == {"a", "b"}


def test_teachers_cannot_be_overridden(tmp_path: Path) -> None:
    models = {**SUITE["models"], "p": {"recipe": "recipe.yaml", "teachers": ["wet"]}}
    with pytest.raises(ConfigError, match=r"loss\.teachers is set by the suite's teachers of p"):
        load_suite(write(tmp_path, models=models), ["loss.teachers=[a]"])


def test_goals_are_those_of_the_thresholds() -> None:
    assert get_args(Goal) == tuple(GOALS)


def test_methods_are_those_of_localisation() -> None:
    assert get_args(LocalizationSection.model_fields["method"].annotation) == METHODS


@pytest.mark.parametrize("path", sorted((RECIPES / "suites").glob("*.yaml")), ids=lambda path: path.stem)
def test_packaged_suites_are_valid_and_named_after_their_files(
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
