from __future__ import annotations

import json
from pathlib import Path

import pytest

from passerby.annotators.journal import Entry, Journal, Key
from passerby.errors import ConfigError

TOY = {"method": "toy", "threshold": 0.5}
A, B = Key("a.jpg", None), Key("b.jpg", (1.0, 2.5, 11.0, 32.0))


def fill(path: Path) -> None:
    with Journal(path, TOY) as journal:
        journal.add([Entry(A, found=True, file="m/a.png")])
        journal.add(
            [Entry(B, found=False, given="0123"), Entry(Key("c.jpg", None), found=True, file="m/c.png")]
        )


def test_what_is_noted_is_read(tmp_path):
    fill(tmp_path / "new" / "masks.jsonl")
    with Journal(tmp_path / "new" / "masks.jsonl", TOY) as journal:
        assert journal.find(A) == Entry(A, found=True, file="m/a.png")
        assert journal.find(B) == Entry(B, found=False, given="0123")
        assert journal.find(Key("b.jpg", None)) is None
        journal.add([Entry(B, found=True, file="m/b.png")])
    with Journal(tmp_path / "new" / "masks.jsonl", TOY) as journal:
        assert journal.find(B) == Entry(B, found=True, file="m/b.png")


def test_keypoints_and_strange_names_survive(tmp_path):
    numbers = tuple(i / 8 for i in range(51))
    key = Key("bilder/Grüße\u2028 \x85.jpg", None)
    with Journal(tmp_path / "k.jsonl", TOY) as journal:
        journal.add([Entry(key, found=True, keypoints=numbers)])
    with Journal(tmp_path / "k.jsonl", TOY) as journal:
        assert journal.find(key) == Entry(key, found=True, keypoints=numbers)


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_half_a_last_line_is_dropped(tmp_path, cut):
    path = tmp_path / "masks.jsonl"
    fill(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with Journal(path, TOY) as journal:
        assert journal.find(B) is not None
        assert journal.find(Key("c.jpg", None)) is None
        journal.add([Entry(Key("c.jpg", None), found=True, file="m/c.png")])
    assert path.read_bytes() == whole


def test_half_a_first_line_is_as_no_file(tmp_path):
    path = tmp_path / "masks.jsonl"
    fill(path)
    header = path.read_bytes().split(b"\n")[0]
    path.write_bytes(header[:-3])
    Journal(path, TOY).close()
    assert path.read_bytes() == header + b"\n"


def test_other_description_is_refused_with_the_differences(tmp_path):
    path = tmp_path / "masks.jsonl"
    fill(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"threshold: 0\.5 before, 0\.7 now\. Choose .*--into.*--redo"):
        Journal(path, TOY | {"threshold": 0.7})
    with pytest.raises(ConfigError, match=r'given\.masks: nothing before, "manifest" now'):
        Journal(path, TOY | {"given": {"masks": "manifest"}})
    assert path.read_bytes() == before


def test_redo_forgets(tmp_path):
    path = tmp_path / "masks.jsonl"
    fill(path)
    with Journal(path, TOY | {"threshold": 0.7}, redo=True) as journal:
        assert journal.find(A) is None
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "line 2 is damaged"),
        ('{"image": "a.jpg"}', "line 2 is damaged"),
        ('{"image": "a.jpg", "box": null, "found": true}', "masks.jsonl: line 2 .*got neither.*--redo"),
        ('{"image": "a.jpg", "box": null, "found": true, "file": ""}', "line 2 .*got neither"),
        ('{"image": "a.jpg", "box": null, "found": true, "keypoints": [1, 2]}', "line 2 .*51 finite"),
        (
            json.dumps({"image": "a.jpg", "box": None, "found": True, "keypoints": [float("nan")] * 51}),
            "line 2 .*51 finite",
        ),
        ("\xff", "line 2 is damaged"),
    ],
)
def test_damage_in_the_middle_is_named(tmp_path, line, message):
    path = tmp_path / "masks.jsonl"
    fill(path)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], line.encode("latin-1"), *lines[1:]]))
    with pytest.raises(ConfigError, match=message):
        Journal(path, TOY)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{}", "no header of a passerby journal"),
        ("hello", "no header of a passerby journal"),
        (json.dumps({"version": 9, "description": TOY}), "format 9, this version writes format 1"),
    ],
)
def test_foreign_files_are_refused(tmp_path, header, message):
    (tmp_path / "masks.jsonl").write_text(header + "\n")
    with pytest.raises(ConfigError, match=message):
        Journal(tmp_path / "masks.jsonl", TOY)


def test_every_file_has_one_owner(tmp_path):
    path = tmp_path / "masks.jsonl"
    fill(path)
    with Journal(path, TOY) as journal:
        assert journal.claim_file(A, ["m/other.png"]) == "m/a.png"
        assert journal.claim_file(B, ["m/a.png", "m/a.jpg.png"]) == "m/a.jpg.png"
        assert journal.claim_file(Key("d", None), ["m/a.png", "m/a.jpg.png"]) == "m/a.jpg-2.png"
        assert journal.claim_file(Key("e", None), ["m/a.png", "m/a.jpg.png"]) == "m/a.jpg-3.png"
