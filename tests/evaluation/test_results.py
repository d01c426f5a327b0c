"""Score files: fields, checks, names."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from passerby.errors import DataError
from passerby.evaluation.commit import find_commit
from passerby.evaluation.results import Result
from passerby.evaluation.score_files import load_results
from passerby.metrics.functional import METRICS
from toy_evaluations import make_result


def to_values(result: Result) -> dict[str, Any]:
    return {name: value for name, value in asdict(result).items() if name != "details"}


def test_a_file_round_trips_under_its_standard_name(tmp_path: Path) -> None:
    result = make_result(commit=None)
    path = result.write(tmp_path)
    assert path == tmp_path / "peta" / "baseline-mobilenetv2_100-sb-seed0.json"
    metrics = {**result.metrics, "unmeasured": []}
    assert Result.load(path) == replace(result, metrics=metrics)
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file stays
    assert result.write(tmp_path / "mine.json") == tmp_path / "mine.json"


def test_the_file_has_the_documented_fields(tmp_path: Path) -> None:
    fields = (
        "model variant backbone pretraining dataset partition split input_size protocol seed epochs device "
        "commit"
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
    path.write_text(json.dumps({**to_values(make_result()), field: value}))
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
    (tmp_path / "x.json").write_text(json.dumps({**to_values(make_result()), "mA": 0.9}))
    with pytest.raises(DataError, match="unknown: mA"):
        Result.load(tmp_path / "x.json")


def test_load_results_reads_folders_and_names_what_is_missing(tmp_path: Path) -> None:
    make_result().write(tmp_path)
    single = make_result(seed=1).write(tmp_path / "other.json")
    assert [r.seed for r in load_results([tmp_path / "peta", single])] == [0, 1]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no score files"):
        load_results([tmp_path / "empty"])
    with pytest.raises(DataError, match="no file or folder at"):
        load_results([tmp_path / "nowhere.json"])


def test_special_characters_give_safe_file_names() -> None:
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
