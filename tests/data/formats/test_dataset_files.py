from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from passerby.data.formats import FORMATS
from passerby.data.formats.dataset_files import (
    find_file,
    find_guidance,
    find_images,
    keep_present,
    load_classes,
    load_keypoints,
    load_schema,
)
from passerby.errors import FormatError, ManifestError
from passerby.images.limits import IMAGE_SUFFIXES

POINTS = [float(i) for i in range(51)]


def write_keypoints(root: Path, content: object) -> None:
    (root / "keypoints_coco17.json").write_text(json.dumps(content))


def test_formats_names_every_data_set_and_is_read_only():
    assert list(FORMATS) == [
        "peta",
        "pa100k",
        "rap1",
        "rap2",
        "wider",
        "market1501",
        "mars",
        "upar",
        "ccp",
        "table",
    ]
    with pytest.raises(TypeError):
        FORMATS["mine"] = FORMATS["peta"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "count"), [("peta", 105), ("pa100k", 26), ("rap1", 92), ("rap2", 54), ("wider", 14)]
)
def test_load_schema(name, count):
    schema = load_schema(name)
    assert (schema.name, len(schema)) == (name, count)


def test_find_file_takes_the_first_and_names_all(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.mat").touch()
    assert find_file(tmp_path, "x.mat", "b/x.mat") == tmp_path / "b" / "x.mat"
    with pytest.raises(FormatError, match=r"found no y\.mat or b/y\.mat under .*; check --root"):
        find_file(tmp_path, "y.mat", "b/y.mat")


def test_find_images_takes_any_extension_and_the_first_folder(tmp_path):
    for folder, names in {"a": ["1.JPG", "2.bmp", "notes.txt"], "b": ["1.png", "3.jpeg"]}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    assert find_images(tmp_path, "a", "not-there", "b") == {"1": "a/1.JPG", "2": "a/2.bmp", "3": "b/3.jpeg"}


def test_find_images_lists_regular_files_and_links_to_them_only(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "store").touch()
    (folder / "1.jpg").touch()
    (folder / "2.jpg").symlink_to(tmp_path / "store")
    (folder / "3.jpg").symlink_to("gone.jpg")
    (folder / "4.jpg").symlink_to("4.jpg")
    (folder / "5.jpg").symlink_to("/dev/zero")
    (folder / "6.jpg").mkdir()
    os.mkfifo(folder / "7.jpg")
    assert find_images(tmp_path, "images") == {"1": "images/1.jpg", "2": "images/2.jpg"}


def test_find_images_lists_the_suffixes_that_prediction_does(tmp_path):
    for suffix in IMAGE_SUFFIXES:
        (tmp_path / f"x{suffix[1:]}{suffix}").touch()
    assert len(find_images(tmp_path, ".")) == len(IMAGE_SUFFIXES)


def test_keep_present_refuses_missing_by_default(tmp_path, caplog):
    toy = {"images": ["a.jpg", None, "c.jpg"], "expected": ["a.jpg", "b.jpg", "c.jpg"], "dataset": "Toy"}
    with pytest.raises(
        FormatError, match=r"Toy: 1 of 3 images are missing under .*--allow-missing\. Missing:\n  b\.jpg$"
    ):
        keep_present(**toy, where=tmp_path, allow_missing=False)
    with caplog.at_level(logging.WARNING):
        assert keep_present(**toy, where=tmp_path, allow_missing=True) == [0, 2]
    assert caplog.messages == [
        f"Toy: 1 of 3 images are missing under {tmp_path}; continuing with the other 2. Missing:\n  b.jpg"
    ]


def test_keep_present_lists_ten_missing_images_and_counts_similar_names(tmp_path):
    """Line breaks of the message: the list, the rest, and the hint."""
    (tmp_path / "IMG_1.JPG").touch()
    expected = ["ok.jpg", *(f"img_{i}.jpg" for i in range(12))]
    images = ["ok.jpg", *[None] * 12]
    with pytest.raises(FormatError) as caught:
        keep_present(images, expected=expected, dataset="Toy", where=tmp_path, allow_missing=False)
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        f"Toy: 12 of 13 images are missing under {tmp_path}; add them, or continue with the other 1 with "
        "--allow-missing. Missing:"
    )
    assert lines[1] == "  img_0.jpg"
    assert lines[2] == "  img_1.jpg (found IMG_1.JPG: same name in another letter case)"
    assert lines[11:] == [
        "  … and 2 more",
        "  1 of 12 found under a similar name (1 in another letter case); rename them or correct the paths",
    ]


