from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passerby.data.formats.table.files import load_table, normalise_cell, read_names
from passerby.errors import FormatError
from spreadsheets import write_ods, write_xlsx

ROWS = [["image", "Hat", "Note"], ["a.jpg", "1", "wide, dark"], ["b.jpg", "0", "fine"]]
COLUMNS = {"image": ["a.jpg", "b.jpg"], "Hat": ["1", "0"], "Note": ["wide, dark", "fine"]}


def load(tmp_path: Path, text: str, *, encoding: str = "utf-8", name: str = "t.csv", **options: Any) -> Any:
    (tmp_path / name).write_bytes(text.encode(encoding))
    return load_table(tmp_path / name, **options)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_and_encodings_are_found(tmp_path, delimiter, encoding, end):
    text = end.join(delimiter.join(row) for row in ROWS).replace("fine", "schön")
    table = load(tmp_path, text, encoding=encoding)
    assert table.columns == {**COLUMNS, "Note": ["wide, dark", "schön"]}


def test_commas_in_quoted_cells(tmp_path):
    table = load(tmp_path, 'image,Hat,Note\na.jpg,1,"wide, dark"\nb.jpg,0,fine\n')
    assert table.columns == COLUMNS
    assert table.decimal == "."


def test_decimal_commas_belong_to_semicolons(tmp_path):
    assert load(tmp_path, "image;x0\na.jpg;1,5\n").decimal == ","
    assert load(tmp_path, "image;x0\na.jpg;1.5\n").decimal == "."
    assert load(tmp_path, "image;x0\na.jpg;1.000\n").decimal == ""


def test_the_declaration_of_excel_states_the_delimiter(tmp_path):
    table = load(tmp_path, "sep=;\nimage;Hat\na.jpg;1\n")
    assert table.columns == {"image": ["a.jpg"], "Hat": ["1"]}
    assert table.places == ["t.csv, row 2"]


def test_windows_1252_is_logged(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert list(load(tmp_path, "image,Hüt\na.jpg,1\n", encoding="cp1252").columns) == ["image", "Hüt"]
    assert "t.csv is not in UTF-8; read as Windows-1252" in caplog.text


def test_rows_have_the_numbers_of_a_spreadsheet(tmp_path):
    """The header is row 1; an empty line is a row; a cell with a line break is not two."""
    table = load(tmp_path, 'image,Note\na.jpg,"two\nlines"\n\nb.jpg,x\n,\n')
    assert table.places == ["t.csv, row 2", "t.csv, row 4"]
    assert table.columns["Note"] == ["two\nlines", "x"]


def test_empty_columns_and_rows_at_the_end_are_left_out(tmp_path):
    table = load(tmp_path, "image,Hat,,\na.jpg,1,,\nb.jpg,0,,\n,,,\n,,,\n")
    assert table.columns == {"image": ["a.jpg", "b.jpg"], "Hat": ["1", "0"]}


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("Unnamed: 0", "01"), ("index", "01"), ("#", "12"), ("id", ["40", "7"])],
)
def test_numbers_of_rows_are_marked(tmp_path, name, numbers):
    table = load(tmp_path, f"{name},image,Hat\n{numbers[0]},a.jpg,1\n{numbers[1]},b.jpg,0\n")
    assert list(table.columns) == [name, "image", "Hat"]
    assert table.numbering == {name}
    assert not load(tmp_path, f"{name},image\n7,a.jpg\n7,b.jpg\n").numbering


@pytest.mark.parametrize("numbers", ["12", ["17", "5"], "22"])
def test_numbers_of_rows_without_a_name_are_left_out(tmp_path, caplog, numbers):
    with caplog.at_level(logging.WARNING):
        table = load(tmp_path, f",image,Hat\n{numbers[0]},a.jpg,1\n{numbers[1]},b.jpg,0\n")
    assert list(table.columns) == ["image", "Hat"]
    assert "left out column 1 (no name), which only numbers the rows" in caplog.text
    with pytest.raises(FormatError, match="column 1 has cells but no name"):
        load(tmp_path, ",image\n1,a.jpg\n1,b.jpg\n")


def test_the_mark_of_a_comment_before_the_header(tmp_path):
    """As `numpy.savetxt` writes it."""
    assert list(load(tmp_path, "# image,Hat\na.jpg,1\n").columns) == ["image", "Hat"]


def test_images_as_the_index_of_pandas(tmp_path):
    assert list(load(tmp_path, ",Hat\na.jpg,1\n").columns) == ["image", "Hat"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,Hat,Hat,Bag,Bag\na.jpg,1,0,1,1\n", "different names, got Bag, Hat twice"),
        ("image,Hat,\na.jpg,1,old\n", "column 3 has cells but no name"),
        ("image,Hat\na.jpg,1\nb.jpg,1,0\n", "row 3: expected 2 cells, got 3"),
        ("image;Hat\na.jpg;1\nb.jpg\n", "row 3: expected 2 cells, got 1"),
        ("image,Hat\n", "expected rows below the header, got none"),
        ("\n\n", "expected a header with a column `image`, got nothing"),
        ("a.jpg,1\nb.jpg,0\n", r"row 1: expected a header, got the image 'a\.jpg'"),
    ],
)
def test_damaged_tables_are_named(tmp_path, text, message):
    with pytest.raises(FormatError, match=message):
        load(tmp_path, text)


