"""`passerby models`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner, Result

from passerby.cli import app
from passerby.errors import ConfigError, ModelError
from passerby.models import MODELS
from passerby.models.published import PUBLISHED, select_settings


def run(*options: str, columns: int = 80) -> Result:
    return CliRunner().invoke(app, ["models", *options], env={"COLUMNS": str(columns)})


def get_row(result: Result, start: str, backbone: str = "resnet50") -> list[str]:
    """Cells after the first column of the only row that starts so, below a backbone."""
    lines = result.output.splitlines()
    block = lines[lines.index(f"[{backbone}]") + 1 :]
    (line,) = [line for line in block[: [*block, ""].index("")] if line.startswith(start)]
    return line.removeprefix(start).split()


def test_the_table_fits_80_columns() -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    assert {f"[{setting.backbone}]" for setting in PUBLISHED} <= set(result.output.splitlines())


def test_published_figures_are_next_to_the_counts() -> None:
    result = run("--model", "baseline", "--backbone", "resnet50")
    assert result.exit_code == 0, result.output
    assert "1 GMAC = 2 GFLOPs" in result.output
    diaa = get_row(result, "DIAA, Table 2")
    assert diaa == ["1000", "224×224", "25.56", "25.60", "0.998", "4.089", "–", "–"]
    assert get_row(result, "SSPNet, Table 3 ")[1:] == [
        *("256×128", "23.56", "23.56", "1.000"),
        *("2.669", "2.69", "0.992"),
    ]


def test_columns_without_values_are_left_out() -> None:
    row = get_row(run("--model", "diaa", "--backbone", "resnet50"), "diaa")
    assert row == ["14", "224×224", "25.74", "+9.38", "%", "4.312", "+5.49", "%"]


def test_a_variant_has_its_own_row() -> None:
    row = get_row(run("--model", "mtms"), "MTMS, parsing shown")
    assert row == ["35", "256×128", "36.68", "+55.54", "%", "7.181", "+169.03", "%"]


@pytest.mark.slow
def test_custom_settings_and_json() -> None:
    result = run("--backbone", "test_resnet", "--size", "64x48", "--attributes", "5", "--json")
    counts = {count["model"]: count for count in json.loads(result.stdout)["counts"]}
    assert set(counts) == set(MODELS)
    for count in counts.values():
        assert (count["size_px"], count["attributes"]) == ([64, 48], 5)
        assert count["published_parameters"] is None
    assert counts["baseline"]["parameters_overhead"] is None
    more = counts["diaa"]["parameters"] / counts["baseline"]["parameters"] - 1
    assert counts["diaa"]["parameters_overhead"] == pytest.approx(more)


@pytest.mark.slow
def test_markdown() -> None:
    lines = run("--backbone", "test_resnet", "--markdown").output.splitlines()
    assert {line.count("|") for line in lines[:4]} == {14}
    assert lines[2].startswith("| baseline | test_resnet | 35 |")
    assert "224×224" in lines[2]


@pytest.mark.slow
def test_a_model_that_cannot_use_the_backbone_is_reported() -> None:
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


def test_stored_counts_are_those_of_the_published_settings() -> None:
    """After a change: `passerby models --recount --json > src/passerby/models/counts.json`."""
    stored = json.loads(run("--json").stdout)
    settings = select_settings(tuple(MODELS))
    fields = ("model", "backbone", "attributes", "source", "variant", "parsing")
    found = [(*(count[name] for name in fields), tuple(count["size_px"])) for count in stored["counts"]]
    assert found == [(*(getattr(s, name) for name in fields), s.size_px) for s in settings]
    assert [count["arguments"] for count in stored["counts"]] == [dict(s.arguments) for s in settings]
    assert [count["published_gmacs"] for count in stored["counts"]] == [s.gmacs for s in settings]
    assert [count["published_parameters"] for count in stored["counts"]] == [s.parameters for s in settings]


def test_a_stored_count_is_counted_again() -> None:
    words = ("--model", "passerby", "--json")
    assert json.loads(run(*words, "--recount").stdout)["counts"] == json.loads(run(*words).stdout)["counts"]


@pytest.mark.slow
def test_all_stored_counts_are_counted_again() -> None:
    assert (
        json.loads(run("--recount", "--json").stdout)["counts"] == json.loads(run("--json").stdout)["counts"]
    )


def test_the_command_imports_no_torch() -> None:
    code = (
        "import sys; from passerby.cli import app; app(standalone_mode=False); "
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, "models"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "[resnet50]" in output


@pytest.mark.parametrize("width", [80, 120, 200])
def test_wide_terminals_have_all_columns(width: int) -> None:
    lines = run(columns=width).stdout.splitlines()
    assert max(map(len, lines)) <= width
    assert ("SSPNet, Table 3, size as stated" in "\n".join(lines)) is (width > 80)
    headings = [line.split() for line in lines if line.startswith("model")]
    assert (headings[0].count("ratio") == 2) is (width > 80)
