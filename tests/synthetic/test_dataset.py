from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.data.formats import table
from passerby.errors import ConfigError, DataError
from passerby.parsing import LIP_CLASSES
from passerby.synthetic import ATTRIBUTES, SynthConfig, draw_person, get_split, write_dataset

TINY = SynthConfig(height=64, width=48, supersampling=1)
COUNT = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("synth") / "people", COUNT, TINY, seed=7, image_format="png")


def test_the_table_reader_reads_it(folder: Path) -> None:
    manifest = table.read(folder)
    assert len(manifest) == COUNT
    assert manifest.schema.names == ATTRIBUTES
    assert manifest.parsing_classes == LIP_CLASSES
    expected = [draw_person(TINY, 7, i) for i in range(COUNT)]
    np.testing.assert_array_equal(manifest.labels, np.stack([p.labels for p in expected]))
    keypoints = manifest.keypoints()
    assert keypoints is not None
    np.testing.assert_allclose(keypoints, np.stack([p.keypoints_coco for p in expected]), atol=0.006)
    assert manifest.identities[:5] == ["000000"] * 4 + ["000001"]
    assert [len(manifest.split_rows("own", split)) for split in ("train", "val", "test")] == [24, 4, 12]


def test_images_masks_and_parsing_maps_are_those_of_the_generator(folder: Path) -> None:
    for index in (0, 13, COUNT - 1):
        person = draw_person(TINY, 7, index)
        name = f"{index:06d}.png"
        np.testing.assert_array_equal(np.asarray(Image.open(folder / "images" / name)), person.image)
        np.testing.assert_array_equal(np.asarray(Image.open(folder / "parsing" / name)), person.parsing)
        mask = Image.open(folder / "masks" / name)
        assert mask.mode == "L"
        np.testing.assert_array_equal(np.asarray(mask), person.mask * 255)


def test_boxes_and_mpii_keypoints_are_written(folder: Path) -> None:
    boxes = json.loads((folder / "boxes.json").read_text())
    points = json.loads((folder / "keypoints_mpii.json").read_text())
    with (folder / "people.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(boxes) == len(points) == len(rows) == COUNT
    for row in rows:
        assert set(boxes[row["image"]]) == {n for n in ATTRIBUTES if row[n] == "1"}
        assert all(0 <= b[0] < b[2] <= 48 and 0 <= b[1] < b[3] <= 64 for b in boxes[row["image"]].values())
        assert np.shape(points[row["image"]]) == (16, 3)
    about = json.loads((folder / "synth.json").read_text())
    assert about["domain"] == "synthetic people"
    assert (about["seed"], about["count"], about["config"]["height"]) == (7, COUNT, 64)


def test_splits_have_the_documented_shares() -> None:
    splits = [get_split(i) for i in range(200)]
    assert [splits.count(p) for p in ("train", "val", "test")] == [120, 30, 50]
    assert set(splits[:3]) == {"train", "val", "test"}


def test_a_larger_data_set_begins_with_the_smaller_one_for_any_number_of_workers(
    folder: Path, tmp_path: Path
) -> None:
    done: list[tuple[int, int]] = []
    write_dataset(
        tmp_path / "more",
        COUNT + 4,
        TINY,
        seed=7,
        image_format="png",
        workers=2,
        progress=lambda *numbers: done.append(numbers),
    )
    assert done == [(32, COUNT + 4), (COUNT + 4, COUNT + 4)]
    for path in sorted(folder.glob("*/*.png")):
        assert path.read_bytes() == (tmp_path / "more" / path.relative_to(folder)).read_bytes()
    assert (tmp_path / "more" / "people.csv").read_text().startswith((folder / "people.csv").read_text())


def test_a_foreign_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):  # synth did not write this folder
        with pytest.raises(DataError, match="new or empty folder"):
            write_dataset(tmp_path / "mine", 1, TINY, overwrite=overwrite)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_overwriting_replaces_a_data_set(tmp_path: Path) -> None:
    out = write_dataset(tmp_path / "set", 3, TINY)
    with pytest.raises(DataError, match="overwrit"):
        write_dataset(out, 2, TINY)
    write_dataset(out, 2, TINY, overwrite=True)
    assert len(list((out / "images").iterdir())) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_an_interrupted_run_leaves_no_files(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "set", 2, TINY, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"count": 1, "workers": 0}, {"count": 1, "image_format": "bmp"}]
)
def test_wrong_numbers_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected count"):
        write_dataset(tmp_path / "set", config=TINY, **wrong)
