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


def test_a_source_of_a_similar_name_is_named(tree: Path) -> None:
    with pytest.raises(
        DataError, match=r"no images at: B\.JPG \(found b\.jpg: same name in another letter case\);"
    ):
        find_images(["B.JPG"])


def test_circular_links(tree: Path) -> None:
    (tree / "sub" / "round").symlink_to(tree / "sub")
    assert len(find_images(["sub"])) == 2
