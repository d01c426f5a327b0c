from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TextIO

import pytest

from passerby.errors import DataError
from passerby.inference.writers import open_output, write_csv, write_jsonl, write_table
from passerby.types import Box, Prediction

NAMES, THRESHOLDS = ("Hat", "Bag, big", "Mütze"), (0.5, 0.25, 0.75)
PREDICTIONS = [
    Prediction("a.jpg", NAMES, (0.9, 0.26, 0.7), THRESHOLDS),
    Prediction('odd "name", [b].jpg', NAMES, (0.1, 0.1, 0.12345678), THRESHOLDS),
]


write_named_csv = partial(write_csv, names=NAMES)


def written(write: Callable[[Iterable[Prediction], TextIO], None]) -> str:
    stream = io.StringIO()
    write(iter(PREDICTIONS), stream)
    return stream.getvalue()


def test_jsonl() -> None:
    first, second = (json.loads(line) for line in written(write_jsonl).splitlines())
    assert first == {
        "source": "a.jpg",
        "present": ["Hat", "Bag, big"],
        "probabilities": {"Hat": 0.9, "Bag, big": 0.26, "Mütze": 0.7},
    }
    assert second["present"] == []
    assert second["probabilities"]["Mütze"] == 0.123457


def test_csv_reads_back() -> None:
    rows = list(csv.DictReader(io.StringIO(written(write_named_csv))))
    assert rows[0] == {
        "source": "a.jpg",
        "present": "Hat; Bag, big",
        "Hat": "0.900000",
        "Bag, big": "0.260000",
        "Mütze": "0.700000",
        "notes": "",
    }
    assert rows[1]["source"] == 'odd "name", [b].jpg'
    assert len(rows) == 2


def test_csv_without_predictions_has_its_header() -> None:
    stream = io.StringIO()
    write_csv((), stream, names=NAMES)
    assert list(csv.reader(io.StringIO(stream.getvalue()))) == [["source", "present", *NAMES, "notes"]]


def test_rows_and_boxes_in_every_format() -> None:
    placed = [
        replace(PREDICTIONS[0], row=2, box=Box(1, 2.5, 12345.25, 40)),
        replace(PREDICTIONS[0], row=3),
    ]
    stream = io.StringIO()
    write_csv(placed, stream, names=NAMES, with_boxes=True)
    header, first, second = csv.reader(io.StringIO(stream.getvalue()))
    assert header == ["source", "row", "x0", "y0", "x1", "y1", "present", *NAMES, "notes"]
    assert first[:7] == ["a.jpg", "2", "1", "2.5", "12345.25", "40", "Hat; Bag, big"]
    assert second[:7] == ["a.jpg", "3", "", "", "", "", "Hat; Bag, big"]
    stream = io.StringIO()
    write_jsonl(placed, stream)
    one, two = map(json.loads, stream.getvalue().splitlines())
    assert list(one) == ["source", "row", "box", "present", "probabilities"]
    assert (one["row"], one["box"]) == (2, [1, 2.5, 12345.25, 40])
    assert (two["row"], "box" in two) == (3, False)
    stream = io.StringIO()
    write_table(placed, stream)
    lines = [line.split() for line in stream.getvalue().splitlines()]
    assert lines[0] == ["row", "box", "image", "attributes"]
    assert lines[1][:6] == ["2", "1", "2.5", "12345.2", "40", "a.jpg"]
    assert lines[2][:3] == ["3", "all", "a.jpg"]


def test_table_sorts_present_attributes_by_probability() -> None:
    lines = written(write_table).splitlines()
    assert "Hat 0.90  Bag, big 0.26" in lines[1]
    assert "Mütze" not in lines[1]
    assert lines[2].split(".jpg")[1].strip() == "none"
    assert "[b].jpg" in lines[2]  # brackets are no markup


def test_table_of_all_and_of_the_top_attributes() -> None:
    stream = io.StringIO()
    write_table(PREDICTIONS, stream, everything=True)
    assert "Hat 0.90  Mütze 0.70  Bag, big 0.26" in stream.getvalue()
    stream = io.StringIO()
    write_table(PREDICTIONS, stream, top=2)
    assert "Hat 0.90  Mütze 0.70" in stream.getvalue()
    assert "0.26" not in stream.getvalue()


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        (80, ["shop/photos/camera-11/0001.jpg"]),
        (36, ["shop/photos/camera-11/", "0001.jpg"]),
        (28, ["shop/photos/", "camera-11/", "0001.jpg"]),
    ],
)
def test_a_path_is_divided_after_a_slash(
    columns: int, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = io.StringIO()
    source = "shop/photos/camera-11/0001.jpg"
    write_table([Prediction(source, ("Hat",), (0.9,), (0.5,))], stream)
    rows = stream.getvalue().splitlines()[1:]
    assert [row.split()[0] for row in rows if "/" in row or ".jpg" in row] == lines


def test_table_refuses_conflicting_options() -> None:
    with pytest.raises(DataError, match="got both"):
        write_table(PREDICTIONS, io.StringIO(), everything=True, top=2)
    with pytest.raises(DataError, match="at least 1"):
        write_table(PREDICTIONS, io.StringIO(), top=0)


@pytest.mark.parametrize("write", [write_jsonl, write_named_csv])
def test_lines_are_flushed_one_by_one(write: Callable[[Iterable[Prediction], TextIO], None]) -> None:
    stream = io.StringIO()
    seen = []

    def predictions() -> Iterator[Prediction]:
        for prediction in PREDICTIONS:
            seen.append(stream.getvalue())
            yield prediction

    write(predictions(), stream)
    assert "a.jpg" in seen[1]


def write_and_interrupt(path: Path) -> None:
    with open_output(path) as stream:
        stream.write("interrupted")
        raise KeyboardInterrupt


def test_output_file_appears_only_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("earlier")
    with open_output(path) as stream:
        stream.write("half")
        assert path.read_text() == "earlier"
    assert path.read_text() == "half"
    with pytest.raises(KeyboardInterrupt):
        write_and_interrupt(path)
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


def test_output_in_a_new_folder_and_below_a_file(tmp_path: Path) -> None:
    with open_output(tmp_path / "new" / "out.csv") as stream:
        stream.write("whole")
    assert (tmp_path / "new" / "out.csv").read_text() == "whole"
    wrong = tmp_path / "new" / "out.csv" / "other.csv"
    with pytest.raises(DataError, match="cannot write"), open_output(wrong):
        pass


def test_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with open_output(None) as stream:
        stream.write("hello")
    assert capsys.readouterr().out == "hello"
