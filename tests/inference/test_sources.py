from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError, ManifestError
from passerby.inference.sources import find_images, read_sources
from passerby.types import Box
from spreadsheets import write_xlsx


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


def test_links_to_folders_are_entered_only_if_named(tree: Path) -> None:
    (tree / "elsewhere").symlink_to(tree / "sub")
    inside = ["sub/d.jpeg", "sub/deep/c.webp"]
    assert not [path for path in find_images(["."]) if "elsewhere" in path.parts]
    assert [str(path) for path in find_images(["**/*.webp"])] == ["sub/deep/c.webp"]
    assert [str(path) for path in find_images(["elsewhere"])] == ["elsewhere/d.jpeg", "elsewhere/deep/c.webp"]
    assert [str(path) for path in find_images(["elsewhere/*"])] == [
        "elsewhere/d.jpeg",
        "elsewhere/deep/c.webp",
    ]
    assert [str(path) for path in find_images(["sub", "elsewhere", "else*/d.jpeg"])] == inside  # once


@pytest.mark.parametrize("source", ["sub", "sub/**", "**/sub/**/*.*", "sub/*", "sub/round/*", "sub/*/*"])
def test_loops_of_links_end_and_each_image_is_listed_once(tree: Path, source: str) -> None:
    for name in ("round", "other"):  # two loops: 2⁴⁰ ways before the operating system refuses
        (tree / "sub" / name).symlink_to(tree / "sub")
        (tree / "sub" / "deep" / name).symlink_to("..")
    names = [path.name for path in find_images([source])]
    assert sorted(names) == ["c.webp", "d.jpeg"]


def test_relative_sources_follow_the_working_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_images(["sub/d.jpeg", "."])[0] == Path("sub/d.jpeg")
    monkeypatch.chdir(tree / "sub")
    assert find_images([".", tree / "sub"]) == [Path("d.jpeg"), Path("deep/c.webp")]


def test_a_link_to_itself_is_listed_for_its_error(tree: Path) -> None:
    (tree / "sub" / "loop.jpg").symlink_to("loop.jpg")
    assert [path.name for path in find_images(["sub"])] == ["d.jpeg", "loop.jpg", "c.webp"]


def test_links_to_files_below_a_folder_stay_inside_the_folders_given(
    tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tree / "sub" / "same.jpg").symlink_to("d.jpeg")
    (tree / "sub" / "out.jpg").symlink_to(tree / "b.jpg")
    (tree / "sub" / "device.jpg").symlink_to("/dev/zero")
    inside = ["sub/d.jpeg", "sub/same.jpg", "sub/deep/c.webp"]
    assert [str(path) for path in find_images(["sub"])] == inside
    message = "sub: left out links to files outside of it: 2; a pattern includes them (sub/**/*.jpg)"
    assert [record.getMessage() for record in caplog.records] == [message]
    assert "sub/out.jpg" in [str(path) for path in find_images(["sub", "."])]
    assert [str(path) for path in find_images(["sub/out.jpg"])] == ["sub/out.jpg"]
    assert [str(path) for path in find_images(["sub/**/o*.jpg"])] == ["sub/out.jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**", ["a.PNG", "b.jpg", "odd[1].jpg", "sub/d.jpeg", "sub/deep/c.webp"]),
        ("sub/**", ["sub/d.jpeg", "sub/deep/c.webp"]),
        ("**/deep/*", ["sub/deep/c.webp"]),
        ("**/*.jp*", ["b.jpg", "odd[1].jpg", "sub/d.jpeg"]),
        ("s*/**/**/*.webp", ["sub/deep/c.webp"]),
        ("**/sub/**/c.*", ["sub/deep/c.webp"]),
        ("[s]ub/**/d.jpeg", ["sub/d.jpeg"]),
    ],
)
def test_patterns_with_two_stars(tree: Path, pattern: str, expected: list[str]) -> None:
    assert [str(path) for path in find_images([pattern])] == expected
    assert find_images([str(tree / pattern)]) == [tree / path for path in expected]


def test_two_stars_in_a_folder_with_brackets_in_its_name(tree: Path) -> None:
    (tree / "sub").rename(tree / "[sub]")
    assert [str(path) for path in find_images(["**/*.webp"])] == ["[sub]/deep/c.webp"]


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
    with pytest.raises(DataError, match=r"none of the 2 images of .* exists; .* --root:\n  .*a\.jpg\n"):
        read_sources(table)


def test_renamed_images_are_found_and_no_other_root_is_proposed(
    people: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = tmp_path_factory.mktemp("tables") / "boxes.csv"
    table.write_text("image\na.JPG\nb/b.PNG\na.JPG\n")
    with pytest.raises(DataError) as caught:
        read_sources(table, root=people)
    assert str(caught.value).splitlines() == [
        f"none of the 2 images of {table} exists:",
        f"  {people}/a.JPG (found {people}/a.jpg: same name in another letter case)",
        f"  {people}/b/b.PNG (found {people}/b/b.png: same name in another letter case)",
        "  2 of 2 found under a similar name (2 in another letter case); rename them or correct the paths",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,x0,y0,x1,y1\na.jpg,0.1,0.2,0.5,0.9\n", r"boxes\.csv, row \d: .*got the fractions"),
        ("image,x0,y0,x1,y1\na.jpg,5,2,5,9\n", "expected x1 > x0"),
        ("image,x0,y0,x1,y1\na.jpg,inf,2,5,9\n", "expected a finite number"),
        ("image,x0,y0,x1\na.jpg,1,2,5\n", "a box needs the columns"),
        ("image,x0,y0,x1,y1\n,1,2,5,9\n", "expected the path of an image"),
        ("image\n", "expected rows below the header, got none"),
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
    with pytest.raises(
        ManifestError, match="choose a partition with --partition; the manifest has own, half"
    ):
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


def test_paths_of_windows(people: Path) -> None:
    (people / "boxes.csv").write_text("image\nb\\b.png\n.\\a.jpg\n")
    assert [s.path for s in read_sources(people / "boxes.csv")] == [people / "b/b.png", people / "a.jpg"]
    (people / "boxes.csv").write_text("image\nC:\\photos\\b.png\n")
    with pytest.raises(DataError, match=r"boxes\.csv, row 2, column 'image': expected a path below the root"):
        read_sources(people / "boxes.csv")


def test_options_of_a_table(people: Path) -> None:
    path = people / "boxes.xlsx"
    write_xlsx(
        path, {"notes": [["x"], ["y"]], "boxes": [["Portrait", "image", "bbox"], ["a.jpg", "z", "1 2"]]}
    )
    (source,) = read_sources(path, worksheet="boxes", image_column="Portrait", ignore=["bbox"])
    assert source.path == people / "a.jpg"
    (people / "list.txt").write_text("a.jpg 1 0\nb/b.png 0 1\n")
    (people / "names.txt").write_text("Hat\nBag\n")
    found = read_sources(people / "list.txt", attribute_names=people / "names.txt")
    assert [source.path for source in found] == [people / "a.jpg", people / "b/b.png"]


def test_options_of_a_table_are_none_of_a_manifest(people: Path) -> None:
    Manifest.create("toy", ["Hat"], root=people, images=["a.jpg"], labels=[[1]], partitions={}).write(
        people / "m.parquet"
    )
    with pytest.raises(ConfigError, match=r"m\.parquet is a manifest; leave out --image-column"):
        read_sources(people / "m.parquet", image_column="image")