def test_a_table_of_the_data_set_under_another_case_is_named(tmp_path):
    (tmp_path / "peta.mat").touch()
    with pytest.raises(
        FormatError, match=r"found no PETA\.mat .* \(found peta\.mat: same name in another letter"
    ):
        find_file(tmp_path, "PETA.mat", "PETA/PETA.mat")


def test_keep_present_refuses_an_empty_folder_even_with_allow_missing(tmp_path):
    with pytest.raises(FormatError, match=r"3 of 3 images are missing.*check --root"):
        keep_present(
            [None] * 3,
            expected=["1.jpg", "2.jpg", "3.jpg"],
            dataset="Toy",
            where=tmp_path,
            allow_missing=True,
        )


def test_find_guidance_goes_by_stem(tmp_path):
    for folder in ("masks", "parsing"):
        (tmp_path / folder).mkdir()
    (tmp_path / "masks" / "00001.png").touch()
    (tmp_path / "parsing" / "00002.png").touch()
    write_keypoints(tmp_path, [{"image": "00002.jpg", "keypoints": POINTS, "score": 0.5}])
    guidance = find_guidance(tmp_path, ["00001", "00002"])
    assert guidance.masks == ["masks/00001.png", None]
    assert guidance.parsing == [None, "parsing/00002.png"]
    assert guidance.keypoints == [None, POINTS]


def test_names_of_parsing_classes_are_next_to_the_maps(tmp_path):
    (tmp_path / "parsing").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "parsing" / "00002.png").touch()
    (tmp_path / "parsing" / "classes.txt").write_text("nothing\nGrün \n", encoding="utf-8")
    assert find_guidance(tmp_path, ["00001", "00002"]).parsing_classes == ("nothing", "Grün")
    assert find_guidance(tmp_path, ["00001"]).parsing_classes == ()
    assert load_classes(tmp_path, ["parsing/a.png", None, "other/b.png"]) == ()
    assert load_classes(tmp_path, ["other/b.png"]) == ()


@pytest.mark.parametrize("content", [b"", b"a\n\nb\n", b"a\na\n", b"\xff\n"])
def test_damaged_names_of_parsing_classes_are_refused(tmp_path, content):
    (tmp_path / "parsing").mkdir()
    (tmp_path / "parsing" / "classes.txt").write_bytes(content)
    with pytest.raises(FormatError, match=r"classes\.txt"):
        load_classes(tmp_path, ["parsing/a.png"])


def test_no_keypoints_file_means_no_keypoints(tmp_path):
    assert load_keypoints(tmp_path) == {}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"image": "a.jpg", "keypoints": POINTS[:50]}, "entry 0: expected an image name and 51"),
        ({"image": "a.jpg", "keypoints": [*POINTS[:50], float("nan")]}, "51 finite numbers"),
        ({"image": "a.jpg", "keypoints": [*POINTS[:50], "x"]}, "51 finite numbers"),
        ({"keypoints": POINTS}, "expected an image name"),
        ("a.jpg", "expected an image name"),
    ],
)
def test_damaged_keypoints_are_refused(tmp_path, entry, message):
    write_keypoints(tmp_path, [entry])
    with pytest.raises(FormatError, match=message):
        load_keypoints(tmp_path)


def test_keypoints_that_are_no_list_or_truncated_are_refused(tmp_path):
    write_keypoints(tmp_path, {"a.jpg": POINTS})
    with pytest.raises(FormatError, match="expected a list"):
        load_keypoints(tmp_path)
    (tmp_path / "keypoints_coco17.json").write_text('[{"image": "a.jpg", "keyp')
    with pytest.raises(FormatError, match="truncated or not JSON"):
        load_keypoints(tmp_path)


def test_keypoints_of_a_image_outside_the_root_are_refused(tmp_path):
    write_keypoints(tmp_path, [{"image": "../a.jpg", "keypoints": POINTS}])
    with pytest.raises(ManifestError, match="below the root"):
        load_keypoints(tmp_path)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("inside", [True, False], ids=["in the root", "as the root"])
def test_no_format_opens_a_pickle(tmp_path, name, inside):
    path = tmp_path / "dataset_all.pkl"
    path.write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(
        FormatError, match=r"dataset_all\.pkl is a Python pickle.*never\s+does.*#export-a-pickle"
    ):
        FORMATS[name](tmp_path if inside else path)
