"""Tables at several widths: no line is wider than the terminal, and no number is missing or cut."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from passerby.cli.tables import Line, print_lines
from passerby.terminal import UNLIMITED, choose_width

HEADS = ("run", *(f"metric {i}" for i in range(9)))
NAMES = ("a run with a name of several words that wraps", "x" * 60, "short")
LINES = [
    Line(name, [(f"{10 * row + column}.{row}{column}", f"± 0.{row}{column}") for column in range(9)])
    for row, name in enumerate(NAMES, start=1)
]


def read(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_every_number_is_printed_whatever_the_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_lines(LINES, HEADS, above=("A paragraph. " * 20,), below=("Protocol default.",))
    lines = read(capsys)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "…" not in text
    numbers = re.findall(r"\d+\.\d+", text)
    for line in LINES:
        for value, spread in line.cells:
            assert value in numbers
            assert spread.removeprefix("± ") in numbers
    assert {re.sub(r"\D", "", head) for head in HEADS[1:]} <= set(re.findall(r"metric (\d)", text))
    assert text.count("x") >= 60  # a long name wraps and is complete
    assert "Protocol default." in lines[-1]


def test_a_wide_terminal_has_one_line_for_each_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    print_lines(LINES, HEADS)
    lines = read(capsys)
    assert len(lines) == 2 + len(NAMES)
    assert lines[-1].split() == ["short", *" ".join(" ".join(cell) for cell in LINES[-1].cells).split()]


def test_a_narrow_terminal_gets_several_tables_with_the_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    print_lines(LINES, HEADS)
    lines = read(capsys)
    assert sum(line.startswith("short") for line in lines) == 3
    assert sum(line.startswith("run") for line in lines) == 3


def test_text_that_is_piped_does_not_depend_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    with (tmp_path / "out.txt").open("w") as stream:
        assert choose_width(stream) == UNLIMITED
    print_lines(LINES, HEADS)
    lines = read(capsys)
    assert len(lines) == 2 + len(NAMES)
    assert "\x1b" not in "".join(lines)
