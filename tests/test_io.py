from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from passerby.errors import DataError
from passerby.io import is_disk_full, read_json, replace_file, state_reason


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


def test_an_error_of_a_full_disk_names_the_file(tmp_path: Path) -> None:
    def fill() -> None:
        with replace_file(tmp_path / "a.txt"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left on device") as caught:
        fill()
    assert is_disk_full(caught.value)
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert not is_disk_full(FileNotFoundError(errno.ENOENT, ""))


def test_deeply_nested_json_is_an_error_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"deep\.json is not readable JSON"):
        read_json(tmp_path / "deep.json")
