"""`passerby evaluate` and `passerby report`, from a bundle and a manifest to files and tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from passerby.bundle import Bundle
from passerby.cli import app
from passerby.cli.evaluate import _print_scores
from passerby.comparison.aggregate import aggregate, format_markdown
from passerby.comparison.pairing import find_sources
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError, ManifestError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.protocols import load_protocol
from passerby.evaluation.results import Result
from passerby.evaluation.score_files import load_results
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Preprocess

METADATA = {
    "variant": "sb",
    "pretraining": "none",
    "selection": "best mA on val",
    "seed": 2,
    "epochs": 3,
    "seconds": 4.5,
    "environment": {"device": "cpu"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve images, a manifest and a bundle of random weights."""
    folder = tmp_path_factory.mktemp("folder")
    schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("[b]Bag", "carries a bag")))
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    images = [f"images/{i}.png" for i in range(12)]
    for image in images:
        Image.fromarray(rng.integers(0, 255, (40, 20, 3), dtype=np.uint8)).save(folder / image)
    labels = np.tile([[1, 0], [0, 1]], (6, 1))
    splits = ["train"] * 4 + ["val"] * 3 + ["test"] * 5
    Manifest.create(
        "toy", schema, root=folder, images=images, labels=labels, partitions={"random": splits}
    ).write(folder / "toy.parquet")
    torch.manual_seed(0)
    model = create_model("baseline", schema=schema, backbone="test_resnet")
    Bundle(model, Preprocess(32, 16), (), METADATA).save(folder / "bundle")
    return folder


def run(folder: Path, *words: str, width: int = 120) -> str:
    command = ["evaluate", str(folder / "bundle"), "--data", str(folder / "toy.parquet"), *words]
    result = CliRunner().invoke(app, command, env={"COLUMNS": str(width)})
    if result.exception is not None:
        raise result.exception
    assert result.exit_code == 0
    return result.stdout


def test_table_files_and_score_file_agree(folder: Path, tmp_path: Path) -> None:
    words = (
        "--partition",
        "random",
        "--split",
        "test",
        "--out",
        str(tmp_path / "e"),
        "--result",
        str(tmp_path / "r"),
    )
    output = run(folder, *words)
    evaluation = Evaluation.load(tmp_path / "e")
    assert len(evaluation) == 5
    assert f"{100 * evaluation.scores.mA:.2f}" in output
    assert "[b]Bag" in output
    assert (
        "Protocol default: positive if p > 0.5, unknown labels ignored; epoch chosen by best mA on val"
        in output
    )
    result = Result.load(tmp_path / "r" / "toy" / "baseline-test_resnet-sb-seed2.json")
    assert result.metrics == evaluation.metrics()
    next_to_scores = pq.read_table(tmp_path / "r" / "toy" / "baseline-test_resnet-sb-seed2.parquet")
    assert next_to_scores.equals(pq.read_table(tmp_path / "e" / "predictions.parquet"))
    assert json.loads((tmp_path / "e" / "evaluation.json").read_text())["metrics"] == evaluation.metrics()
    assert pq.read_table(tmp_path / "e" / "predictions.parquet").num_rows == 5


def test_the_only_partition_is_the_default(folder: Path) -> None:
    assert "toy, random, test: 5 samples" in run(folder)
    assert "toy, random, val: 3 samples" in run(folder, "--split", "val")
    assert "toy, random, train: 4 samples" in run(folder, "--partition", "random", "--split", "train")


def test_facts_of_the_score_file_can_be_given(folder: Path, tmp_path: Path) -> None:
    run(folder, "--result", str(tmp_path / "x.json"), "--seed", "9", "--variant", "mine")
    result = Result.load(tmp_path / "x.json")
    assert (result.seed, result.variant, result.backbone) == (9, "mine", "test_resnet")


def test_the_protocol_is_printed(folder: Path) -> None:
    assert "threshold-0.45+unknown-negative: positive if p > 0.45" in run(
        folder, "--protocol", "threshold-0.45+unknown-negative"
    )


def test_five_crops_are_recorded(folder: Path, tmp_path: Path) -> None:
    assert "five crops" not in run(folder, "--out", str(tmp_path / "whole"))
    output = run(folder, "--five-crops", "--out", str(tmp_path / "five"), "--result", str(tmp_path / "r"))
    assert "mean of five crops." in " ".join(output.split())
    whole, five = Evaluation.load(tmp_path / "whole"), Evaluation.load(tmp_path / "five")
    assert (whole.five_crops, five.five_crops) == (False, True)
    assert not np.array_equal(whole.probs, five.probs)
    result = Result.load(tmp_path / "r" / "toy" / "baseline-test_resnet-sb-five-crops-seed2.json")
    assert result.protocol["crops"] == "mean of five crops"
    run(folder, "--five-crops", "--result", str(tmp_path / "x.json"), "--variant", "mine")
    assert Result.load(tmp_path / "x.json").variant == "mine"


