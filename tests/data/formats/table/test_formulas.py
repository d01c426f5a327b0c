from __future__ import annotations

import pytest

from passerby.data.formats.table.files import load_table
from passerby.data.formats.table.labels import read_labels
from passerby.errors import FormatError
from spreadsheets import Formula, write_xlsx

HEADER = ["image", "Hat", "Bag"]


def _write(path, *rows, other=()):
    write_xlsx(path, {"persons": [HEADER, *rows], "other": [HEADER, *other]})
    return path


def test_a_formula_without_a_value_is_an_error(tmp_path):
    file = _write(tmp_path / "t.xlsx", ["0.jpg", 1.0, 0.0], ["1.jpg", 0.0, Formula("1+0")])
    with pytest.raises(FormatError, match=r"^t\.xlsx, row 3: C3 has a formula without a value; open the"):
        load_table(file, worksheet="persons")


def test_formulas_of_another_sheet_are_not_read(tmp_path):
    file = _write(tmp_path / "t.xlsx", ["0.jpg", 1.0, 0.0], other=[["1.jpg", Formula("1+0"), 0.0]])
    assert load_table(file, worksheet="persons").columns["Hat"] == [1.0]
    with pytest.raises(FormatError, match=r"row 2: B2 has a formula"):
        load_table(file, worksheet="other")


def test_formulas_with_a_value_may_be_empty_text(tmp_path):
    file = _write(tmp_path / "t.xlsx", ["0.jpg", Formula('""', ""), Formula("A2", "1")])
    columns = load_table(file, worksheet="persons").columns
    assert (columns["Hat"], columns["Bag"]) == ([""], ["1"])


def test_error_cells_are_text_as_in_a_csv_file(tmp_path):
    file = _write(
        tmp_path / "t.xlsx", ["0.jpg", 1.0, Formula("0/0", "#DIV/0!")], ["1.jpg", Formula("B9", "#N/A"), 0.0]
    )
    table = load_table(file, worksheet="persons")
    assert table.columns["Bag"] == ["#DIV/0!", 0.0]
    assert read_labels(table, ["Hat"]).values[:, 0].tolist() == [1, -1]
    with pytest.raises(FormatError, match=r"Bag: 0 next to other text, such as '#DIV/0!' in t\.xlsx, row 2"):
        read_labels(table, ["Bag"])
