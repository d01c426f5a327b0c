"""Scores below paths of all kinds, each evaluation once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from passerby.errors import DataError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.results import Result
from passerby.evaluation.score_files import load_results, read_results
from toy_evaluations import make_result, write_run

Make = Callable[..., Evaluation]


def with_seed(evaluation: Evaluation, seed: int) -> Evaluation:
    return replace(evaluation, metadata={**evaluation.metadata, "seed": seed})


@pytest.fixture
def runs(make: Make, tmp_path: Path) -> Path:
    """Two runs as `train --test` and a suite leave them, with bundle, log and teacher predictions."""
    for seed in (3, 4):
        run = write_run(tmp_path / "runs" / f"seed{seed}")
        (run / "bundle").mkdir()
        (run / "bundle" / "config.json").write_text(json.dumps({"model": "baseline", "metadata": {}}))
        (run / "done").mkdir()
        (run / "done" / "train.json").write_text("[1, 2]")
        (run / "notes.json").write_text("not JSON")
        evaluation = with_seed(make(seed=seed), seed)
        evaluation.write(run / "test")
        evaluation.write_result(tmp_path / "results")
        with_seed(make(split="train"), seed).write(run / "teacher-predictions" / "train")
    return tmp_path / "runs"


def test_a_run_folder_and_a_folder_of_runs_give_the_scores_of_their_tests(
    runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert [(r.seed, r.split) for r in load_results([runs / "seed3"])] == [(3, "test")]
    assert [(r.seed, r.split) for r in load_results([runs])] == [(3, "test"), (4, "test")]
    assert caplog.messages == []  # what is not theirs is skipped silently
    predictions = load_results([runs / "seed3" / "teacher-predictions" / "train"])
    assert [r.split for r in predictions] == ["train"]  # unless asked for


def test_an_evaluation_is_read_once_however_often_it_is_found(runs: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    (tmp_path / "link").symlink_to(runs / "seed3", target_is_directory=True)
    files = sorted(results.rglob("*.json"))
    paths = [runs, runs / "seed3", results, results, tmp_path / "link", *files, tmp_path]
    assert [r.seed for r in load_results(paths)] == [3, 4]
    assert [r.seed for r in load_results([*files, runs])] == [3, 4]


def test_of_two_files_of_one_evaluation_that_with_predictions_is_taken(runs: Path, tmp_path: Path) -> None:
    (runs / "seed3" / "test" / "predictions.parquet").unlink()
    files = list(read_results([runs, tmp_path / "results"]))
    assert [file.suffixes for file in files] == [[".json"]] * 2
    assert files[0] == next((tmp_path / "results").rglob("*seed3.json"))
    assert files[1] == runs / "seed4" / "test" / "evaluation.json"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"commit": "other"},
        {"split": "val"},
        {"protocol": {"name": "threshold-0.4"}},
        {"variant": "x"},
        {"metrics": {**make_result().metrics, "mA": 0.80001}},
    ],
)
def test_evaluations_that_differ_in_content_are_different(tmp_path: Path, change: dict[str, object]) -> None:
    make_result().write(tmp_path / "a.json")
    make_result(seconds=99, device="cuda").write(tmp_path / "again.json")  # the same evaluation
    replace(make_result(), **change).write(tmp_path / "b.json")
    assert len(load_results([tmp_path])) == 2


def test_a_named_file_of_another_kind_is_left_out_with_a_message(
    runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe, outcome = runs / "seed3" / "recipe.yaml", runs / "seed3" / "outcome.json"
    (tmp_path / "x.comparison.json").write_text("{}")
    foreign = [recipe, outcome, tmp_path / "x.comparison.json", runs / "seed4" / "logs"]
    assert [r.seed for r in load_results([*foreign, runs / "seed3"])] == [3]
    assert len(caplog.messages) == 4
    for path, message in zip(foreign, caplog.messages, strict=True):
        assert message.startswith("left out: ")
        assert str(path) in message
    assert "`passerby compare" in caplog.messages[2]
    with pytest.raises(DataError, match=r"recipe\.yaml is not a score file.*outcome\.json is not a score"):
        load_results([recipe, outcome])
    with pytest.raises(DataError, match="no file or folder at"):
        load_results([runs, runs / "seed9"])


def test_a_damaged_score_file_is_an_error_and_not_another_kind(tmp_path: Path) -> None:
    path = make_result().write(tmp_path)
    path.write_text(path.read_text()[:40])
    for given in (tmp_path, path):
        with pytest.raises(DataError, match=f"{path.name} is not readable JSON"):
            load_results([given])


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("default", "count-unmeasurable"),
        ("threshold-0.45", "threshold-0.45+count-unmeasurable"),
        ("select-on-test", "select-on-test+count-unmeasurable"),
    ],
)
def test_a_score_file_of_an_earlier_version_states_its_habit(
    tmp_path: Path, protocol: str, expected: str
) -> None:
    counts = {
        "Hat": {"mA": 0.7, "positives": 3, "negatives": 9},
        "Bag": {"mA": 0.4, "positives": 0, "negatives": 12},
    }
    result = make_result(
        protocol={"name": protocol}, metrics={**make_result().metrics, "per_attribute": counts}
    )
    loaded = Result.load(result.write(tmp_path))
    assert (loaded.protocol["name"], loaded.unmeasured) == (expected, ("Bag",))
    assert loaded.metrics["mA"] == result.metrics["mA"]
    assert Result.load(loaded.write(tmp_path / "again.json")) == loaded
    measured = {**counts, "Bag": {"mA": 0.4, "positives": 1, "negatives": 11}}
    plain = replace(result, metrics={**result.metrics, "per_attribute": measured})
    assert Result.load(plain.write(tmp_path / "plain.json")).protocol["name"] == protocol


def test_score_files_of_ccp_follow_the_habit_of_the_literature() -> None:
    folder = Path(__file__).parents[2] / "results" / "ccp-128x96" / "ccp"
    results = load_results([folder])
    assert {r.protocol["name"] for r in results} == {"count-unmeasurable"}
    assert {len(r.unmeasured) for r in results} == {9}
    for r in results:
        each = [scores["mA"] for scores in r.metrics["per_attribute"].values()]
        assert r.metrics["mA"] == pytest.approx(sum(each) / 58, abs=1e-6)
