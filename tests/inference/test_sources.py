from __future__ import annotations

from pathlib import Path

import pytest

from passerby.errors import DataError
from passerby.inference.sources import find_images


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
