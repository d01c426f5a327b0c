from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageChops

from passerby.annotators import annotate
from passerby.errors import DataError
from passerby.parsing import get_class_colour
from passerby.visualization.annotation_panels import Frame, draw_keypoints, draw_mask, draw_parsing
from passerby.visualization.contact_sheet import draw_contact_sheet


def test_only_kinds_that_exist_have_panels(people, make_toy):
    plain = draw_contact_sheet(people, count=4, columns=4, height_px=192)
    kinds = [make_toy("masks"), make_toy("parsing"), make_toy("keypoints")]
    whole = annotate(people, kinds)
    full = draw_contact_sheet(whole, count=4, columns=4, height_px=192)
    assert plain.mode == full.mode == "RGB"
    assert full.width - 48 == 4 * (4 * 96 + 3 * 2) + 3 * 14
    assert plain.width < full.width
    assert plain.height < full.height  # no legend without classes or keypoints


def test_the_seed_decides_which_rows(people):
    def draw(**options):
        return draw_contact_sheet(people, count=3, columns=3, height_px=64, **options)

    assert draw(seed=1).tobytes() == draw(seed=1).tobytes()
    assert draw(seed=1).tobytes() != draw(seed=2).tobytes()
    all_rows = draw_contact_sheet(people, count=99, columns=5, height_px=64)
    assert all_rows.height > draw().height


def test_rows_with_missing_annotations_are_drawn(people, make_toy):
    whole = annotate(people, [make_toy("masks"), make_toy("parsing"), make_toy("keypoints")])
    (people.root / "images" / "02.png").write_bytes(b"nothing")
    (people.root / whole.paths("parsing")[3]).write_bytes(b"nothing")
    keypoints = [None if row == 5 else k.reshape(-1).tolist() for row, k in enumerate(whole.keypoints())]
    masks = [None if row == 4 else path for row, path in enumerate(whole.paths("mask"))]
    lacking = whole.with_guidance(masks=masks, keypoints=keypoints)
    sheet = draw_contact_sheet(lacking, columns=5, height_px=64)
    assert ImageChops.difference(sheet, draw_contact_sheet(whole, columns=5, height_px=64)).getbbox()


def test_boxes_and_many_unnamed_classes(crowd, make_toy):
    Image.fromarray(np.arange(2400, dtype=np.uint8).reshape(40, 60)).save(crowd.root / "p.png")
    draw_contact_sheet(crowd.with_guidance(parsing=["p.png"] * 5), height_px=64)
    named = crowd.with_guidance(parsing=["p.png"] * 5, parsing_classes=[f"class-{i}" for i in range(60)])
    draw_contact_sheet(named, height_px=64)


@pytest.mark.parametrize("change", [{"count": 0}, {"columns": 0}, {"height_px": 10}, {"height_px": 5000}])
def test_numbers_out_of_range_are_refused(people, change):
    with pytest.raises(DataError, match="expected count ≥ 1"):
        draw_contact_sheet(people, **change)


def test_no_rows_are_refused(people):
    with pytest.raises(DataError, match="at least one row"):
        draw_contact_sheet(people.take([]))


# ---------------------------------------------------------------------- panels


def test_a_crop_keeps_its_shape_in_a_panel():
    frame = Frame((40, 100), (20, 20))
    assert (frame.filled, frame.corner, frame.scale) == ((40, 40), (0, 30), 2)
    assert Frame((40, 100), (1, 1000)).filled == (1, 100)


def test_the_mask_is_bright_and_the_rest_dim():
    mask = np.zeros((50, 20), np.uint8)
    mask[10:40, 5:15] = 1
    panel = draw_mask(Image.new("RGB", (20, 50), (200, 200, 200)), mask, Frame((80, 200), (20, 50)))
    assert panel.getpixel((40, 100)) == (200, 200, 200)
    assert panel.getpixel((2, 2)) == (60, 60, 60)
    assert panel.getpixel((40, 38)) == (0xF0, 0xE4, 0x42)


def test_keypoints_lie_where_the_image_has_them():
    black = Image.new("RGB", (20, 50))
    points = np.full((17, 3), -999, np.float32)
    points[:, 2] = 1
    points[[5, 7]] = [(4.5, 9.5, 1), (14.5, 9.5, 1)]
    frame = Frame((80, 200), (20, 50))
    confident = np.asarray(draw_keypoints(black, points, frame, min_score=0.3)).astype(int)
    assert np.abs(confident[40, 40] - (0x56, 0xB4, 0xE9)).max() < 8
    assert np.abs(confident[80, 40] - confident[150, 70]).max() == 0
    points[:, 2] = 0.1
    faint = np.asarray(draw_keypoints(black, points, frame, min_score=0.3)).astype(int)
    assert faint[40].sum() < confident[40].sum()


def test_parsing_panels_have_the_colours_of_the_legend():
    panel = draw_parsing(np.array([[0, 1], [255, 2]], np.uint8), Frame((20, 20), (2, 2)))
    corners = [panel.getpixel(at) for at in ((2, 2), (17, 2), (2, 17), (17, 17))]
    assert ["#{:02x}{:02x}{:02x}".format(*c) for c in corners] == [
        get_class_colour(n) for n in (0, 1, 255, 2)
    ]


_SEEN_WITHOUT = {  # Machado, Oliveira and Fernandes (2009), severity 1
    "nothing": np.eye(3),
    "red cones": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "green cones": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}


@pytest.mark.parametrize("without", list(_SEEN_WITHOUT))
def test_twenty_classes_are_distinguishable(without):
    hexes = [get_class_colour(n) for n in range(20)]
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in hexes])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.transpose(_SEEN_WITHOUT[without])).clip(0, 1)
    to_xyz = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
    ratio = seen @ to_xyz.T / to_xyz.sum(1)
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1e9 * np.eye(20)
    assert distances.min() > 15
    assert len({get_class_colour(n) for n in range(39)}) == 39
