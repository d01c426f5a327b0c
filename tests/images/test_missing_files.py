"""Missing files, and files whose name differs only in Unicode form, letter case or extension."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from passerby.images.missing_files import describe_missing, describe_similar, find_similar

NFC, NFD = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("existing", "expected", "difference"),
    [
        ("IMG_1.JPG", "img_1.jpg", "in another letter case"),
        ("IMG_1.JPG", "IMG_1.jpg", "in another letter case"),
        (f"{NFD}.jpg", f"{NFC}.jpg", "in another Unicode form"),
        (f"{NFC}.jpg", f"{NFD}.jpg", "in another Unicode form"),
        (f"{NFD}.JPG", f"{NFC}.jpg", "in another letter case"),
        ("a.png", "a.jpg", "with another extension"),
        ("A.png", "a.jpg", "with another extension"),
        ("a.b.jpeg", "a.b.jpg", "with another extension"),
        ("Photos/Anna/a.jpg", "photos/anna/a.jpg", "in another letter case"),
        (f"{NFD}/a.png", f"{NFC}/a.jpg", "with another extension"),
    ],
)
def test_a_similar_name_is_found(tmp_path: Path, existing: str, expected: str, difference: str) -> None:
    file = tmp_path / existing
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    assert find_similar(tmp_path / expected) == (file, difference)


def test_other_files_of_the_same_name_do_not_hide_the_image(tmp_path: Path) -> None:
    for name in ("a.json", "a.mpg", "a.pdf", "a.png"):
        (tmp_path / name).touch()
    assert find_similar(tmp_path / "a.jpg") == (tmp_path / "a.png", "with another extension")


@pytest.mark.parametrize(
    "existing", ["b.jpg", "a.pdf", "a.mpg", "a.txt", "a.jpg/inside.jpg", "x/a.jpg", "aa.jpg"]
)
def test_other_names_are_not_similar(tmp_path: Path, existing: str) -> None:
    file = tmp_path / existing
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    assert find_similar(tmp_path / "A.jpg") is None
    assert find_similar(tmp_path / "no" / "such" / "folder" / "a.jpg") is None
    assert describe_similar(tmp_path / "A.jpg") == ""


def test_the_hint_names_the_folder_if_that_differs(tmp_path: Path) -> None:
    (tmp_path / "Photos").mkdir()
    (tmp_path / "Photos" / "a.jpg").touch()
    found = tmp_path / "Photos" / "a.jpg"
    assert describe_similar(tmp_path / "photos" / "a.jpg") == (
        f" (found {found}: same name in another letter case)"
    )
    assert describe_missing(tmp_path, ["photos/a.jpg"]) == (
        "\n  photos/a.jpg (found Photos/a.jpg: same name in another letter case)"
        "\n  1 of 1 found under a similar name (1 in another letter case); rename them or correct the paths"
    )


def test_the_first_ten_are_listed_and_differences_are_counted(tmp_path: Path) -> None:
    for name in ("00.JPG", "01.JPG", "02.png", f"{NFD}.jpg"):
        (tmp_path / name).touch()
    missing = [*(f"{i:02d}.jpg" for i in range(20)), f"{NFC}.jpg", "00.jpg"]  # one image of two rows
    lines = describe_missing(tmp_path, missing).splitlines()[1:]
    assert lines == [
        "  00.jpg (found 00.JPG: same name in another letter case)",
        "  01.jpg (found 01.JPG: same name in another letter case)",
        "  02.jpg (found 02.png: same name with another extension)",
        *(f"  {i:02d}.jpg" for i in range(3, 10)),
        "  … and 11 more",
        "  4 of 21 found under a similar name (1 in another Unicode form, 2 in another letter case, "
        "1 with another extension); rename them or correct the paths",
    ]


def test_a_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of its images may be missing."""
    (tmp_path / "7.JPG").touch()
    listed = []
    list_folder = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: listed.append(folder) or list_folder(folder))
    for i in range(20):
        describe_similar(tmp_path / f"{i}.jpg")
    assert listed == [tmp_path]


def test_files_of_other_names_give_no_hint(tmp_path: Path) -> None:
    assert describe_missing(tmp_path, ["a.jpg", "b/c.jpg"]) == "\n  a.jpg\n  b/c.jpg"
