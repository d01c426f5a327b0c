"""`passerby models`."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from passerby.cli import app
from passerby.errors import ConfigError, ModelError
from passerby.models import MODELS


def run(*options: str, columns: int = 100) -> Result:
    return CliRunner().invoke(app, ["models", *options], env={"COLUMNS": str(columns)})


def test_a_published_figure_stands_beside_the_count() -> None:
    result = run("--model", "baseline", "--backbone", "resnet50")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 100
    assert "1 GMAC = 2 GFLOPs" in result.output
    (diaa,) = (line.split() for line in lines if "DIAA" in line)
    assert diaa[:8] == ["resnet50", "1000", "25.56", "25.60", "0.998", "224×224", "4.089", "–"]
    sspnet = next(line.split() for line in lines if "256×128" in line)
    assert sspnet[6:9] == ["2.669", "2.69", "0.992"]


def test_the_full_model_shows_its_overhead_and_no_figure_of_the_paper() -> None:
    result = run("--model", "diaa", "--backbone", "resnet50")
    assert "input 224×224, 14 attributes" in result.output
    (line,) = (line.split() for line in result.output.splitlines() if line.startswith(" diaa"))
    assert line == ["diaa", "resnet50", "14", "25.74", "+9.38", "%", "224×224", "4.312", "+5.49", "%"]


def test_numbers_stay_whole_on_a_narrow_screen() -> None:
    line = next(line for line in run("--model", "mtms").output.splitlines() if "parsing" in line)
    assert line.split()[-8:] == ["35", "36.68", "+55.54", "%", "256×128", "7.181", "+169.03", "%"]


def test_own_settings_and_json() -> None:
    result = run("--backbone", "test_resnet", "--size", "64x48", "--attributes", "5", "--json")
    counts = {count["model"]: count for count in json.loads(result.stdout)["counts"]}
    assert set(counts) == set(MODELS)
    for count in counts.values():
        assert (count["size_px"], count["attributes"]) == ([64, 48], 5)
        assert count["published_parameters"] is None
    assert counts["baseline"]["parameters_overhead"] is None
    more = counts["diaa"]["parameters"] / counts["baseline"]["parameters"] - 1
    assert counts["diaa"]["parameters_overhead"] == pytest.approx(more)


def test_markdown() -> None:
    lines = run("--backbone", "test_resnet", "--markdown").output.splitlines()
    assert {line.count("|") for line in lines[:4]} == {14}
    assert lines[2].startswith("| baseline | test_resnet | 35 |")
    assert "224×224" in lines[2]


def test_a_system_that_cannot_use_the_backbone_is_named() -> None:
    result = run("--backbone", "test_vit", "--size", "64x64")
    assert result.exit_code == 0
    assert "test_vit" in result.stdout
    assert "not counted: diaa on test_vit" in result.stderr
    error = run("--backbone", "test_vit", "--model", "diaa").exception
    assert isinstance(error, ModelError)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (["--model", "nonsense"], ModelError, "baseline, da-har, diaa"),
        (["--backbone", "resnt50"], ModelError, "resnet50"),
        (["--size", "224"], ConfigError, "256x192"),
        (["--size", "0x64"], ConfigError, "256x192"),
        (["--size", "64xx64"], ConfigError, "256x192"),
    ],
)
def test_refusals(options: list[str], kind: type[Exception], message: str) -> None:
    error = run(*options).exception
    assert isinstance(error, kind)
    assert message in str(error)
