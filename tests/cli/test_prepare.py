from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from passerby.cli import app, main
from passerby.cli.summary import print_summary
from passerby.data.formats import FORMATS, pa100k
from passerby.data.manifest import Manifest
from passerby.data.summary import summarise
from passerby.errors import ConfigError, DataError, FormatError
from spreadsheets import write_xlsx


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["prepare", *map(str, arguments)])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty persons in a custom table; the current folder is another one."""
    folder = tmp_path / "data"
    folder.mkdir()
    lines = ["image,Hat,Cape,identity,split"]
    for i in range(40):
        Image.new("RGB", (16, 16), (i, 0, 0)).save(folder / f"{i:02d}.png")
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
        "All images in the manifest are readable, distinct and in one split only.",
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
    assert "passerby: mine: 1 of 40 images are missing" in result.output
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
    assert "All images" not in result.output
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


def write_table(root: Path, *rows: str) -> None:
    (root / "mine.csv").write_text("\n".join(["image,Hat,x0,y0,x1,y1,identity,split", *rows]) + "\n")


def find_lines(result: Result, title: str) -> list[str]:
    """The lines below a title of the summary."""
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(title))
    end = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith("  ")), None)
    return [line.strip() for line in lines[start + 1 : end]]


def test_random_partition_keeps_photos_and_copies_in_one_split(root, tmp_path):
    for i in range(8):
        (root / f"{20 + i}.png").write_bytes((root / f"{i:02d}.png").read_bytes())
    lines = [f"{i:02d}.png,{int(i < 3)},{4 * k},0,16,16,," for i in range(40) for k in range(2)]
    write_table(root, *lines)
    for arguments in ((), ("--no-check-images",)):
        result = run("table", "--root", root, "--partition", "random", *arguments)
        assert result.exit_code == 0, result.output
        assert "in several splits" not in result.output
        manifest = Manifest.load(tmp_path / "table.parquet")
        splits = manifest.table.column("split:random-0").to_pylist()
        by_content: dict[bytes, set[str]] = {}
        for image, split in zip(manifest.images, splits, strict=True):
            by_content.setdefault((root / image).read_bytes(), set()).add(split)
        assert len(by_content) == 32
        assert all(len(found) == 1 for found in by_content.values())
        assert [splits.count(p) for p in ("train", "val", "test")] == [56, 8, 16]
        assert {splits[0], splits[2], splits[4]} == {"train", "val", "test"}  # a hat is in each split


@pytest.mark.parametrize("read", [True, False])
def test_images_in_several_splits_are_named_and_nothing_is_all_clear(root, read):
    splits = ["train", "train", "val", "test"]
    rows = [f"{i % 7:02d}.png,{i % 2},,,,,,{splits[i // 7]}" for i in range(28)]
    write_table(root, *rows)
    result = run("table", "--root", root, *([] if read else ["--no-check-images"]))
    assert find_lines(result, "Images of own in several splits (7)") == [
        *(f"{i:02d}.png: train, val, test" for i in range(5)),
        "… and 2 more",
    ]
    assert find_lines(result, "Same image and box, but contradictory labels (7)")[0] == "00.png: Hat"
    assert "Rows with the image and box of an earlier row: 21." in result.output
    assert "All images" not in result.output


def test_copies_in_several_splits_with_contradictory_labels_are_named(root):
    (root / "03.png").write_bytes((root / "04.png").read_bytes())
    rows = [f"{i:02d}.png,{i % 2},,,,,,{'train' if i < 4 else 'test'}" for i in range(8)]
    write_table(root, *rows)
    result = run("table", "--root", root)
    assert find_lines(result, "Images of own in several splits (1)") == ["03.png = 04.png: train, test"]
    assert find_lines(result, "Same image and box, but contradictory labels (1)") == ["03.png = 04.png: Hat"]
    assert "All images" not in result.output


def test_near_duplicates_in_several_splits_are_a_warning(root):
    photo = Image.linear_gradient("L").rotate(30)
    photo.save(root / "03.png")
    photo.resize((99, 120)).save(root / "04.png", optimize=True)
    rows = [f"{i:02d}.png,{i % 2},,,,,,{'train' if i < 4 else 'test'}" for i in range(8)]
    write_table(root, *rows)
    result = run("table", "--root", root)
    title = "Images of own that look like one in another split, by perceptual hash (2), such as"
    assert find_lines(result, title) == ["03.png (train) ≈ 04.png (test)"]
    assert "All images" not in result.output


def test_boxes_are_compared_with_their_images(root):
    boxes = ["9,9,9.5,16", "20,0,30,16", "-9,0,12,16", "0,0,16,16", ""]
    rows = [f"{i:02d}.png,{i % 2},{box or ',,,'},," for i, box in enumerate(boxes)]
    write_table(root, *rows)
    result = run("table", "--root", root)
    assert find_lines(result, "Boxes outside the image, whose rows cannot be used (1)") == [
        "01.png: box 20, 0, 30, 16 in 16 × 16 pixels"
    ]
    assert find_lines(result, "Boxes partly outside the image, clipped to it (1)") == [
        "02.png: box -9, 0, 12, 16 in 16 × 16 pixels"
    ]
    assert find_lines(result, "Crops with a side below 8 pixels (1)") == ["00.png: 0.5 × 7 pixels"]
    assert "Unreadable images" not in result.output
    assert "All images" not in result.output


def test_boxes_in_fractions_are_refused(root):
    write_table(root, "00.png,1,0.1,0.1,0.5,0.9,,", "01.png,0,0,0,1,1,,")
    result = run("table", "--root", root)
    assert isinstance(result.exception, FormatError)
    assert "mine.csv, row 2: expected a box in pixels, got the fractions" in str(result.exception)


def test_attributes_that_cannot_be_measured_are_listed_by_split(root):
    labels = ["1", "0", "0", "0", "1", ""]
    splits = ["train", "train", "val", "val", "test", "test"]
    rows = [
        f"{i:02d}.png,{label},,,,,,{split}"
        for i, (label, split) in enumerate(zip(labels, splits, strict=True))
    ]
    write_table(root, *rows)
    result = run("table", "--root", root)
    title = "Attributes of own that cannot be measured, left out of mA on this split"
    assert find_lines(result, title) == ["val: never present Hat", "test: never absent Hat"]
    write_table(root, *(row for row in rows if ",1," not in row))
    assert find_lines(run("table", "--root", root), title) == [
        "train: never present Hat",
        "val: never present Hat",
        "test: no known label of Hat",
    ]


def test_identities_in_several_splits_are_listed(root):
    result = run("table", "--root", root)
    assert find_lines(
        result, "Identities in several splits; --partition identity-disjoint separates them"
    ) == ["own: 14 identities"]


def test_missing_images_of_similar_names_are_listed(root):
    (root / "05.png").rename(root / "05.PNG")
    (root / "06.png").rename(root / "06.jpg")
    (root / "07.png").unlink()
    result = run("table", "--root", root)
    assert isinstance(result.exception, FormatError)
    assert str(result.exception).splitlines()[1:] == [
        "  05.png (found 05.PNG: same name in another letter case)",
        "  06.png (found 06.jpg: same name with another extension)",
        "  07.png",
        "  2 of 3 found under a similar name (1 in another letter case, 1 with another extension); "
        "rename them or correct the paths",
    ]
    result = run("table", "--root", root, "--allow-missing")
    assert result.exit_code == 0, result.output
    assert "passerby: mine: 3 of 40 images are missing under" in result.output
    assert "05.png (found 05.PNG: same name in another letter case)" in result.output


@pytest.mark.parametrize("kind", ["random", "identity-disjoint"])
def test_a_partition_that_cannot_be_added_is_refused_before_images_are_read(root, monkeypatch, kind):
    lines = [f"{i:02d}.png,{i % 2},train" for i in range(20)]
    (root / "mine.csv").write_text("\n".join(["image,Hat,split:random-0", *lines]))

    def fail(*_arguments: object, **_options: object) -> None:
        raise AssertionError("images were read")

    monkeypatch.setattr("passerby.data.image_check.check_images", fail)
    result = run("table", "--root", root, "--partition", kind)
    assert isinstance(result.exception, DataError)
    assert ("exists already" if kind == "random" else "has no identities") in str(result.exception)


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
        (("peta", "--image-column", "path"), "--image-column is not an option of peta"),
        (("peta", "--labels", "csv"), "--labels: expected mat or text, got 'csv'"),
    ],
)
def test_wrong_options_raise_an_error(root, arguments, message):
    result = run(*arguments, "--root", root)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_options_for_tables_as_people_have_them(root, tmp_path):
    lines = ["crop;Hat;Coat;age;notes;place"]
    lines += [f"{i:02d}.png;{i % 2};{i % 3};{i % 2};note {i};{i},5" for i in range(40)]
    for split, rows in (("train", lines[1:31]), ("valid", lines[31:36]), ("test", lines[36:])):
        (root / f"{split}.csv").write_text("\n".join([lines[0], *rows]))
    tables = [word for split in ("valid", "train", "test") for word in ("--table", root / f"{split}.csv")]
    options = ["--image-column", "crop", "--ignore", "notes,place", "--unknown", "2", "--categorical", "age"]
    result = run("table", "--root", root, *tables, *options)
    assert result.exit_code == 0, result.output
    manifest = Manifest.load(tmp_path / "table.parquet")
    assert manifest.schema.names == ("Hat", "Coat", "age=0", "age=1")
    assert manifest.labels[:4].tolist() == [[0, 0, 1, 0], [1, 1, 0, 1], [0, -1, 1, 0], [1, 0, 0, 1]]
    assert manifest.table.column("split:own").to_pylist() == ["train"] * 30 + ["val"] * 5 + ["test"] * 5
    assert "passerby: column 'age' has 2 values and became one attribute for each: 0, 1" in result.output


def test_labels_that_mean_absent(root, tmp_path):
    (root / "mine.csv").write_text("image,Hat,Coat,face\n00.png,x,-1,none\n01.png,,1,beard\n")
    result = run("table", "--root", root, "--absent", "-1,none", "--absent", "")
    assert result.exit_code == 0, result.output
    manifest = Manifest.load(tmp_path / "table.parquet")
    assert manifest.schema.names == ("Hat", "Coat", "face=beard")
    assert manifest.labels.tolist() == [[1, 0, 0], [0, 1, 1]]


def test_notes_show_values_as_they_are(root):
    """A value in brackets is no markup."""
    cells = ["[red]", "[red]", "blue"]
    (root / "mine.csv").write_text("image,tag\n" + "".join(f"00.png,{cell}\n" for cell in cells))
    result = run("table", "--root", root)
    assert result.exit_code == 0, result.output
    assert "became one attribute for each: [red], blue" in result.output


def test_a_spreadsheet_and_a_list_without_header(root, tmp_path):
    rows = [["image", "Hat"], ["00.png", 1.0], ["01.png", None]]
    write_xlsx(root / "more.xlsx", {"about": [["x"]], "labels": rows})
    (root / "mine.csv").unlink()
    result = run("table", "--root", root, "--worksheet", "labels")
    assert result.exit_code == 0, result.output
    assert Manifest.load(tmp_path / "table.parquet").labels.tolist() == [[1], [-1]]
    (root / "list.txt").write_text("00.png 1 0\n01.png 0 1\n")
    (root / "names.txt").write_text("Hat\nCape\n")
    files = ["--table", root / "list.txt", "--attribute-names", root / "names.txt"]
    result = run("table", "--root", root, *files)
    assert result.exit_code == 0, result.output
    assert Manifest.load(tmp_path / "table.parquet").labels.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("name", ["duke", "dukemtmc", "DukeMTMC-reID"])
def test_a_withdrawn_data_set_is_refused(root, name):
    result = run(name, "--root", root)
    assert isinstance(result.exception, DataError)
    assert "DukeMTMC, which its authors withdrew in 2019" in str(result.exception)


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


@pytest.mark.parametrize("name", ["people.csv", "people"])
def test_a_manifest_has_the_name_of_a_parquet_file(root, tmp_path, name):
    result = run("table", "--root", root, "--out", tmp_path / name)
    assert isinstance(result.exception, ConfigError)
    expected = f"--out: a manifest is a Parquet file, got {name!r}; name it people.parquet"
    assert str(result.exception) == expected
    assert not (tmp_path / name).exists()


def test_a_manifest_without_a_partition_is_noted(root):
    (root / "mine.csv").write_text("image,Hat\n00.png,1\n01.png,0\n02.png,1\n")
    note = "There is no partition; add --partition random to train and test on these images.\n"
    result = run("table", "--root", root, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr.endswith(note)
    assert json.loads(result.stdout)["splits"] == {}
    result = run("table", "--root", root, "--partition", "random")
    assert note not in result.output
    assert "random-0: few rows (val 1, test 1), so scores on them are coarse" in result.stdout


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_summary_fits_with_long_names(root, width):
    table = (
        (root / "mine.csv").read_text().replace("Hat", "x" * 90).replace("Cape", "a cape of many words " * 4)
    )
    (root / "mine.csv").write_text(table)
    result = CliRunner(env={"COLUMNS": str(width)}).invoke(app, ["prepare", "table", "--root", str(root)])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= max(width, 90 + 24)  # lists are not broken: "  train: no known label of …"
    assert "…" not in result.stdout
    assert {"20", "10", "30", "50.0", "26", "14"} <= set(result.stdout.split())


@pytest.mark.parametrize(
    ("about", "given", "expected"),
    [
        (True, (), "synthetic people"),
        (True, ("--domain", "drawn shops"), "drawn shops"),
        (False, ("--domain", "synthetic people"), "synthetic people"),
        (False, (), None),
    ],
)
def test_domain_is_that_of_synth_or_the_option(root, tmp_path, about, given, expected):
    if about:
        (root / "synth.json").write_text('{"generator": 1, "domain": "synthetic people"}')
    result = run("table", "--root", root, *given)
    assert result.exit_code == 0, result.output
    assert Manifest.load(tmp_path / "table.parquet").domain == expected


def test_missing_images_are_listed_with_files_of_a_similar_name(root, capsys):
    run("table", "--root", root, "--out", root / "m.parquet")
    (root / "05.png").rename(root / "05.PNG")
    (root / "07.png").unlink()
    print_summary(summarise(Manifest.load(root / "m.parquet")))
    assert (
        "Missing images (2); 1 found under a similar name: rename them or correct the paths: "
        "05.png (found 05.PNG) 07.png "
    ) in " ".join(capsys.readouterr().out.split())
