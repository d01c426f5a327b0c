"""The summary that `passerby prepare` prints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from passerby.cli.summary import print_summary
from passerby.data.manifest import Manifest
from passerby.data.summary import SharedIdentities, summarise
from passerby.schema import Attribute, AttributeSchema


@pytest.mark.parametrize(("width", "shown"), [(40, "13,000"), (60, "13,000"), (80, "13,000 (16 %)")])
def test_numbers_and_headings_of_partitions_are_whole(width, shown, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    sizes, name = {"train": 80_000, "val": 10_000, "test": 110_000}, "a-partition-of-a-long-name"
    changes = {"splits": {name: sizes}, "shared": {name: SharedIdentities(1_234, 13_000, 0.1625)}}
    schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
    toy = Manifest.create("toy", schema, root=Path(), images=["a.png"], labels=[[1]], partitions={})
    print_summary(replace(summarise(toy), **changes))
    text = capsys.readouterr().out
    table = text[text.index("Partitions") : text.index("shared: identities")]
    assert {"train", "val", "test", "shared", "80,000", "10,000", "110,000", "1,234"} <= set(table.split())
    assert "in train" in table
    assert shown in table
    assert max(map(len, table.splitlines())) <= width


def test_splits_of_few_rows_are_noted(capsys):
    schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
    toy = Manifest.create("toy", schema, root=Path(), images=["a.png"], labels=[[1]], partitions={})
    splits = {
        "[own]": {"train": 50, "val": 4, "test": 99},
        "random-0": {"train": 700, "val": 99, "test": 200},
        "large": {"train": 700, "val": 100},
    }
    print_summary(replace(summarise(toy), splits=splits))
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if "coarse" in line] == [
        "[own]: few rows (val 4, test 99), so scores on them are coarse",
        "random-0: few rows (val 99), so scores on them are coarse",
    ]
