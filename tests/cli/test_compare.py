"""`passerby compare`, from score files to tables and the stored file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from passerby.cli import app
from passerby.comparison.run_comparison import Comparison
from passerby.errors import ConfigError, DataError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.protocols import load_protocol
from passerby.schema import Attribute, AttributeSchema

NAMES = ("Hat", "Bag", "Coat")


def write(folder: Path, *, variant: str, seed: int, skill: float) -> Path:
    return make(variant=variant, seed=seed, skill=skill).write_result(folder)


def make(*, variant: str, seed: int, skill: float) -> Evaluation:
    rng = np.random.default_rng(5)
    labels = (rng.random((50, 3)) < 0.4).astype(np.int8)
    noise = np.random.default_rng((seed, len(variant))).normal(0, 1, labels.shape)
    return Evaluation(
        dataset="drawn",
        partition="official",
        split="test",
        protocol=load_protocol("default"),
        thresholds=(0.5,) * 3,
        schema=AttributeSchema("drawn", tuple(Attribute(n, n) for n in NAMES)),
        images=[f"{i:03d}.png" for i in range(50)],
        identities=[f"p{i // 2}" for i in range(50)],
        boxes=[None] * 50,
        rows=np.arange(50),
        probs=(1 / (1 + np.exp(-(skill * (2 * labels - 1) + noise)))).astype(np.float32),
        labels=labels,
        root=Path(),
        input_size=(256, 192),
        device="cpu",
        seconds=0.1,
        metadata={
            "model": "baseline",
            "variant": variant,
            "backbone": "mobilenetv2_100",
            "pretraining": "mobilenetv2_100_tf_imagenet",
            "seed": seed,
            "epochs": 15,
            "seconds": 1.0,
            "environment": {"device": "cpu"},
            "selection": "best mA on val",
            "ema": 0.998,
        },
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in (0, 1):
        write(tmp_path / "results", variant="sb-ema-cosine", seed=seed, skill=1.0)
        write(tmp_path / "results", variant="[b]diaa-focal-from-128x96", seed=seed, skill=1.6)
    return tmp_path / "results"


def run(*words: Any, width: int = 160) -> str:
    result = CliRunner().invoke(app, ["compare", *map(str, words)], env={"COLUMNS": str(width)})
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_table_on_a_wide_screen(folder: Path) -> None:
    output = run(folder, "--baseline", "sb-ema-cosine", "--resamples", 40)
    lines = [line.strip() for line in output.splitlines()]
    assert output.startswith("drawn official/test · baseline · mobilenetv2_100 · pretraining")
    assert "epoch by best mA on val · EMA 0.998 · 2 seeds" in output
    assert any(line.startswith("sb-ema-cosine ") and line.count("±") == 6 for line in lines)
    start = next(i for i, line in enumerate(lines) if line.startswith("[b]diaa-focal-from-128x96"))
    assert lines[start].count("±") == 6
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == ["difference", "95", "share"]
    assert lines[start + 2].count("[") == 3


@pytest.mark.parametrize("width", [60, 80])
def test_the_table_fits_a_narrow_screen(folder: Path, tmp_path: Path, width: int) -> None:
    path = tmp_path / "x.comparison.json"
    output = run(folder, "--baseline", "sb-ema-cosine", "--resamples", 40, "--out", path, width=width)
    assert max(map(len, output.splitlines())) <= width
    assert "…" not in output
    for run_ in Comparison.load(path).runs:
        for metric in ("mA", "recall"):
            mean, spread = run_.format_score(metric)
            assert mean in output
            assert spread.replace(" ", "") in output
        for each in (run_.differences or {}).values():
            difference, interval, share = each.format()
            assert all(split in output for split in (difference, share, *interval.strip("[]").split(", ")))
    if width == 80:
        assert "[b]diaa-focal-from-128x96 " in output  # whole


def test_a_stored_comparison_prints_the_same_table(folder: Path) -> None:
    path = folder / "drawn" / "x.comparison.json"
    words = ("--baseline", "sb-ema-cosine", "--resamples", 20, "--by", "identity", "--metric", "mAP")
    screen = run(folder, *words, "--out", path)
    assert run(path) == screen
    assert (
        run(folder, *words, "--markdown")
        == run(path, "--markdown")
        == Comparison.load(path).format_markdown()
    )
    found = Comparison.load(path)
    assert (found.by, found.metrics, found.resamples, found.n_clusters) == ("identity", ("mAP",), 20, 25)


def test_run_folders_score_files_and_folders_of_them_give_the_same_table(
    folder: Path, tmp_path: Path
) -> None:
    skills = {"sb-ema-cosine": 1.0, "[b]diaa-focal-from-128x96": 1.6}
    for variant, skill in skills.items():
        for seed in (0, 1):
            make(variant=variant, seed=seed, skill=skill).write(
                tmp_path / "runs" / f"{variant}{seed}" / "test"
            )
    (tmp_path / "runs" / "sb-ema-cosine0" / "recipe.yaml").write_text("variant: sb")
    words = ("--baseline", "sb-ema-cosine", "--resamples", 20)
    expected = run(folder, *words)
    runs = sorted((tmp_path / "runs").iterdir())
    stored = folder / "x.comparison.json"
    run(folder, *words, "--out", stored)
    for paths in ([tmp_path / "runs"], runs, [*runs, folder], [runs[0], folder, folder, stored]):
        assert run(*paths, *words) == expected
    for file in folder.rglob("*.parquet"):
        file.unlink()
    assert run(folder, *runs, *words) == expected  # the predictions of the runs


def test_what_would_change_a_stored_comparison_is_refused(folder: Path) -> None:
    path = folder / "x.comparison.json"
    run(folder, "--baseline", "sb-ema-cosine", "--resamples", 5, "--out", path)
    with pytest.raises(ConfigError, match="--resamples, --level"):
        run(path, "--resamples", 1000, "--level", 0.95)
    with pytest.raises(ConfigError, match="2 paths"):
        run(path, folder)


def test_mistakes_are_explained(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--baseline"):
        run(folder)
    with pytest.raises(ConfigError, match=r"\.comparison\.json, got"):
        run(folder, "--baseline", "sb-ema-cosine", "--out", tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()
    with pytest.raises(ConfigError, match=r"'nobody'.*sb-ema-cosine"):
        run(folder, "--baseline", "nobody")
    next(folder.rglob("*.parquet")).unlink()
    with pytest.raises(DataError, match="passerby evaluate BUNDLE"):
        run(folder, "--baseline", "sb-ema-cosine")


def test_json_is_the_content_of_the_stored_comparison(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.comparison.json"
    output = run(folder, "--baseline", "sb-ema-cosine", "--resamples", 10, "--json", "--out", path)
    assert json.loads(output) == json.loads(path.read_text())
    assert run(path, "--json") == output
