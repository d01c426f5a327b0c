"""Score files: checked when read, aggregated over seeds, printed."""

from __future__ import annotations

import json
import statistics
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from passerby.errors import DataError
from passerby.evaluation.results import Result, aggregate, find_commit, format_markdown, load_results
from passerby.metrics.functional import METRICS


def make_result(**changes: Any) -> Result:
    values: dict[str, Any] = {
        "model": "baseline",
        "variant": "sb",
        "backbone": "mobilenetv2_100",
        "pretraining": "imagenet",
        "dataset": "peta",
        "partition": "official-1",
        "split": "test",
        "input_size": (256, 192),
        "protocol": {"name": "default", "best_epoch": 7},
        "seed": 0,
        "epochs": 30,
        "device": "cpu",
        "commit": "abc",
        "metrics": {**dict.fromkeys(METRICS, 0.8), "per_attribute": {"Hat": {"mA": 0.7, "AP": None}}},
        "seconds": 12.5,
    }
    return Result(**{**values, **changes})


def test_a_file_survives_the_round_trip_under_its_standard_name(tmp_path: Path) -> None:
    result = make_result(commit=None)
    path = result.write(tmp_path)
    assert path == tmp_path / "peta" / "baseline-mobilenetv2_100-sb-seed0.json"
    assert Result.load(path) == result
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file stays
    assert result.write(tmp_path / "mine.json") == tmp_path / "mine.json"


def test_the_file_has_the_fields_that_were_agreed(tmp_path: Path) -> None:
    fields = (
        "model variant backbone pretraining dataset partition input_size protocol seed epochs device commit"
    )
    assert list(json.loads(make_result().write(tmp_path).read_text())) == [
        *fields.split(),
        "metrics",
        "seconds",
    ]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model", 3, "'model'"),
        ("model", "", "'model'"),
        ("seed", True, "'seed'"),
        ("seed", -1, "'seed'"),
        ("seconds", float("nan"), "'seconds'"),
        ("input_size", [256], "'input_size'"),
        ("protocol", {}, "'protocol'"),
        ("backbone", None, "'backbone'"),
        ("metrics", {"mA": 80.0}, "not per cent"),
        ("metrics", {**dict.fromkeys(METRICS, 0.8)}, "per_attribute"),
        ("metrics", {**dict.fromkeys(METRICS, 0.8), "per_attribute": {"Hat": {"mA": 70}}}, "Hat"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, field: str, value: Any, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**asdict(make_result()), field: value}))
    with pytest.raises(DataError, match=message) as caught:
        Result.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not readable JSON"), ("[]", "JSON object"), ("{}", "missing: backbone")]
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=message):
        Result.load(tmp_path / "x.json")


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({**asdict(make_result()), "mA": 0.9}))
    with pytest.raises(DataError, match="unknown: mA"):
        Result.load(tmp_path / "x.json")


def with_score(score: float, **changes: Any) -> Result:
    metrics = {**dict.fromkeys(METRICS, score), "per_attribute": {"Hat": {"mA": score}}}
    return make_result(metrics=metrics, **changes)


def test_seeds_are_averaged_and_nothing_else_is() -> None:
    results = [
        with_score(0.80, seed=0),
        with_score(0.83, seed=1, protocol={"name": "default", "best_epoch": 9}, device="cuda", seconds=1),
        with_score(0.90, seed=0, protocol={"name": "threshold-0.45"}),
        with_score(0.70, seed=0, input_size=(128, 96)),
        with_score(0.60, seed=0, pretraining="none"),
    ]
    rows = aggregate(results)
    assert sorted(len(row.results) for row in rows) == [1, 1, 1, 2]
    pair = next(row for row in rows if len(row.results) == 2)
    assert pair.mean["mA"] == pytest.approx(0.815)
    assert pair.sd is not None
    assert pair.sd["mA"] == pytest.approx(statistics.stdev([0.80, 0.83]))
    assert pair.format("mA") == "81.50 ± 2.12"
    assert next(row for row in rows if row.mean["mA"] == 0.9).format("f1") == "90.00"


def test_the_same_seed_twice_is_refused() -> None:
    with pytest.raises(DataError, match="each seed once"):
        aggregate([make_result(), make_result()])


def test_load_results_reads_folders_and_names_what_is_missing(tmp_path: Path) -> None:
    make_result().write(tmp_path)
    single = make_result(seed=1).write(tmp_path / "other.json")
    assert [r.seed for r in load_results([tmp_path / "peta", single])] == [0, 1]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no score files"):
        load_results([tmp_path / "empty"])
    with pytest.raises(DataError, match="no file at"):
        load_results([tmp_path / "nowhere.json"])


def test_markdown_has_a_line_a_recipe() -> None:
    text = format_markdown(
        aggregate([with_score(0.8), with_score(0.83, seed=1), with_score(0.5, dataset="ccp")])
    )
    lines = text.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("| data | model |")
    assert lines[2].startswith(
        "| ccp, official-1/test | baseline · mobilenetv2_100 · sb | imagenet, 256×192, 30 epochs "
    )
    assert "| 81.50 ± 2.12 |" in lines[3]
    assert len({line.count("|") for line in lines}) == 1


def test_strange_names_make_safe_file_names() -> None:
    result = replace(make_result(), dataset="../up", backbone="hf_hub:a/b", variant="x y")
    assert str(result.path) == "up/baseline-hf_hub_a_b-x_y-seed0.json"


def test_find_commit_is_that_of_the_checkout() -> None:
    here = Path(__file__).parent
    head = subprocess.run(
        ["git", "-C", here, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    commit = find_commit()
    if head.returncode:
        pytest.skip("not in a git checkout")
    assert commit is not None
    assert head.stdout.startswith(commit.removesuffix("+changes"))
