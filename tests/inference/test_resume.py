"""A file of predictions that was cut anywhere is continued to the same file."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest

from passerby.bundle import source_of
from passerby.errors import ConfigError, DataError
from passerby.inference.resume import ResumableOutput
from passerby.inference.sources import Source
from passerby.inference.writers import write_csv, write_jsonl
from passerby.types import Box, Prediction

Form: TypeAlias = Literal["jsonl", "csv"]

NAMES = ("Hat", "row")
DESCRIPTION = {"bundle": "0123", "images": {"count": 4}, "--masks": None}
SOURCES = [Source(Path(name)) for name in ("a.jpg", "gone.jpg", 'odd "name",\n[b].jpg', "ü.jpg")]
TABLE = [Source(Path("a.jpg"), Box(0, 0, 5, 5 + row), row) for row in range(4)]


def predict(sources: Sequence[Source]) -> list[Prediction]:
    """A prediction for each readable source."""
    return [
        Prediction(str(s.path), NAMES, (0.9, 0.1), (0.5, 0.5), ("no mask",), box=s.box, row=s.row)
        for s in sources
        if s.path.name != "gone.jpg"
    ]


def write(
    path: Path, form: Form, sources: Sequence[Source], *, resume: bool = False, **changes: Any
) -> ResumableOutput:
    """What `passerby predict` does."""
    output = ResumableOutput(path, form=form, resume=resume)
    todo = sources[output.count_done(sources) :]
    with output.open({**DESCRIPTION, **changes}) as stream:
        if form == "csv":
            header, with_boxes = not output.rows, sources[0].row is not None
            write_csv(predict(todo), stream, names=NAMES, with_boxes=with_boxes, header=header)
        else:
            write_jsonl(predict(todo), stream)
    return output


def cut(path: Path, form: Form, sources: Sequence[Source], *, size: int) -> bytes:
    """Write a file, and leave what a process leaves that is killed after `size` bytes; return the whole."""
    write(path, form, sources)
    content = path.read_bytes()
    path.unlink()
    path.with_name(f"{path.name}.partial").write_bytes(content[:size])
    about = json.dumps({"version": 3, **DESCRIPTION})
    path.with_name(f"{path.name}.partial.json").write_text(about)
    return content


@pytest.mark.parametrize("sources", [SOURCES, TABLE], ids=["files", "table"])
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_file_cut_at_any_byte_is_continued(tmp_path: Path, form: Form, sources: Sequence[Source]) -> None:
    path = tmp_path / "out.txt"
    size = len(cut(path, form, sources, size=0))
    for end in range(size + 1):
        content = cut(path, form, sources, size=end)
        write(path, form, sources, resume=True)
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_rows_of_an_interrupted_run_are_not_overwritten(tmp_path: Path, form: Form) -> None:
    path = tmp_path / "out.txt"
    size = len(cut(path, form, SOURCES, size=0))
    cut(path, form, SOURCES, size=size - 3)
    with pytest.raises(ConfigError, match=r"out\.txt\.partial has 2 rows .* continue it with --resume, or"):
        write(path, form, SOURCES)
    (tmp_path / "out.txt.partial").unlink()
    assert write(path, form, SOURCES).count_done(SOURCES) == 0


@pytest.mark.parametrize("resume", [False, True])
def test_without_rows_a_run_begins(tmp_path: Path, *, resume: bool) -> None:
    path = tmp_path / "out.csv"
    content = cut(path, "csv", SOURCES, size=25)
    write(path, "csv", SOURCES, resume=resume, bundle="another")
    assert path.read_bytes() == content
    write(path, "csv", SOURCES[:2])  # replaces a complete file
    assert path.read_bytes() != content


@pytest.mark.parametrize("sources", [SOURCES, TABLE], ids=["files", "table"])
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_complete_file(tmp_path: Path, form: Form, sources: Sequence[Source]) -> None:
    path = tmp_path / "out.txt"
    assert ResumableOutput(path, form=form, resume=True).count_complete(sources) is None
    write(path, form, sources)
    output = ResumableOutput(path, form=form, resume=True)
    rows = len(predict(sources))
    assert output.count_complete(sources) == rows
    assert output.count_complete([*sources, Source(Path("new.jpg"), row=9)]) == rows
    assert ResumableOutput(path, form=form, resume=False).count_complete(sources) is None
    for others in (sources[1:], sources[::-1], []):
        with pytest.raises(
            ConfigError, match=r"\.jpg.* is not among them, or in another order\. Give another"
        ):
            output.count_complete(others)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ConfigError, match="the last result in it is cut off"):
        output.count_complete(sources)
    path.write_text("{}\n" if form == "jsonl" else 'source,row\n"a"b,c\n')
    with pytest.raises(ConfigError, match="result 1 in it is damaged"):
        output.count_complete(sources)


def test_another_run_does_not_continue_it(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    size = len(cut(path, "csv", SOURCES, size=0)) - 1
    cut(path, "csv", SOURCES, size=size)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for changes, message in (
        ({"bundle": "4567"}, 'begun with other settings: bundle: "0123" before, "4567" now'),
        ({"--masks": "mask-rcnn"}, "--masks mask-rcnn now, without before"),
        ({"images": {"count": 5}}, r"images\.count: 4 before, 5 now"),
    ):
        with pytest.raises(ConfigError, match=message):
            write(path, "csv", SOURCES, resume=True, **changes)
    with pytest.raises(
        ConfigError, match=r"(?s)its last row is of odd .*, which is not among the images now"
    ):
        write(path, "csv", SOURCES[:2], resume=True)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    (tmp_path / "out.csv.partial.json").unlink()
    with pytest.raises(ConfigError, match=r"out\.csv\.partial\.json is missing or damaged"):
        write(path, "csv", SOURCES, resume=True)


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("jsonl", "{\n"),
        ("jsonl", '{"present": []}\n'),
        ("jsonl", "3\n"),
        ("jsonl", "[" * 100_000 + "\n"),
        ("csv", 'source\na"b"\n"x"y\n'),
    ],
)
def test_damaged_rows_are_not_continued(tmp_path: Path, form: Form, content: str) -> None:
    (tmp_path / "out.txt.partial").write_text(content)
    with pytest.raises(ConfigError, match=r"row \d is damaged .* remove the file to begin again"):
        ResumableOutput(tmp_path / "out.txt", form=form, resume=True)


def write_and_fail(output: ResumableOutput, text: str) -> None:
    with output.open(DESCRIPTION) as stream:
        stream.write(text)
        raise KeyboardInterrupt


def test_an_error_keeps_rows_and_leaves_no_file_without_any(tmp_path: Path) -> None:
    output = ResumableOutput(tmp_path / "out.jsonl", form="jsonl", resume=False)
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(output, '{"source": "a.j')
    assert list(tmp_path.iterdir()) == []
    assert output.explain_rest() == "no row was finished"
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(output, '{"source": "a.jpg"}\n{"sou')
    assert {file.name for file in tmp_path.iterdir()} == {"out.jsonl.partial", "out.jsonl.partial.json"}
    assert output.explain_rest() == (
        f"{tmp_path / 'out.jsonl.partial'} keeps 1 row; continue with the same command and --resume"
    )


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    output = ResumableOutput(tmp_path / "file" / "out.csv", form="csv", resume=False)
    with pytest.raises(DataError, match="cannot write"), output.open(DESCRIPTION):
        pass


def test_only_one_process_writes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    first, second = (ResumableOutput(path, form="csv", resume=False) for _ in range(2))
    message = rf"^another process writes {path}; wait for its end, or give another file$"
    with first.open(DESCRIPTION) as stream:
        stream.write("source\na.jpg\n")
        stream.flush()
        with pytest.raises(ConfigError, match=message), second.open(DESCRIPTION):
            pass
        with pytest.raises(ConfigError, match=message):
            ResumableOutput(path, form="csv", resume=True)
    assert path.read_text() == "source\na.jpg\n"
    assert list(tmp_path.iterdir()) == [path]


def test_rows_that_another_process_added_are_not_overwritten(tmp_path: Path) -> None:
    size = len(cut(tmp_path / "out.csv", "csv", SOURCES, size=0))
    (tmp_path / "out.csv.partial").unlink()
    output = ResumableOutput(tmp_path / "out.csv", form="csv", resume=False)
    cut(tmp_path / "out.csv", "csv", SOURCES, size=size - 3)
    with (
        pytest.raises(ConfigError, match=r"another process has changed it from 0 to 2 rows"),
        output.open(DESCRIPTION),
    ):
        pass


def test_names_that_are_no_utf_8_stay_different(tmp_path: Path) -> None:
    names = [os.fsdecode(name) for name in (b"p\xe9.jpg", b"p\xea.jpg", b"p\xeb.jpg", b"q.jpg")]
    sources = [Source(Path(name)) for name in names]
    assert [source_of(s.path) for s in sources] == [r"p\udce9.jpg", r"p\udcea.jpg", r"p\udceb.jpg", "q.jpg"]
    path = tmp_path / "out.csv.partial"
    for done, s in enumerate(sources, start=1):
        path.write_text(f"source,present\n{source_of(s.path)},\n")
        assert ResumableOutput(tmp_path / "out.csv", form="csv", resume=True).count_done(sources) == done


def test_a_full_disk_keeps_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    output = ResumableOutput(path, form="jsonl", resume=False)

    def fill() -> None:
        with output.open(DESCRIPTION) as stream:
            stream.write('{"source": "a.jpg"}\n{"sou')
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DataError) as caught:
        fill()
    assert str(caught.value) == (
        f"cannot write {path}.partial: the disk is full; free some space. {path}.partial keeps 1 row; "
        "continue with the same command and --resume"
    )
