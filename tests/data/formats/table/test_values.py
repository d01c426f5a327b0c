from __future__ import annotations

import logging
from typing import Any

import pytest

from passerby.data.formats.table.files import Table
from passerby.data.formats.table.values import (
    ABSENT,
    apply_codes,
    assign_codes,
    check_codes,
    is_binary,
    read_column,
)

NONE: frozenset[str] = frozenset()


def read(cells: list[Any]) -> Any:
    return read_column(
        Table({"Hat": cells}, [f"t.csv, row {number}" for number in range(2, 2 + len(cells))]), "Hat"
    )


@pytest.mark.parametrize(
    ("values", "has_absent", "expected"),
    [
        ("yes no", False, True),
        ("1", False, True),
        ("f m", False, False),
        ("f", False, False),
        ("f t", False, True),
        ("x", False, False),
        ("x", True, True),
        ("f", True, False),
        ("1 2", True, False),
    ],
)
def test_labels(values, has_absent, expected):
    assert is_binary(set(values.split()), has_absent=has_absent) is expected


def test_values_of_a_column():
    column = read(["Red", "red", "BLUE", "Red", None, 3.0])
    assert column.keys == ["red", "red", "blue", "red", "", "3"]
    assert column.spelling == {"red": "Red", "blue": "BLUE", "": "", "3": "3"}


def test_codes_of_absent_and_unknown_cells():
    column = read(["yes", "none", "", "2", "-1"])
    unknown, absent = assign_codes(["2"], ["Hat"]), assign_codes(["none", "-1"], ["Hat"])
    applied = apply_codes(column, unknown, absent, kept=NONE)
    assert applied.keys == ["yes", ABSENT, "", "", ABSENT]
    assert applied.has_absent
    assert applied.spelling == {"yes": "yes"}
    assert applied.gap in ("", "2")
    kept = apply_codes(column, unknown, assign_codes([], ["Hat"]), kept=frozenset({"none"}))
    assert kept.keys == ["yes", "none", "", "2", ""]
    assert kept.gap in ("", "-1")


def test_a_code_that_no_cell_has_is_logged(caplog):
    with caplog.at_level(logging.WARNING):
        check_codes("--absent", assign_codes([""], ["Hat"]), [read(["1", "0"])])
    assert caplog.messages == ['--absent "": no cell of these columns has it']
