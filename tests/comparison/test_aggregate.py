"""Aggregation of seeds, and the table of recipes."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import pytest

from passerby.comparison.aggregate import aggregate, format_markdown, select_variants
from passerby.errors import ConfigError, DataError
from passerby.evaluation.results import Result
from passerby.metrics.functional import METRICS
from toy_evaluations import make_result


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


def test_json_names_what_cannot_be_measured() -> None:
    plain = with_score(0.80, seed=0)
    bare = replace(plain, metrics={**plain.metrics, "unmeasured": ["Bag"]}, dataset="ccp")
    documents = [row.to_dict() for row in aggregate([plain, bare, replace(bare, seed=1)])]
    assert [(each["dataset"], each["unmeasured"]) for each in documents] == [("ccp", ["Bag"]), ("peta", [])]


def test_the_same_seed_twice_is_refused() -> None:
    with pytest.raises(DataError, match="each seed once"):
        aggregate([make_result(), make_result()])


def test_markdown_has_a_row_per_recipe() -> None:
    text = format_markdown(
        aggregate([with_score(0.8), with_score(0.83, seed=1), with_score(0.5, dataset="ccp")])
    )
    lines = text.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("| data | recipe |")
    assert lines[2].startswith(
        "| ccp, official-1/test | baseline · mobilenetv2_100 · sb | imagenet, 256×192, 30 epochs "
    )
    assert "| 81.50 ± 2.12 |" in lines[3]
    assert len({line.count("|") for line in lines}) == 1


def test_chosen_variants_and_columns() -> None:
    rows = aggregate([with_score(0.8), with_score(0.5, variant="plain"), with_score(0.6, variant="focal")])
    chosen = select_variants(rows, ["sb", "focal"])
    assert format_markdown(chosen, ["model", "variant", "seeds", "mA"]).splitlines() == [
        "| model | variant | seeds | mA |",
        "|---|---|---:|---:|",
        "| baseline | sb | 1 | 80.00 |",
        "| baseline | focal | 1 | 60.00 |",
    ]


def test_unknown_variants_and_columns_are_named() -> None:
    rows = aggregate([with_score(0.8), with_score(0.5, variant="plain")])
    with pytest.raises(ConfigError, match=r"no score of the variant 'plane'.*plain"):
        select_variants(rows, ["sb", "plane"])
    with pytest.raises(ConfigError, match="no column 'ma'; expected some of data, recipe"):
        format_markdown(rows, ["model", "ma"])
