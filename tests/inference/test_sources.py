from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError
from passerby.inference.sources import find_images, read_sources
from passerby.types import Box


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = (
        "b.jpg a.PNG notes.txt sub/d.jpeg sub/deep/c.webp sub/x.csv .hidden/e.jpg .f.jpg odd[1].jpg data.bin"
    )
    for name in (*names.split(), "empty/readme.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["b.jpg"], ["b.jpg"]),
        (["."], ["a.PNG", "b.jpg", "odd[1].jpg", "sub/d.jpeg", "sub/deep/c.webp"]),
        (["sub"], ["sub/d.jpeg", "sub/deep/c.webp"]),
        (["*.jpg"], ["b.jpg", "odd[1].jpg"]),
        (["*"], ["a.PNG", "b.jpg", "odd[1].jpg", "sub/d.jpeg", "sub/deep/c.webp"]),
        (["**/*.webp"], ["sub/deep/c.webp"]),
        (["sub/?.jpeg"], ["sub/d.jpeg"]),
        (["odd[1].jpg"], ["odd[1].jpg"]),  # a file of that very name, no pattern
        (["data.bin"], ["data.bin"]),  # named outright
        (["sub", "b.jpg", "*.jpg", "./b.jpg"], ["sub/d.jpeg", "sub/deep/c.webp", "b.jpg", "odd[1].jpg"]),
    ],
)
def test_expanded_sources(tree: Path, sources: list[str], expected: list[str]) -> None:
    assert sorted(map(str, find_images(sources))) == sorted(expected)
    if len(sources) > 1 or sources == ["sub"]:
        assert [str(p) for p in find_images(sources)] == expected


def test_absolute_pattern(tree: Path) -> None:
    assert find_images([str(tree / "s*" / "*.jpeg")]) == [tree / "sub" / "d.jpeg"]


@pytest.mark.parametrize("wrong", ["gone.jpg", "gone/", "*.tiff", "empty"])
def test_all_sources_without_pictures_are_named(tree: Path, wrong: str) -> None:
    with pytest.raises(DataError, match="no images at: ") as caught:
        find_images(["b.jpg", wrong, "also-gone.jpg"])
    assert wrong in str(caught.value)
    assert "also-gone.jpg" in str(caught.value)
    assert " b.jpg" not in str(caught.value)


def test_a_source_of_a_similar_name_is_named(tree: Path) -> None:
    with pytest.raises(
        DataError, match=r"no images at: B\.JPG \(found b\.jpg: same name in another letter case\);"
    ):
        find_images(["B.JPG"])


def test_circular_links(tree: Path) -> None:
    (tree / "sub" / "round").symlink_to(tree / "sub")
    assert len(find_images(["sub"])) == 2


# ---------------------------------------------------------------------- tables


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A folder with two images."""
    for name in ("a.jpg", "b/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_rows_of_a_table(people: Path) -> None:
    text = f"note,image,x0,y0,x1,y1\nx,a.jpg,,,,\n,b/b.png,1,2,11,32.5\n,{people}/b/b.png,20,2,31,30\n"
    (people / "boxes.csv").write_text(text)
    found = read_sources(people / "boxes.csv")
    b = people / "b/b.png"
    assert [source.path for source in found] == [people / "a.jpg", b, b]
    assert [source.box for source in found] == [None, Box(1, 2, 11, 32.5), Box(20, 2, 31, 30)]
    first = found[0].row
    assert first is not None
    assert [source.row for source in found] == [first, first + 1, first + 2]


def test_a_table_elsewhere_needs_its_root(people: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    table = tmp_path_factory.mktemp("tables") / "boxes.csv"
    table.write_text("image\na.jpg\nb/b.png\n")
    assert [s.path for s in read_sources(table, root=people)] == [people / "a.jpg", people / "b/b.png"]
    with pytest.raises(DataError, match=r"none of the 2 images of .* exists, such as .*a\.jpg; .* --root"):
        read_sources(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,x0,y0,x1,y1\na.jpg,0.1,0.2,0.5,0.9\n", r"boxes\.csv, row \d: .*got the fractions"),
        ("image,x0,y0,x1,y1\na.jpg,5,2,5,9\n", "expected x1 > x0"),
        ("image,x0,y0,x1,y1\na.jpg,nan,2,5,9\n", "expected a finite number"),
        ("image,x0,y0,x1\na.jpg,1,2,5\n", "a box needs the columns"),
        ("image,x0,y0,x1,y1\n,1,2,5,9\n", "expected the path of an image"),
        ("image\n", "expected at least one row"),
    ],
)
def test_impossible_tables(people: Path, text: str, message: str) -> None:
    (people / "boxes.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_sources(people / "boxes.csv")


def test_rows_of_a_manifest(people: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    boxes = [None, (1, 2, 11, 32.5), (20, 2, 31, 30)]
    path = tmp_path_factory.mktemp("manifests") / "m.parquet"
    Manifest.create(
        "toy",
        ["Hat"],
        root=people,
        images=["a.jpg", "b/b.png", "b/b.png"],
        labels=[[1], [0], [-1]],
        boxes=boxes,
        partitions={"own": ["train", "test", "test"], "half": [None, "test", None]},
    ).write(path)
    assert [(s.box, s.row) for s in read_sources(path)] == [
        (None, 0),
        (Box(1, 2, 11, 32.5), 1),
        (Box(20, 2, 31, 30), 2),
    ]
    chosen = read_sources(path, partition="own", split="test")
    assert [(s.path, s.row) for s in chosen] == [(people / "b/b.png", 1), (people / "b/b.png", 2)]
    with pytest.raises(ConfigError, match="choose a partition with --partition; the manifest has own, half"):
        read_sources(path, split="test")
    with pytest.raises(ConfigError, match="add --split"):
        read_sources(path, partition="own")


def test_a_parquet_table_is_no_manifest(people: Path) -> None:
    pq.write_table(
        pa.table({"image": ["a.jpg"], "x0": [1.0], "y0": [2.0], "x1": [5], "y1": [9]}), people / "t.parquet"
    )
    (source,) = read_sources(people / "t.parquet")
    assert source.box == Box(1, 2, 5, 9)
    with pytest.raises(ConfigError, match="is not a manifest and has no partitions"):
        read_sources(people / "t.parquet", split="test")
    (people / "t.parquet").write_text("no table")
    with pytest.raises(DataError, match="not a Parquet file"):
        read_sources(people / "t.parquet")
