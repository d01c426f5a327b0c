from __future__ import annotations

from pathlib import Path

import pytest

from passerby.io import replace_file, state_reason


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replace_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_exception_only_the_old_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replace_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reason_is_the_kind_and_the_first_line() -> None:
    assert state_reason(ValueError("no such layer\n\nSee the manual.")) == "ValueError: no such layer"
    assert state_reason(RuntimeError("\n")) == "RuntimeError"
