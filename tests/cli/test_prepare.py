from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from passerby.cli import app, main
from passerby.data.formats import FORMATS, pa100k
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError, FormatError


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["prepare", *map(str, arguments)])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty persons in a custom table; the current folder is another one."""
    folder = tmp_path / "data"
    folder.mkdir()
    lines = ["image,Hat,Cape,identity,split"]
    for i in range(40):
        Image.new("RGB", (4, 4), (i, 0, 0)).save(folder / f"{i:02d}.png")
        lines.append(f"{i:02d}.png,{i % 2},{'' if i % 4 else 1},p{i // 2},{'train' if i % 3 else 'test'}")
    (folder / "mine.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return folder


def test_writes_a_manifest_and_a_summary(root, tmp_path):
    result = run("table", "--root", root)
    assert result.exit_code == 0, result.output
    manifest = Manifest.load(tmp_path / "table.parquet")
    assert len(manifest) == 40
    assert manifest.root == root
    for text in (
        "mine",
        "40",
        "Hat",
        "50.0",
        "unknown labels",
        "All images in the manifest are readable",
        "Wrote table.parquet",
    ):
        assert text in result.output
    own = next(line.split() for line in result.output.splitlines() if line.strip().startswith("own"))
    assert own[:4] == ["own", "26", "–", "14"]


def test_summary_lists_problems(root, tmp_path):
    (root / "03.png").write_bytes((root / "04.png").read_bytes())
    (root / "05.png").write_bytes(b"nothing")
    (root / "06.png").unlink()
    result = run("table", "--root", root, "--out", tmp_path / "out" / "m.parquet", "--allow-missing")
    assert result.exit_code == 0, result.output
    assert "Note: mine: 1 of 40 images are missing" in result.output
    assert "Unreadable images (1):" in result.output
    assert "05.png: it is damaged" in result.output
    assert "03.png = 04.png" in result.output
    assert (
        "Attributes that are never present or never absent (1)" in result.output
    )  # no row is known to lack a cape
    assert len(Manifest.load(tmp_path / "out" / "m.parquet")) == 39


def test_missing_images_stop_it_by_default(root, tmp_path):
    (root / "06.png").unlink()
    result = run("table", "--root", root)
    assert isinstance(result.exception, FormatError)
    assert not (tmp_path / "table.parquet").exists()


def test_images_need_not_be_read(root):
    (root / "05.png").write_bytes(b"nothing")
    result = run("table", "--root", root, "--no-check-images")
    assert result.exit_code == 0, result.output
    assert "Images were not read" in result.output
    assert "Unreadable images" not in result.output


def test_makes_partitions(root, tmp_path):
    conditions = ("--max-drift", 0.5, "--min-test-images", 4)
    result = run(
        "table",
        "--root",
        root,
        "--partition",
        "random",
        "--partition",
        "identity-disjoint",
        "--seed",
        3,
        *conditions,
    )
    assert result.exit_code == 0, result.output
    manifest = Manifest.load(tmp_path / "table.parquet")
    assert manifest.partition_names == ("own", "random-3", "identity-disjoint-3")
    splits = {
        p: set(manifest.select_split("identity-disjoint-3", p).identities) for p in ("train", "val", "test")
    }
    assert not splits["train"] & splits["val"]
    assert not splits["train"] & splits["test"]
    assert not splits["val"] & splits["test"]


def test_conditions_of_the_split_are_passed_on(root):
    result = run("table", "--root", root, "--partition", "identity-disjoint")
    assert isinstance(result.exception, DataError)
    assert "at least 300 test images" in str(result.exception)


def test_options_of_the_table(root, tmp_path):
    (root / "schema.csv").write_text("name,description\nCape,wears a cape\n")
    result = run(
        "table",
        "--root",
        root,
        "--table",
        root / "mine.csv",
        "--schema",
        root / "schema.csv",
        "--name",
        "heroes",
    )
    assert result.exit_code == 0, result.output
    manifest = Manifest.load(tmp_path / "table.parquet")
    assert manifest.dataset == "heroes"
    assert manifest.schema["Cape"].description == "wears a cape"
    (root / "schema.csv").unlink()
    assert run("table", "--root", root, "--attributes", "Cape, Hat").exit_code == 0
    assert Manifest.load(tmp_path / "table.parquet").schema.names == ("Cape", "Hat")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pets",), "no data set 'pets'; expected one of peta, pa100k"),
        (("pa100k", "--attributes", "all"), "--attributes is not an option of pa100k"),
        (("peta", "--frames"), "--frames is not an option of peta"),
        (("peta", "--attributes", "some"), "--attributes: expected evaluated or all, got 'some'"),
        (("peta", "--labels", "csv"), "--labels: expected mat or text, got 'csv'"),
    ],
)
def test_wrong_options_raise_an_error(root, arguments, message):
    result = run(*arguments, "--root", root)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_absent_root_raise_an_error(tmp_path):
    result = run("peta", "--root", tmp_path / "nowhere")
    assert isinstance(result.exception, ConfigError)
    assert "check --root" in str(result.exception)


def test_errors_are_printed_as_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["passerby", "prepare", "peta", "--root", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("passerby: FormatError: found no PETA.mat")
    assert "Traceback" not in error


def test_help_names_every_data_set():
    result = run("--help")
    assert result.exit_code == 0
    for name in FORMATS:
        assert name in result.output


def test_reads_what_synth_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(app, ["synth", "--out", "people", "--count", "40", "--seed", "1"])
    assert made.exit_code == 0, made.output
    result = run("table", "--root", "people", "--name", "synthetic")
    assert result.exit_code == 0, result.output
    manifest = Manifest.load(tmp_path / "table.parquet")
    assert len(manifest) == 40
    assert manifest.schema.attributes == pa100k.SCHEMA.attributes
    assert -1 in manifest.labels
    assert None not in manifest.paths("mask")
    assert None not in manifest.paths("parsing")
    assert manifest.keypoints() is not None
    assert set(manifest.table.column("split:own").to_pylist()) == {"train", "val", "test"}


def test_json(root, tmp_path):
    (root / "05.png").write_bytes(b"nothing")
    result = run("table", "--root", root, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["manifest"], document["rows"], document["images"]) == ("table.parquet", 40, 40)
    hat, cape = document["attributes"]
    assert (hat["name"], hat["positives"], hat["negatives"], hat["unknown"]) == ("Hat", 20, 20, 0)
    assert (cape["positives"], cape["unknown"]) == (10, 30)
    assert document["splits"]["own"] == {"train": 26, "test": 14}
    assert "05.png" in json.dumps(document)
    assert "Wrote table.parquet (40 rows)." in result.stderr


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_summary_fits_with_long_names(root, width):
    table = (
        (root / "mine.csv").read_text().replace("Hat", "x" * 90).replace("Cape", "a cape of many words " * 4)
    )
    (root / "mine.csv").write_text(table)
    result = CliRunner(env={"COLUMNS": str(width)}).invoke(app, ["prepare", "table", "--root", str(root)])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= max(width, 90 + 2)  # names in lists are not broken
    assert "…" not in result.stdout
    assert {"20", "10", "30", "50.0", "26", "14"} <= set(result.stdout.split())
