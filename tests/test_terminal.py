from __future__ import annotations

import io
import os

import pytest

from passerby.terminal import UNLIMITED, choose_width, format_rate


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("columns", "expected"), [("97", 97), ("0", UNLIMITED), ("wide", UNLIMITED)])
def test_columns_of_the_environment(monkeypatch: pytest.MonkeyPatch, columns: str, expected: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert choose_width(io.StringIO()) == expected


def test_a_terminal_states_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((132, 40)))
    assert choose_width(Terminal()) == 132
    assert choose_width(io.StringIO()) == UNLIMITED


def test_rates_below_one_a_second_are_per_minute() -> None:
    rates = [format_rate(value) for value in (0, None, 0.5, 1, 1234.5)]
    assert rates == ["", "", "30.0/min", "1.0/s", "1,234/s"]
