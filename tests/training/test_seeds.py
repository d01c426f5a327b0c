"""Training with several seeds, and one evaluation of the test split per seed."""

import logging
import re
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from passerby.bundle import Bundle
from passerby.cli import app
from passerby.config import Recipe, load_recipe
from passerby.errors import ConfigError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.results import Result
from passerby.training.plan import parse_seeds
from passerby.training.seeds import train_seeds

MakeRecipe = Callable[..., Recipe]


@pytest.mark.parametrize("text", ["", "a", "0,0", "0,,1", "-1", "1.5", "4294967296"])
def test_an_invalid_list_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected distinct seeds"):
        parse_seeds(text)


def test_seeds_are_trained_tested_and_averaged(
    make_recipe: MakeRecipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "passerby.training")
    recipe = make_recipe(training={"epochs": 1})
    results = tmp_path / "results"
    outcomes = train_seeds(recipe, tmp_path / "runs", seeds=(3, 5), results=results)
    assert [outcome.run for outcome in outcomes] == [tmp_path / "runs" / "seed3", tmp_path / "runs" / "seed5"]
    scores = [Result.load(p) for p in sorted(results.rglob("*.json"))]
    assert [(s.seed, s.partition, s.split, s.epochs, s.device) for s in scores] == [
        (3, "own", "test", 1, "cpu"),
        (5, "own", "test", 1, "cpu"),
    ]
    assert len(list(results.rglob("*.parquet"))) == 2
    for outcome, score in zip(outcomes, scores, strict=True):
        assert Evaluation.load(outcome.run / "test").metrics() == score.metrics
    for split, values in (
        ("val", [outcome.val_scores["mA"] for outcome in outcomes]),
        ("test", [score.metrics["mA"] for score in scores]),
    ):
        mean, sd = statistics.fmean(values), statistics.stdev(values)
        assert f"{split} mA: {mean:.4f} ± {sd:.4f} (2 seeds)" in caplog.messages


def test_an_unreadable_test_image_is_skipped_if_the_recipe_allows_it(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    (tmp_path / "people" / "images" / "047.png").write_bytes(b"no image")
    recipe = make_recipe(data={"on_unreadable": "skip"}, training={"epochs": 1})
    train_seeds(recipe, tmp_path / "run", seeds=(0,), results=tmp_path / "results")
    evaluation = Evaluation.load(tmp_path / "run" / "test")
    assert [image for image, _ in evaluation.skipped] == ["images/047.png"]
    assert len(evaluation) == 7


def test_several_seeds_on_several_devices_are_refused(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one by one"):
        train_seeds(make_recipe(training={"devices": 2}), tmp_path / "run", seeds=(0, 1))


def test_the_command_trains_tests_and_resumes(
    make_recipe: MakeRecipe, manifest_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(make_recipe(data={"manifest": "elsewhere.parquet"}).to_yaml())
    words = [
        "train",
        str(tmp_path / "recipe.yaml"),
        "--data",
        str(manifest_path),
        "--out",
        str(tmp_path / "r"),
    ]
    words += ["--set", "training.epochs=1", "--test", "--results", str(tmp_path / "results")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert re.search(r"^epoch 1/1 .* mA \d+\.\d\d%", done.stderr, re.MULTILINE)
    score_file = tmp_path / "results" / "tiny" / "baseline-test_resnet-default-seed0.json"
    assert score_file.is_file()
    again = CliRunner().invoke(app, [*words, "--resume"])
    assert "is already finished" in again.stderr
    run = tmp_path / "r"
    quiet, verbose = (CliRunner().invoke(app, [*words, "--resume", f]) for f in ("--quiet", "--verbose"))
    assert quiet.stderr == ""
    for result in (done, again, quiet, verbose):
        first, second, *others = result.stdout.splitlines()
        assert first == f"{run}: best epoch 1, bundle in {run / 'bundle'}"
        scores, _, path = second.partition("  →  ")
        assert re.match(rf"own/test: mA {100 * Result.load(score_file).metrics['mA']:.2f}", scores)
        assert path == str(score_file)
        assert not others


def test_a_run_on_a_part_of_the_data_says_so_everywhere(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(training={"epochs": 1}, data={"limit": 16})
    outcome = train_seeds(recipe, tmp_path / "run", seeds=(0,), results=tmp_path / "results")[0]
    metadata = Bundle.load(outcome.bundle).metadata
    assert metadata["train_images"] == 16
    assert metadata["train_subset"] == "trained on 16 of 32 images, drawn at random"
    assert metadata["variant"] == "default-train-limit-16"
    path = tmp_path / "results" / "tiny" / "baseline-test_resnet-default-train-limit-16-seed0.json"
    result = Result.load(path)
    assert result.protocol["train_subset"] == metadata["train_subset"]
    assert Evaluation.load(outcome.run / "test").protocol_line.endswith(metadata["train_subset"])
    assert load_recipe(outcome.run / "recipe.yaml").variant == "default-train-limit-16"
    plain = train_seeds(make_recipe(training={"epochs": 1}), tmp_path / "all", seeds=(0,))[0]
    assert "train_subset" not in Bundle.load(plain.bundle).metadata
