from __future__ import annotations

import csv
from pathlib import Path

import pytest

from passerby.data.formats.table.text import MAX_CHARACTERS, find_decimal, split_records
from passerby.errors import FormatError


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("a.jpg;1,5", ","),
        ("a.jpg;1,5\nb.jpg;1.000", ","),
        ("a.jpg;12.25", "."),
        ("a.jpg;0.125", "."),
        ("a.jpg;-0,125", ","),
        ("a.jpg;1234,125", ","),
        ("a.jpg;1.2345", "."),
        ("a.1.jpg;1", ""),
        ("a.jpg;1.000;01.05.2024", ""),
        ("a.jpg;1.234.567", ""),
        ("a.jpg;1,5\nb.jpg;1.5", ""),
    ],
)
def test_the_decimal_separator(text, decimal):
    assert find_decimal(text) == decimal


def test_cells_may_be_long():
    before = csv.field_size_limit()
    long = "x" * 200_000
    rows, delimiter = split_records(Path("t.csv"), f"image;notes;Hat\na.jpg;{long};1\n", count=None)
    assert (rows, delimiter) == ([["image", "notes", "Hat"], ["a.jpg", long, "1"]], ";")
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("length", [200_000, MAX_CHARACTERS + 1])
def test_a_quotation_mark_that_is_not_closed(length):
    text = f'image,Hat\na.jpg,"{"x" * length}\n'
    with pytest.raises(FormatError, match="is a quotation mark not closed"):
        split_records(Path("t.csv"), text, count=None)