def test_wrong_names_are_refused_before_the_work(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no protocol 'best'"):
        run(folder, "--protocol", "best")
    with pytest.raises(ManifestError, match="no partition 'official'"):
        run(folder, "--partition", "official")


def test_with_several_partitions_one_must_be_chosen(folder: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(folder / "toy.parquet")
    manifest.with_partition("other", ["test"] * 12).write(tmp_path / "two.parquet")
    command = [
        "evaluate",
        str(folder / "bundle"),
        "--data",
        str(tmp_path / "two.parquet"),
        "--root",
        str(folder),
    ]
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, ManifestError)
    assert "random, other" in str(error)
    assert CliRunner().invoke(app, [*command, "--partition", "other"]).exit_code == 0


def test_a_picture_left_out_is_named(folder: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(folder / "toy.parquet")
    for image in manifest.images[:-1]:
        (tmp_path / image).parent.mkdir(exist_ok=True)
        (tmp_path / image).write_bytes((folder / image).read_bytes())
    command = ["evaluate", str(folder / "bundle"), "--data", str(folder / "toy.parquet")]
    command += ["--root", str(tmp_path), "--on-unreadable", "skip"]
    assert "passerby: skipped images/11.png: " in CliRunner().invoke(app, command).stderr
    with pytest.raises(DataError, match=r"11\.png"):
        run(folder, "--root", str(tmp_path))


def test_the_cache_is_made_and_used(folder: Path, tmp_path: Path) -> None:
    plain = run(folder)
    assert run(folder, "--cache", str(tmp_path / "cache")) == plain
    assert list((tmp_path / "cache").iterdir())


def test_json_is_the_content_of_the_evaluation_file(folder: Path, tmp_path: Path) -> None:
    document = json.loads(run(folder, "--json", "--out", str(tmp_path / "e")))
    stored = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    del stored["details"]["root"], stored["details"]["seconds"], document["details"]["seconds"]
    assert document == stored
    assert document["details"]["n_samples"] == 5
    assert set(document["metrics"]["per_attribute"]) == {"Hat", "[b]Bag"}


def test_json_has_null_for_what_cannot_be_measured(folder: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(folder / "toy.parquet")
    splits = ["test" if row[0] else "train" for row in manifest.labels]  # only with a hat, without a bag
    manifest.with_partition("one", splits).write(tmp_path / "one.parquet")
    command = ["evaluate", str(folder / "bundle"), "--data", str(tmp_path / "one.parquet")]
    result = CliRunner().invoke(app, [*command, "--root", str(folder), "--partition", "one", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["metrics"]["per_attribute"]["[b]Bag"]["AP"] is None


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_tables_fit_with_long_names(
    tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("a long name of an attribute that fills most of a terminal", "x" * 90, "Hat")
    schema = AttributeSchema("toy", tuple(Attribute(name, "has it") for name in names))
    labels = np.tile(np.eye(3, dtype=np.int8), (7, 1))
    found = Evaluation(
        dataset="a data set with a long name",
        partition="official-1",
        split="test",
        protocol=load_protocol("default"),
        thresholds=(0.5, 0.5, 0.5),
        schema=schema,
        images=[f"{i}.png" for i in range(21)],
        identities=[None] * 21,
        boxes=[None] * 21,
        rows=np.arange(21),
        probs=np.random.default_rng(0).random((21, 3), np.float32),
        labels=labels,
        root=tmp_path,
        input_size=(256, 192),
        device="cpu",
        seconds=1.0,
    )
    monkeypatch.setenv("COLUMNS", str(width))
    _print_scores(found)
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= width
    assert "…" not in output
    assert output.count("x") >= 90
    for scores in found.metrics()["per_attribute"].values():
        for key in ("mA", "tpr", "tnr", "f1", "precision", "recall", "AP"):
            assert f"{100 * scores[key]:.1f}" in output.split()
    for value in found.summary().values():
        assert f"{100 * value:.2f}" in output.split()


def test_a_part_of_the_split_is_scored_and_recorded(folder: Path, tmp_path: Path) -> None:
    words = ("--limit", "3", "--out", str(tmp_path / "part"), "--result", str(tmp_path / "r"))
    output = " ".join(run(folder, *words).split())
    assert "toy, random, test: 3 samples" in output
    assert "no EMA; 3 of 5 samples, drawn at random." in output
    part = Evaluation.load(tmp_path / "part")
    rows = Manifest.load(folder / "toy.parquet").split_rows("random", "test")
    assert part.rows.tolist() == sorted(np.random.default_rng(0).permutation(rows)[:3].tolist())
    result = Result.load(tmp_path / "r" / "toy" / "baseline-test_resnet-sb-limit-3-seed2.json")
    assert result.variant == "sb-limit-3"
    assert result.protocol["limit"] == "3 of 5 samples, drawn at random"
    assert part.protocol_line.endswith("; 3 of 5 samples, drawn at random")
    assert "limit" not in Bundle.load(folder / "bundle").metadata
    run(folder, "--limit", "5", "--result", str(tmp_path / "r"))  # all samples: an ordinary score
    assert "limit" not in Result.load(tmp_path / "r" / "toy" / "baseline-test_resnet-sb-seed2.json").protocol


def test_scores_of_a_part_are_not_mixed_with_those_of_all(folder: Path, tmp_path: Path) -> None:
    run(folder, "--result", str(tmp_path / "all.json"), "--variant", "mine")
    run(folder, "--result", str(tmp_path / "part.json"), "--variant", "mine", "--limit", "3", "--seed", "3")
    rows = aggregate(load_results([tmp_path]))
    assert [len(row.results) for row in rows] == [1, 1]
    assert "3 of 5 samples, drawn at random" in format_markdown(rows)


def test_the_command_for_missing_predictions_scores_the_same_part(folder: Path, tmp_path: Path) -> None:
    run(folder, "--result", str(tmp_path / "part.json"), "--limit", "3")
    (tmp_path / "part.parquet").unlink()
    with pytest.raises(DataError, match=r"passerby evaluate BUNDLE .* --limit 3 --result"):
        find_sources([tmp_path / "part.json"])
