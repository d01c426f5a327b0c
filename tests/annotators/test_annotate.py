from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from passerby.annotators import annotate, find_existing
from passerby.cli import app
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError, ModelError
from passerby.images import limits
from passerby.images.decode import load_map


def read_all(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_importing_the_package_loads_no_network_library() -> None:
    heavy = "{'torch', 'torchvision', 'transformers'}"
    code = f"import sys, passerby.annotators; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------- what is written


def test_masks_parsing_and_keypoints_land_in_files_and_columns(people, make_toy):
    seen = []
    new = annotate(
        people,
        [make_toy("masks"), make_toy("parsing"), make_toy("keypoints")],
        batch_size=4,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert new.paths("mask")[3] == "annotations/masks/images/03.png"
    assert new.paths("parsing")[3] == "annotations/parsing/images/03.png"
    assert new.parsing_classes == ("nothing", "one", "two")
    for row, image in enumerate(people.images):
        pixels = np.asarray(Image.open(people.root / image))
        with Image.open(new.root / new.paths("mask")[row]) as mask:
            assert mask.mode == "1"
        with Image.open(new.root / new.paths("parsing")[row]) as parsing:
            assert parsing.mode == "L"
        np.testing.assert_array_equal(load_map(new.root / new.paths("mask")[row]) > 0, pixels[..., 0] > 100)
        np.testing.assert_array_equal(
            load_map(new.root / new.paths("parsing")[row]), pixels[..., 1] // 10 % 3
        )
        y, x = np.argwhere(pixels[..., 2] == 255)[0]
        np.testing.assert_allclose(new.keypoints()[row], np.tile([x, y, 0.9], (17, 1)), atol=1e-3)
    assert seen[-1] == (30, 30)
    assert seen == sorted(seen)
    assert people.paths("mask") == [None] * 10
    assert new.images == people.images


def test_boxes_are_cut_out_and_put_back(crowd, make_toy):
    masks, points = make_toy("masks"), make_toy("keypoints")
    new = annotate(crowd, [points, masks], batch_size=2)
    assert [s.image.size for s in masks.samples] == [(19, 26), (20, 40), (10, 10), (19, 26), (60, 40)]
    paths = new.paths("mask")
    assert paths[0] == "annotations/masks/a_2.5_8.2_20.4_33.9.png"
    assert paths[2] is None  # no person
    assert len({p for p in paths if p}) == 4
    first, second = (load_map(new.root / p) for p in paths[:2])
    assert first.shape == second.shape == (40, 60)
    assert np.argwhere(first).min(0).tolist() == [10, 5]
    assert np.argwhere(first).max(0).tolist() == [29, 14]
    assert first.sum() == 200
    assert second.sum() == 400
    # boxes begin at fractions of a pixel, the keypoint is where the blue pixel is in the image
    assert new.keypoints()[0, 0, :2].tolist() == [7, 12]
    assert new.keypoints()[1, 16, :2].tolist() == [35, 20]
    assert new.keypoints()[4, 5, :2].tolist() == [35, 20]


def test_batches_of_large_images_are_smaller(people, make_toy, monkeypatch):
    monkeypatch.setattr(limits, "MAX_PIXELS", 2 * 24 * 12)
    masks, sizes = make_toy("masks"), []
    find = masks.annotate

    def count(samples):
        sizes.append(len(samples))
        return find(samples)

    monkeypatch.setattr(masks, "annotate", count)
    new = annotate(people, [masks], batch_size=16)
    assert sizes == [2] * 5
    assert None not in new.paths("mask")


def test_images_of_the_same_name_do_not_share_a_map(people, make_toy):
    Image.new("RGB", (5, 5), (255, 0, 0)).save(people.root / "images" / "00.bmp")
    names = ["images/00.png", "images/00.bmp"]
    twins = Manifest.create(
        "toy", people.schema, root=people.root, images=names, labels=[[1], [1]], partitions={}
    )
    new = annotate(twins, [make_toy("masks")])
    assert new.paths("mask") == [
        "annotations/masks/images/00.png",
        "annotations/masks/images/00.bmp.png",
    ]
    assert load_map(new.root / new.paths("mask")[1]).shape == (5, 5)


def test_equal_rows_are_annotated_once(people, make_toy):
    toy = make_toy("masks")
    new = annotate(people.take([1, 1, 2]), [toy])
    assert len(toy.samples) == 2
    assert new.paths("mask")[0] == new.paths("mask")[1]


# ---------------------------------------------------------------------- needs


def test_annotators_run_in_the_order_of_their_needs(people, make_toy):
    last = make_toy("parsing", needs=("masks", "keypoints"))
    annotate(people, [last, make_toy("keypoints"), make_toy("masks")])
    for sample, image in zip(last.samples, people.images, strict=True):
        pixels = np.asarray(Image.open(people.root / image))
        np.testing.assert_array_equal(sample.mask, pixels[..., 0] > 100)
        assert pixels[int(sample.keypoints[0, 1]), int(sample.keypoints[0, 0]), 2] == 255
        assert sample.parsing is None


def test_what_the_manifest_has_is_cut_out_too(crowd, make_toy):
    ready = annotate(crowd, [make_toy("masks"), make_toy("keypoints")])
    toy = make_toy("parsing", needs=("masks", "keypoints"))
    annotate(ready, [toy], into="more")
    assert [None if s.mask is None else int(s.mask.sum()) for s in toy.samples] == [200, 400, None, 200, 600]
    assert toy.samples[0].mask.shape == (26, 19)
    assert toy.samples[0].keypoints[0].tolist() == pytest.approx([5, 4, 0.9])
    # other keypoints: another answer, so these are looked at again, and only these
    column = [k.reshape(-1).tolist() for k in ready.keypoints()]
    column[1][0] += 1
    again = make_toy("parsing", needs=("masks", "keypoints"))
    annotate(ready.with_guidance(keypoints=column), [again], into="more")
    assert len(again.samples) == 1


def test_maps_with_new_content_are_annotated_again(people, make_toy):
    """Masks created again have the paths of the old ones."""
    ready = annotate(people, [make_toy("masks")])
    path = people.root / ready.paths("mask")[3]
    annotate(ready, [make_toy("parsing", needs=("masks",))])
    Image.fromarray(load_map(path) == 0).save(path)
    again = make_toy("parsing", needs=("masks",))
    annotate(ready, [again])
    assert [Path(sample.source).name for sample in again.samples] == ["03.png"]
    (people.root / ready.paths("mask")[4]).touch()  # a new date is no new content
    last = make_toy("parsing", needs=("masks",))
    annotate(ready, [last])
    assert not last.samples


def test_an_annotator_does_not_write_over_what_it_reads(people, make_toy):
    ready = annotate(people, [make_toy("parsing")])
    before = read_all(people.root)
    with pytest.raises(ConfigError, match=r"parsing by 'toy' would overwrite .*annotations/parsing/.*into"):
        annotate(ready, [make_toy("parsing", needs=("parsing",))], redo=True)
    assert read_all(people.root) == before
    again = annotate(ready, [make_toy("parsing", needs=("parsing",))], into="new")
    assert again.paths("parsing")[0] == "new/parsing/images/00.png"


def test_unmet_needs_cycles_and_repeated_kinds_are_refused(people, make_toy):
    with pytest.raises(ConfigError, match=r"parsing by 'toy' need masks, which are not available.*--masks"):
        annotate(people, [make_toy("parsing", needs=("masks",))])
    with pytest.raises(ConfigError, match="need each other: masks by 'toy' need parsing"):
        annotate(people, [make_toy("masks", needs=("parsing",)), make_toy("parsing", needs=("masks",))])
    with pytest.raises(ConfigError, match="expected one annotator for masks, got 2"):
        annotate(people, [make_toy("masks"), make_toy("masks")])
    with pytest.raises(ConfigError, match="need masks"):
        annotate(people, [make_toy("masks", needs=("masks",))])
    assert not (people.root / "annotations").exists()


# ---------------------------------------------------------------------- resuming


def test_an_interrupted_run_resumes_where_it_stopped(people, make_toy):
    def toys(stop_after: int):
        return [make_toy("masks", stop_after=stop_after), make_toy("parsing"), make_toy("keypoints")]

    whole = annotate(people, toys(99), into="whole", batch_size=3)
    with pytest.raises(KeyboardInterrupt):
        annotate(people, toys(7), into="splits", batch_size=3)
    rest = toys(99)
    splits = annotate(people, rest, into="splits", batch_size=3)
    assert [len(toy.samples) for toy in rest] == [4, 10, 10]
    a, b = read_all(people.root / "whole"), read_all(people.root / "splits")
    assert a.keys() == b.keys()
    assert {k: v for k, v in a.items() if k.endswith(".png")} == {
        k: v for k, v in b.items() if k.endswith(".png")
    }
    for name in ("masks.jsonl", "parsing.jsonl", "keypoints.jsonl"):
        assert a[name].replace(b'"whole/', b'"splits/') == b[name]
    assert [p.replace("splits/", "whole/") for p in splits.paths("mask")] == whole.paths("mask")
    np.testing.assert_array_equal(splits.keypoints(), whole.keypoints())
    third = toys(0)
    assert annotate(people, third, into="splits").table.equals(splits.table)
    assert [len(toy.samples) for toy in third] == [0, 0, 0]


def test_half_a_line_and_lost_files_are_made_again(people, make_toy):
    new = annotate(people, [make_toy("masks")])
    before = read_all(people.root)
    journal = people.root / "annotations" / "masks.jsonl"
    journal.write_bytes(journal.read_bytes()[:-9])
    (people.root / new.paths("mask")[2]).unlink()
    toy = make_toy("masks")
    again = annotate(people, [toy])
    assert len(toy.samples) == 2
    assert again.table.equals(new.table)
    assert {k: v for k, v in read_all(people.root).items() if k.endswith(".png")} == {
        k: v for k, v in before.items() if k.endswith(".png")
    }


def test_more_rows_later_cost_only_those(people, make_toy):
    annotate(people.take(range(6)), [make_toy("masks")])
    toy = make_toy("masks")
    new = annotate(people, [toy])
    assert len(toy.samples) == 4
    assert None not in new.paths("mask")


def test_another_description_is_refused_before_anything_runs(people, make_toy):
    annotate(people, [make_toy("masks"), make_toy("parsing", needs=("masks",))])
    other = make_toy("masks", threshold=120)
    with pytest.raises(ConfigError, match="threshold: 100 before, 120 now"):
        annotate(people, [make_toy("keypoints"), other])
    ready = annotate(people, [make_toy("masks", threshold=120)], into="other")
    with pytest.raises(ConfigError, match=r"given\.masks"):
        annotate(ready, [make_toy("parsing", needs=("masks",))])
    annotate(people, [other], redo=True)
    assert len(other.samples) == 10


# ---------------------------------------------------------------------- trouble


def test_unreadable_images_cost_only_their_rows(people, make_toy, caplog):
    good = (people.root / "images" / "04.png").read_bytes()
    (people.root / "images" / "04.png").write_bytes(b"nothing")
    (people.root / "images" / "06.png").unlink()
    with caplog.at_level(logging.WARNING):
        new = annotate(people, [make_toy("masks"), make_toy("keypoints")], batch_size=3)
    assert [row for row, path in enumerate(new.paths("mask")) if path is None] == [4, 6]
    assert np.flatnonzero(np.isnan(new.keypoints()[:, 0, 0])).tolist() == [4, 6]
    assert "masks: 2 images could not be used" in caplog.text
    assert "04.png: it is damaged" in caplog.text
    (people.root / "images" / "04.png").write_bytes(good)
    toy = make_toy("masks")
    assert annotate(people, [toy]).paths("mask")[4] is not None
    assert len(toy.samples) == 1


def test_boxes_outside_and_maps_of_another_size_are_logged(crowd, people, make_toy, caplog):
    boxes = [(100.0, 100.0, 120.0, 130.0), None]
    made = Manifest.create(
        "toy",
        crowd.schema,
        root=crowd.root,
        images=["a.png", "a.png"],
        labels=[[1], [1]],
        partitions={},
        boxes=boxes,
    )
    with caplog.at_level(logging.WARNING):
        new = annotate(made, [make_toy("masks")])
    assert new.paths("mask")[0] is None
    assert "box outside the image: expected a box that overlaps the image of 60 × 40 pixels" in caplog.text
    Image.new("1", (3, 3)).save(people.root / "small.png")
    ready = people.with_guidance(masks=["small.png"] * 10)
    with caplog.at_level(logging.WARNING):
        new = annotate(ready, [make_toy("parsing", needs=("masks",))])
    assert new.paths("parsing") == [None] * 10
    assert "expected 12 × 24 pixels as in its image, got 3 × 3" in caplog.text


@pytest.mark.parametrize("into", ["", ".", "/tmp", "../elsewhere"])
def test_folders_outside_of_the_root_are_refused(people, make_toy, into):
    with pytest.raises(ConfigError, match="expected a folder below the root of the manifest"):
        annotate(people, [make_toy("masks")], into=into)


def test_a_root_that_is_not_writable_is_named(people, make_toy):
    (people.root / "annotations").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"cannot write below .*copy of the data set"):
        annotate(people, [make_toy("masks")])


def test_invalid_results_are_refused(people, make_toy, monkeypatch):
    def check(kind, answer, message):
        toy = make_toy(kind)
        monkeypatch.setattr(toy, "answer", lambda sample: answer)
        with pytest.raises(ModelError, match=message):
            annotate(people, [toy], redo=True)

    check("masks", np.zeros((3, 3), np.uint8), r"expected masks of shape \(24, 12\), got \(3, 3\)")
    check("parsing", np.full((24, 12), 9, np.uint8), "expected classes below 3, as many as it names, got 9")
    check("keypoints", np.full((17, 3), np.nan, np.float32), "expected finite keypoints")
    check("keypoints", np.zeros((51,), np.float32), r"shape \(17, 3\), got \(51,\)")
    toy = make_toy("masks")
    monkeypatch.setattr(toy, "annotate", lambda samples: [])
    with pytest.raises(ModelError, match="expected 10 results, one per sample, got 0"):
        annotate(people, [toy], redo=True)
    with pytest.raises(ConfigError, match="batch size of at least 1"):
        annotate(people, [make_toy("masks")], batch_size=0)


# ---------------------------------------------------------------------- what lies ready


def test_existing_files_are_used(people):
    for folder in ("masks", "parsing"):
        (people.root / folder).mkdir()
        Image.new("L", (12, 24), 1).save(people.root / folder / "03.png")
    points = [{"image": "05.png", "keypoints": [1.0] * 51}]
    (people.root / "keypoints_coco17.json").write_text(json.dumps(points))
    new = find_existing(people, parsing_classes=("nothing", "all"))
    assert [p for p in new.paths("mask") if p] == ["masks/03.png"]
    assert new.paths("parsing")[3] == "parsing/03.png"
    assert new.parsing_classes == ("nothing", "all")
    assert np.isfinite(new.keypoints()[5]).all()
    some = find_existing(people, ["masks"])
    assert some.keypoints() is None
    assert some.paths("parsing") == [None] * 10


def test_existing_parsing_maps_are_of_the_classes_that_are_named(people):
    (people.root / "parsing").mkdir()
    Image.new("L", (12, 24), 255).save(people.root / "parsing" / "02.png")
    Image.new("L", (12, 24), 2).save(people.root / "parsing" / "03.png")
    (people.root / "parsing" / "04.png").write_bytes(b"nothing")  # a matter of measuring the quality
    assert find_existing(people, ["parsing"]).parsing_classes == ()
    with pytest.raises(DataError, match=r"03\.png: expected classes 0 … 1 .*got 2; .*--parsing-classes"):
        find_existing(people, ["parsing"], parsing_classes=("nothing", "all"))
    (people.root / "parsing" / "classes.txt").write_text("nothing\nupper\nlower\n")
    assert find_existing(people, ["parsing"]).parsing_classes == ("nothing", "upper", "lower")
    own = people.with_guidance(masks=["own.png", *[None] * 9])
    assert find_existing(own, ["masks"]).parsing_classes == ()


def test_without_files_the_manifest_column_stays_or_an_error_is_raised(people):
    with pytest.raises(ConfigError, match=r"expected masks in masks/.*--masks-from"):
        find_existing(people, ["masks"])
    own = people.with_guidance(masks=["own.png", *[None] * 9])
    assert find_existing(own, ["masks"]).paths("mask")[0] == "own.png"


def test_one_file_for_two_images_is_refused(crowd):
    (crowd.root / "masks").mkdir()
    Image.new("L", (60, 40), 1).save(crowd.root / "masks" / "a.png")
    with pytest.raises(DataError, match=r"a\.png and a\.bmp would share"):
        find_existing(crowd, ["masks"])
    assert find_existing(crowd.take([0, 1]), ["masks"]).paths("mask") == ["masks/a.png"] * 2


@pytest.mark.realdata
def test_given_masks_and_keypoints_of_peta_are_those_of_prepare(tmp_path):
    folder = Path(os.environ.get("PASSERBY_DATA", "")) / "peta"
    if not os.environ.get("PASSERBY_DATA") or not folder.is_dir():
        pytest.skip("PASSERBY_DATA does not name a folder with peta/")
    fresh, stripped, out = (tmp_path / f"{name}.parquet" for name in ("peta", "stripped", "out"))

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, (result.output, result.exception)
        return result

    def list_files():
        found = [*folder.iterdir(), *(folder / "masks").iterdir()]
        return {path: path.stat().st_mtime_ns for path in found}

    before = list_files()
    run("prepare", "peta", "--root", folder, "--out", fresh, "--no-check-images")
    whole = Manifest.load(fresh)
    rows = np.sort(np.random.default_rng(0).permutation(len(whole))[:200])
    expected = whole.take(rows)
    expected.with_guidance(masks=[None] * 200, keypoints=[None] * 200).write(stripped)
    assert Manifest.load(stripped).keypoints() is None
    result = run(*("annotate", stripped, "--masks-from", "files", "--keypoints-from", "files", "--out", out))
    given = Manifest.load(out)
    assert given.table.equals(expected.table)
    assert (given.schema, given.parsing_classes) == (expected.schema, expected.parsing_classes)
    assert (given.root, given.fingerprint) == (expected.root, expected.fingerprint)
    assert None not in given.paths("mask")
    assert "Rows by --missing" not in result.output
    assert list_files() == before