def test_files_of_another_kind_are_named(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"PK\x03\x04...")
    with pytest.raises(FormatError, match=r"t\.csv is an Excel or ODS file; rename it to \.xlsx"):
        load_table(tmp_path / "t.csv")
    (tmp_path / "t.xlsx").write_bytes(b"nothing")
    with pytest.raises(FormatError, match="is damaged or not a spreadsheet"):
        load_table(tmp_path / "t.xlsx")
    with pytest.raises(FormatError, match=r"expected a CSV, Excel, ODS or Parquet table, got t\.json"):
        load_table(tmp_path / "t.json")
    with pytest.raises(FormatError, match=r"t\.csv has no sheets; leave out --worksheet"):
        load_table(tmp_path / "t.csv", worksheet="labels")


@pytest.mark.parametrize(("suffix", "write"), [("xlsx", write_xlsx), ("ods", write_ods)])
def test_spreadsheets(tmp_path, caplog, suffix, write):
    labels = [
        ["Photo", "Hat", "Coat", "age", "person", None],
        ["a.jpg", 1.0, True, 3.0, 7.0],
        [None, None, None, None, None],
        ["b.jpg", 0.0, False, 1.0, "x"],
    ]
    path = tmp_path / f"t.{suffix}"
    write(path, {"labels": labels, "remarks": [["image", "Bag"], ["c.jpg", 1.0]]})
    with caplog.at_level(logging.WARNING):
        table = load_table(path)
    assert list(table.columns) == ["Photo", "Hat", "Coat", "age", "person"]
    assert table.columns["Coat"] == [True, False]
    assert table.places == [f"{path.name}, row 2", f"{path.name}, row 4"]
    assert "read the sheet 'labels'; others: remarks (--worksheet)" in caplog.text
    assert load_table(path, worksheet="remarks").columns["image"] == ["c.jpg"]
    with pytest.raises(FormatError, match="has no sheet 'more'; --worksheet is one of labels, remarks"):
        load_table(path, worksheet="more")


def test_the_index_of_pandas_in_parquet_is_left_out(tmp_path):
    pq.write_table(pa.table({"image": ["a.jpg"], "__index_level_0__": [5]}), tmp_path / "t.parquet")
    table = load_table(tmp_path / "t.parquet")
    assert table.columns == {"image": ["a.jpg"]}
    assert table.places == ["t.parquet, row 1"]  # no header


def test_a_header_with_blanks(tmp_path):
    table = load(tmp_path, "image Hat Bag\na.jpg  1 0\n", name="t.txt")
    assert table.columns == {"image": ["a.jpg"], "Hat": ["1"], "Bag": ["0"]}


def test_names_of_a_list(tmp_path):
    (tmp_path / "names.txt").write_text("Hat\n\n Bag \n")
    assert read_names(tmp_path / "names.txt") == ["Hat", "Bag"]
    table = load(tmp_path, "a b.jpg  1  0\n", name="t.txt", names=["Hat", "Bag"])
    assert table.columns == {"image": ["a b.jpg"], "Hat": ["1"], "Bag": ["0"]}
    with pytest.raises(FormatError, match="row 1: expected 3 cells, got 2"):
        load(tmp_path, "a 1\n", name="t.txt", names=["Hat", "Bag"])
    with pytest.raises(FormatError, match="row 1 is a header; leave out --attribute-names"):
        load(tmp_path, "image,Hat,Bag\na.jpg,1,0\n", names=["Hat", "Bag"])
    (tmp_path / "names.txt").write_text("Hat\nHat\n")
    with pytest.raises(FormatError, match="expected one attribute name per line, each once, got Hat twice"):
        read_names(tmp_path / "names.txt")
    with pytest.raises(FormatError, match="check --attribute-names"):
        read_names(tmp_path / "nowhere.txt")


@pytest.mark.parametrize("row", ["my photo.jpg 0 1 0", "0.jpg,0,1,0", "0.jpg, 0, 1, 0"])
def test_more_or_fewer_names_than_labels(tmp_path, row):
    expected = "row 1: expected one label for each name in --attribute-names, got 3 labels and"
    for names in (["Hat"], ["Hat", "Bag"], ["Hat", "Bag", "Coat", "Boots"]):
        count = f"{len(names)} name{'s' * (len(names) > 1)}$"
        with pytest.raises(FormatError, match=f"{expected} {count}"):
            load(tmp_path, f"{row}\n", name="t.txt", names=names)
    assert list(load(tmp_path, f"{row}\n", name="t.txt", names=["Hat", "Bag", "Coat"]).columns) == [
        *("image", "Hat", "Bag", "Coat")
    ]


@pytest.mark.parametrize("name", ["t.txt", "t.csv"])
def test_a_list_with_delimiters_and_blanks(tmp_path, name):
    table = load(tmp_path, "1.jpg, 1, 0\nmy photo.jpg, 0, -1\n", name=name, names=["Hat", "Bag"])
    assert [list(map(normalise_cell, cells)) for cells in table.columns.values()] == [
        ["1.jpg", "my photo.jpg"],
        ["1", "0"],
        ["0", "-1"],
    ]
    table = load(tmp_path, "a,b.jpg 1 0\nc,d.jpg 0 1\n", name=name, names=["Hat", "Bag"])
    assert table.columns == {"image": ["a,b.jpg", "c,d.jpg"], "Hat": ["1", "0"], "Bag": ["0", "1"]}


def test_integers_as_fractions():
    cells = ["1.0", "1,00", "1.0000", "0.000", "-1.0", "10,0", "1,000", "1.000", "12,000", "1.5"]
    assert list(map(normalise_cell, cells)) == [
        *("1", "1", "1", "0", "-1", "10"),
        *("1,000", "1.000", "12,000", "1.5"),  # perhaps thousands
    ]
