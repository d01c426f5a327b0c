"""`passerby compare-localization`, from files of scores to tables and the stored file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from passerby.cli import app
from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.paired_localization import COMPARABLE
from passerby.comparison.stored import format_comparison
from passerby.errors import ConfigError, DataError
from passerby.evaluation.localization.samples import MEASURES, LocalizationSamples
from passerby.evaluation.localization.scores import LocalizationProtocol, LocalizationScores

NAMES = ("accessoryHat", "[b]Boots")


def write(folder: Path, *, variant: str, seed: int, skill: float) -> Path:
    """Scores of two attributes in 40 images, every second one of two of a person."""
    noise = np.random.default_rng((seed, len(variant))).normal(0, 0.1, 80)
    iou = np.clip(np.random.default_rng(5).uniform(0, 0.4, 80) + skill + noise, 0, 1)
    shares = {"box_share": np.full(80, 0.12), "mask_share": np.full(80, 0.06)}
    measures = {name: np.full(80, np.nan) for name in MEASURES} | shares
    measures |= {"box_iou": iou, "mask_iou": iou / 2, "pointing": (iou > 0.3) * 1.0, "box_energy": iou}
    measures |= {"empty": np.zeros(80)}
    return LocalizationScores(
        dataset="ccp",
        partition="random-0",
        split="test",
        protocol=LocalizationProtocol("parsing", "grad-cam-p", "max:0.5", "outer", 9, 10, False, 0),
        names={name: (name.lower(),) for name in NAMES},
        exclude_from_mean=(),
        of_paper=NAMES[:1],
        samples=LocalizationSamples(
            NAMES,
            np.arange(80) % 2,
            [f"{i // 2}.png" for i in range(80)],
            [f"p{i // 4}" for i in range(80)],
            np.arange(80) // 2,
            np.clip(iou + noise, 0, 1),
            measures,
        ),
        too_small={},
        input_size=(128, 96),
        resamples=2,
        seed=0,
        device="cpu",
        seconds=0.1,
        metadata={
            "model": "baseline",
            "variant": variant,
            "backbone": "mobilenetv2_100",
            "pretraining": "mobilenetv2_100_tf_imagenet",
            "seed": seed,
            "epochs": 30,
        },
    ).write(folder / f"{variant}-seed{seed}.localization.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in (0, 1):
        write(tmp_path / "results", variant="sb", seed=seed, skill=0.1)
        write(tmp_path / "results", variant="[b]sspnet-full-30-epochs", seed=seed, skill=0.2)
    return tmp_path / "results"


def run(*words: Any, width: int = 160) -> str:
    command = ["compare-localization", *map(str, words)]
    result = CliRunner().invoke(app, command, env={"COLUMNS": str(width)})
    if result.exception is not None:
        raise result.exception
    return result.stdout


def find_line(output: str, name: str, after: str = "") -> str:
    found = output[output.index(after) :]
    return next(line.strip() for line in found.splitlines() if line.strip().startswith(name))


def test_the_tables_on_a_wide_screen(folder: Path) -> None:
    output = run(folder, "--baseline", "sb", "--resamples", 40)
    assert output.startswith("ccp random-0/test · baseline · mobilenetv2_100 · pretraining mobilenetv2_100")
    assert "40 paired resamples of 20 identities or images" in " ".join(output.split())
    assert find_line(output, "run").split()[-6:] == ["IoU", "PCC", "pointing", "energy", "empty", "↓"]
    assert find_line(output, "uniform baseline").split()[2:] == ["12.00", "6.00", "–", "6.00", "12.00", "–"]
    assert find_line(output, "1 · sb").count("±") == 6
    start = output.index("2 · [b]sspnet-full-30-epochs")
    rows = [line.strip() for line in output[start:].splitlines()]
    assert rows[0].count("±") == 6
    assert [row.split()[0] for row in rows[1:4]] == ["difference", "95", "share"]
    assert rows[2].count("[") == 2
    assert find_line(output, "attribute", "by attribute").split() == ["attribute", "n", "uniform", "1", "2"]
    for title in ("IoU by attribute", "PCC by attribute"):
        assert find_line(output, "[b]Boots", title).split()[1] == "40"
        assert find_line(output, "mean of 2", title).count("±") == 2
        assert find_line(output, "1 of SSPNet's", title).count("±") == 2


@pytest.mark.parametrize("width", [60, 80])
def test_the_tables_fit_a_narrow_screen(folder: Path, tmp_path: Path, width: int) -> None:
    path = tmp_path / "x.localization-comparison.json"
    output = run(folder, "--baseline", "sb", "--resamples", 40, "--out", path, width=width)
    assert max(map(len, output.splitlines())) <= width
    assert "…" not in output
    found = LocalizationComparison.load(path)
    differences = found.runs[1].differences
    assert differences is not None
    for score, factor, digits in (("box_iou", 100, 2), ("pcc", 1, 3)):
        difference, interval, share = differences.mean[score].format(factor=factor, digits=digits)
        assert all(split in output for split in (difference, share, *interval.strip("[]").split(", ")))


def test_a_stored_comparison_prints_the_same_tables(folder: Path) -> None:
    path = folder / "x.localization-comparison.json"
    words = ("--baseline", "sb", "--resamples", 20, "--scores", "mask_iou, empty", "--seed", 3)
    screen = run(folder, *words, "--out", path)
    assert run(path) == screen
    assert "mask IoU by attribute" in screen
    assert "PCC by attribute" not in screen
    found = LocalizationComparison.load(path)
    assert run(folder, *words, "--markdown") == run(path, "--markdown") == format_comparison(found)
    assert (found.scores, found.resamples, found.seed) == (("mask_iou", "empty"), 20, 3)
    with pytest.raises(ConfigError, match="--resamples"):
        run(path, "--resamples", 1000)
    with pytest.raises(ConfigError, match="2 paths"):
        run(path, folder)


def test_mistakes_are_explained(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--baseline"):
        run(folder)
    with pytest.raises(ConfigError, match=r"\.localization-comparison\.json, got"):
        run(folder, "--baseline", "sb", "--out", tmp_path / "x.comparison.json")
    with pytest.raises(ConfigError, match=r"'nobody'.*baseline · mobilenetv2_100 · sb"):
        run(folder, "--baseline", "nobody")
    with pytest.raises(ConfigError, match=r"expected distinct scores among box_iou.*got iou"):
        run(folder, "--baseline", "sb", "--scores", "iou")
    next(folder.glob("*.parquet")).unlink()
    with pytest.raises(DataError, match="passerby evaluate-localization BUNDLE"):
        run(folder, "--baseline", "sb")
    broken = tmp_path / "x.localization-comparison.json"
    broken.write_text('{"version": 1}')
    with pytest.raises(DataError, match="is no comparison of localisation"):
        run(broken)


def test_the_help_knows_all_scores() -> None:
    output = CliRunner().invoke(app, ["compare-localization", "--help"], env={"COLUMNS": "200"}).stdout
    assert all(name in output for name in COMPARABLE)


def test_json_is_the_content_of_the_stored_comparison(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.localization-comparison.json"
    output = run(folder, "--baseline", "sb", "--resamples", 10, "--json", "--out", path)
    assert json.loads(output) == json.loads(path.read_text())
    assert run(path, "--json") == output
