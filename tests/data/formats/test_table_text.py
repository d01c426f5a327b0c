from __future__ import annotations

import pytest

from passerby.data.formats.table_text import find_decimal


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
