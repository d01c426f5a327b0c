"""The chapter of a comparison."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from passerby.comparison.run_comparison import Comparison
from passerby.comparison.score_table import Cell
from passerby.report.comparison_chapter import create_comparison_section
from passerby.report.inputs import load_sources
from passerby.report.page import create_report

STORED = Path(__file__).parents[2] / "results/ablations-128x96/ccp/da-har.comparison.json"


@pytest.fixture
def comparison() -> Comparison:
    return Comparison.load(STORED)


def test_scores_and_differences_of_every_run(comparison: Comparison) -> None:
    section = create_comparison_section(comparison, anchor="c0")
    assert len(section.table.rows) == len(comparison.runs)
    (_, first), (_, second) = section.table.rows[:2]
    assert not any(below for _, below in map(Cell.to_lines, first))
    found = comparison.runs[1].differences
    assert found is not None
    value, below = second[0].to_lines()
    assert value == f"{100 * comparison.runs[1].scores['mA'][0]:.2f}"
    difference, interval, share = found["mA"].format()
    assert below == (f"{difference} {interval}", f"≤ 0: {share} %")
    assert section.table.heads == ("run", "mA", "Acc", "Prec", "Rec", "F1", "mAP", "parsing IoU")
    assert len(section.charts) == len(comparison.metrics)
    assert section.title == "ccp, random-0/test"
    calibrated = [replace(run, protocol={**run.protocol, "calibration": "own"}) for run in comparison.runs]
    section = create_comparison_section(replace(comparison, runs=tuple(calibrated)), anchor="c0")
    assert section.title == "ccp, random-0/test, own"


def test_costs_are_in_the_table_and_a_chart(comparison: Comparison) -> None:
    costs = {"parameters": 2.5e6, "macs": 3e8, "training_s": 90.0, "inference_1": 1.25}
    runs = tuple(replace(run, costs=costs) for run in comparison.runs)
    section = create_comparison_section(replace(comparison, runs=runs), anchor="c0")
    assert section.table.heads[-4:] == ("params, M", "GMACs", "training, min", "time × baseline, 1")
    assert [cell.value[0] for cell in section.table.rows[0][1][-4:]] == ["2.50", "0.300", "1.5", "1.25"]
    assert len(section.charts) == len(comparison.metrics) + 1
    partly = replace(comparison, runs=(comparison.runs[0], *runs[1:]))
    assert partly.format_costs(partly.runs[0]) == ["–"] * 4


def test_a_report_of_a_stored_comparison(comparison: Comparison) -> None:
    sources = load_sources([STORED])
    assert sources.comparisons == [comparison]
    html = create_report([], [], comparisons=sources.comparisons)
    assert f"<h1>Comparison of {len(comparison.runs)} runs</h1>" in html
    assert "Provenance" not in html
    assert "parsing IoU</th>" in html
    assert re.search(r">mask \d+\.\d\d</span>", html)
    assert "&lt;br&gt;" not in html
    ids = re.findall(r'id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
