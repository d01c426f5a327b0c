from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import passerby.explain.localization as localize_module
from passerby.annotators.from_files import FromFiles
from passerby.bundle import Bundle
from passerby.errors import ConfigError, DataError, ImageError, ModelError, SchemaError
from passerby.explain.box_table import write_boxes
from passerby.explain.boxes import Binarization
from passerby.explain.heat import METHODS
from passerby.explain.localization import Localization, Region, localize, localize_many
from passerby.images.placement import compute_placement, restore_heat
from passerby.inference.auxiliary import AuxiliaryInputs
from passerby.inference.batches import Skipped
from passerby.models import AttributeModel, create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Box, Guidance, Output, Preprocess
from toy_explanations import create_localization

COLOURS = ("Red", "Green", "Blue")
SCHEMA = AttributeSchema("toy", tuple(Attribute(name, f"is in {name}") for name in COLOURS))
PLAIN: dict[str, Any] = {"mean": (0, 0, 0), "std": (1, 1, 1)}


class Colours(AttributeModel):
    """Its features are the image, and each logit grows with the mean of one of its channels.

    So the heat map of an attribute by Grad-CAM-P is that channel, times a constant.
    """

    name, arguments = "colours", {}

    def __init__(self) -> None:
        super().__init__(SCHEMA)
        self.weight = nn.Parameter(torch.tensor(40.0))
        self.norm = nn.BatchNorm2d(3, affine=False)

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        if self.training:
            raise RuntimeError("expected evaluation mode")
        features = self.capture(images)
        return Output(self.weight * features.mean((2, 3)) - 1, features=features)


def create_bundle(height: int = 128, width: int = 96, **options: Any) -> Bundle:
    return Bundle(Colours(), Preprocess(height, width, **PLAIN, **options), (0.5, 0.5, 0.3))


def paint(size: tuple[int, int], **spots: Sequence[tuple[int, int, int, int]]) -> Image.Image:
    """A black image, width × height, with spots of full colour: left, top, right, bottom."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for channel, name in enumerate(COLOURS):
        for x0, y0, x1, y1 in spots.get(name, ()):
            pixels[y0:y1, x0:x1, channel] = 255
    return Image.fromarray(pixels)


def sides(region: Region) -> NDArray[np.float64]:
    return np.array(region.box.as_xyxy())


# ---------------------------------------------------------------------- boxes


def test_the_repr_is_short() -> None:
    photo = paint((200, 180), Red=[(40, 60, 60, 90)])
    found = localize(create_bundle(), photo, attributes=["Red", "Blue"], crop=(20, 40, 120, 140))
    assert re.fullmatch(
        r"Localization\(<image> \[20 40 120 140\]: Red 0\.\d\d, 1 box; Blue 0\.\d\d, 0 boxes; "
        r"100 × 100 pixels, grad-cam-p\)",
        repr(found),
    )


def test_a_single_name_is_one_attribute() -> None:
    photo = paint((200, 180), Red=[(40, 60, 60, 90)])
    assert localize(create_bundle(), photo, attributes="Red").names == ("Red",)
    (found,) = localize_many(create_bundle(), [photo], attributes="Blue")
    assert isinstance(found, Localization)
    assert found.names == ("Blue",)


@pytest.mark.parametrize("resize", ["stretch", "pad"])
@pytest.mark.parametrize("size", [(200, 100), (60, 240), (48, 64), (96, 128), (640, 900)])
def test_boxes_are_in_pixels_of_the_picture(resize: str, size: tuple[int, int]) -> None:
    width, height = size
    spot = (width // 8, height // 4, width // 2, height // 2)
    bundle = create_bundle(resize=resize)
    found = localize(bundle, paint(size, Red=[spot]), attributes=["Red"])
    assert found.heat.shape == (1, height, width)
    assert found.heat.dtype == np.float32
    assert found.picture.shape == (height, width, 3)
    (region,) = found["Red"]
    x0, y0, x1, y1 = compute_placement(size, bundle.preprocess).target
    one_cell = np.array([width / (x1 - x0), height / (y1 - y0)] * 2)
    assert (np.abs(sides(region) - spot) <= one_cell.clip(1)).all()
    assert 0.9 < region.share <= 1
    inside = found.heat[0, spot[1] : spot[3], spot[0] : spot[2]]
    assert inside.sum() / found.heat.sum() == pytest.approx(region.share, abs=0.08)


def test_one_box_or_one_per_component() -> None:
    picture = paint((120, 160), Red=[(10, 120, 40, 150), (70, 120, 110, 156)])
    bundle = create_bundle()
    (outer,) = localize(bundle, picture, attributes=["Red"])["Red"]
    one, two = localize(bundle, picture, attributes=["Red"], boxes="components")["Red"]
    assert np.abs(sides(outer) - (10, 120, 110, 156)).max() <= 2
    assert np.abs(sides(one) - (70, 120, 110, 156)).max() <= 2  # the larger one has more heat
    assert np.abs(sides(two) - (10, 120, 40, 150)).max() <= 2
    assert one.share > two.share > 0.3
    assert one.share + two.share == pytest.approx(outer.share, abs=0.05)


def test_boxes_of_persons_are_in_pixels_of_the_whole_image() -> None:
    spots = [(30, 40, 50, 60), (110, 20, 130, 50)]
    photo = paint((160, 120), Red=spots)
    bundle = create_bundle(height=96, width=64)
    crops = [(20, 20, 84, 116), (99.5, 10, 163, 106), None]
    found = list(localize_many(bundle, [photo] * 3, attributes=["Red"], crops=crops))
    for item, crop, spot in zip(found, [(20, 20, 84, 116), (99, 10, 160, 106)], spots, strict=False):
        assert isinstance(item, Localization)
        assert item.crop == crop
        assert item.heat.shape == (1, crop[3] - crop[1], crop[2] - crop[0])
        assert (item.picture == np.asarray(photo.crop(crop))).all()
        (region,) = item["Red"]
        assert np.abs(sides(region) - spot).max() <= 1
        assert region.share > 0.9
        assert (item.to_dict()["width"], item.to_dict()["height"]) == (160, 120)
    assert [item.box for item in found] == [  # type: ignore[union-attr]
        Box(20, 20, 84, 116),
        Box(99.5, 10, 163, 106),
        None,
    ]
    assert found[0].to_dict()["box"] == [20, 20, 84, 116]  # type: ignore[union-attr]
    assert "box" not in found[2].to_dict()  # type: ignore[union-attr]
    assert found[2].crop == (0, 0, 160, 120)  # type: ignore[union-attr]
    alone = localize(bundle, photo, attributes=["Red"], crop=(20, 20, 84, 116))
    assert alone["Red"][0].box == found[0]["Red"][0].box  # type: ignore[index]
    (prediction,) = bundle(photo, boxes=[(20, 20, 84, 116)])
    assert alone.probabilities == pytest.approx([prediction["Red"]], abs=1e-6)


def test_impossible_crops() -> None:
    bundle, photo = create_bundle(), paint((40, 30))
    outside = (50, 50, 60, 60)
    skipped, found = localize_many(bundle, [photo, photo], crops=[outside, (1, 2, 30, 20)])
    assert isinstance(skipped, Skipped)
    assert "box outside the image" in skipped.reason
    assert isinstance(found, Localization)
    with pytest.raises(DataError, match="box outside the image"):
        localize(bundle, photo, crop=outside)
    with pytest.raises(DataError, match="more images than boxes"):
        list(localize_many(bundle, [photo, photo], crops=[None]))
    with pytest.raises(
        DataError, match="a picture of 5 × 3 pixels, what the box 0 0 5 3 covers, got 48 × 96"
    ):
        create_localization(box=Box(0, 0, 5, 3))


def test_binarization_and_method_reach_the_boxes() -> None:
    picture = paint((96, 128), Red=[(0, 0, 96, 128)])
    faint = Image.blend(picture, paint((96, 128)), 0.7)
    faint.paste((255, 0, 0), (20, 20, 40, 50))
    bundle = create_bundle()
    (box,) = localize(bundle, faint, attributes=["Red"])["Red"]
    assert box.box.as_xyxy() == (20, 20, 40, 50)
    low = localize(bundle, faint, attributes=["Red"], binarization=Binarization("max", 0.2))
    assert low["Red"][0] == Region(Box(0, 0, 96, 128), pytest.approx(1))
    assert str(low.binarization) == "max:0.2"
    for method in METHODS:
        if method != "native":
            found = localize(bundle, faint, attributes=["Red"], method=method)  # type: ignore[arg-type]
            assert found.method == method
            assert found.heat[0, 20:50, 20:40].mean() > found.heat.mean()
    with pytest.raises(ModelError, match="no native map"):
        localize(bundle, faint, method="native")
    with pytest.raises(ConfigError, match="no method"):
        localize(bundle, faint, method="gradcam")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no box mode"):
        localize(bundle, faint, boxes="inner")  # type: ignore[arg-type]


def test_the_default_method_is_that_of_the_model() -> None:
    own = create_model("passerby", schema=SCHEMA, backbone="test_resnet", evidence_channels=8)
    picture = paint((96, 128), Red=[(0, 0, 50, 50)])
    for model, method in ((Colours(), "grad-cam-p"), (own, "native")):
        bundle = Bundle(model, Preprocess(64, 48, **PLAIN))
        default = localize(bundle, picture, attributes=["Red"])
        assert default.method == default.to_dict()["method"] == method
        explicit = localize(bundle, picture, attributes=["Red"], method=method)  # type: ignore[arg-type]
        assert np.array_equal(default.heat, explicit.heat)


def test_padding_is_cut_off() -> None:
    values = np.zeros((2, 8, 8), np.float32)
    values[0, :, :2], values[1, :, 3] = 9, 1  # an image of 1:2 fills the columns from 2 to 5
    restored = restore_heat(values, (4, 8), Preprocess(8, 8, resize="pad"))
    assert (restored[0] == 0).all()
    assert (restored[1] == np.float32([0, 1, 0, 0])).all()
    assert restore_heat(values[:0], (4, 8), Preprocess(8, 8)).shape == (0, 8, 4)


# ---------------------------------------------------------------------- attributes and images


def test_present_attributes_by_default() -> None:
    bundle = create_bundle()
    half = (0, 0, 96, 64)
    red, black = paint((96, 128), Red=[half], Blue=[(0, 0, 10, 10)]), paint((96, 128))
    found, nothing = localize_many(bundle, [red, black])
    assert isinstance(found, Localization)
    assert isinstance(nothing, Localization)
    assert found.names == found.present == bundle(red).present == ("Red", "Blue")  # 0.32 is above 0.3
    assert nothing.names == nothing.present == nothing.regions == ()
    assert nothing.heat.shape == (0, 128, 96)
    assert np.abs(sides(found["Red"][0]) - half).max() <= 1
    assert np.abs(sides(found["Blue"][0]) - (0, 0, 10, 10)).max() <= 1
    named = localize(bundle, red, attributes=["Blue", "Green", "Red", "Blue"])
    assert named.names == ("Blue", "Green", "Red")
    assert named.present == ("Blue", "Red")
    assert named.thresholds == (0.3, 0.5, 0.5)
    assert named.probabilities == pytest.approx([bundle(red)[name] for name in named.names], abs=1e-6)
    assert named["Green"] == ()
    assert (named.heat[1] == 0).all()
    np.testing.assert_allclose(named.heat[2], found.heat[0])


def test_unknown_names_are_refused() -> None:
    bundle = create_bundle()
    with pytest.raises(SchemaError, match=r"'Rad'; did you mean Red"):
        localize_many(bundle, [], attributes=["Rad"])  # at once
    with pytest.raises(DataError, match="at least one attribute"):
        localize(bundle, paint((9, 9)), attributes=[])
    found = localize(bundle, paint((9, 9)), attributes=["Red"])
    with pytest.raises(SchemaError, match="'Blue' was not localised; expected one of Red"):
        found["Blue"]
    with pytest.raises(SchemaError, match="no attribute was"):
        localize(bundle, paint((9, 9)))["Red"]


def test_many_pictures_in_order_with_unreadable_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = create_bundle()
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i in (0, 2, 3, 4):
        paint((40 + 20 * i, 90), Red=[(5 * i, 10, 30, 50)]).save(paths[i])
    paths[1].write_text("no image")
    calls = []
    compute = localize_module.compute_heat_maps

    def note(model: AttributeModel, images: Tensor, *more: Any, **options: Any) -> Any:
        calls.append(len(images))
        return compute(model, images, *more, **options)

    monkeypatch.setattr(localize_module, "compute_heat_maps", note)
    items = list(localize_many(bundle, paths, batch_size=3))
    assert calls == [2, 2]  # one call a batch, whatever the attributes
    skipped = items.pop(1)
    assert isinstance(skipped, Skipped)
    assert "1.png" in skipped.reason
    for item, i in zip(items, (0, 2, 3, 4), strict=True):
        assert isinstance(item, Localization)
        alone = localize(bundle, paths[i])
        assert (item.source, item.names, item.regions) == (str(paths[i]), alone.names, alone.regions)
        assert item.picture.shape == (90, 40 + 20 * i, 3)
        np.testing.assert_allclose(item.heat, alone.heat, rtol=1e-5)
    with pytest.raises(ImageError, match=r"1\.png"):
        localize(bundle, paths[1])
    with pytest.raises(DataError, match="batch_size"):
        next(localize_many(bundle, paths, batch_size=0))


def test_model_and_caller_stay_unchanged() -> None:
    bundle = create_bundle()
    bundle.model.train()
    bundle.model.norm.eval()  # type: ignore[union-attr, operator]
    picture = paint((40, 80), Red=[(0, 0, 20, 20)])
    with torch.inference_mode():
        first = localize(bundle, picture)
    assert bundle.model.training
    assert not bundle.model.norm.training  # type: ignore[union-attr]
    assert all(parameter.grad is None for parameter in bundle.model.parameters())
    assert torch.is_grad_enabled()
    assert localize(bundle, picture).regions == first.regions
    assert picture.tobytes() == paint((40, 80), Red=[(0, 0, 20, 20)]).tobytes()


def test_guidance_and_notes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    bundle = Bundle(create_model("man", schema=SCHEMA, backbone="test_resnet"), Preprocess(96, 64))
    path = tmp_path / "one.png"
    paint((64, 96), Red=[(0, 0, 64, 96)]).save(path)
    (tmp_path / "masks").mkdir()
    mask = Image.new("L", (64, 96), 0)
    mask.paste(255, (0, 0, 32, 96))
    mask.save(tmp_path / "masks" / "one.png")
    without = localize(bundle, path, attributes=COLOURS)
    assert without.notes == bundle.explain_missing(["masks"])
    auxiliary = AuxiliaryInputs([FromFiles("masks", str(tmp_path / "masks"))])
    guided = localize(bundle, path, attributes=COLOURS, auxiliary=auxiliary)
    assert guided.notes == ()
    assert (guided.heat[..., -8:] == 0).all()
    assert (without.heat[..., -8:] > 0).any()


def test_plain_values() -> None:
    found = localize(create_bundle(), paint((96, 128), Red=[(0, 0, 96, 64)]), boxes="components")
    values = found.to_dict()
    assert values == {
        "source": "<image>",
        "width": 96,
        "height": 128,
        "method": "grad-cam-p",
        "binarization": "max:0.5",
        "mode": "components",
        "attributes": {
            "Red": {
                "probability": 1.0,
                "threshold": 0.5,
                "present": True,
                "boxes": [{"xyxy": [0, 0, 96, 64], "share": 1.0}],
            }
        },
    }
    assert replace(found, notes=("a",)).to_dict()["notes"] == ["a"]


# ---------------------------------------------------------------------- the table


def test_table() -> None:
    two = (Region(Box(0, 1, 10, 20.5), 0.6), Region(Box(30, 40, 50, 60), 0.25))
    found = create_localization(2, probabilities=(0.875, 0.25), regions=(two, ()), notes=("no mask",))
    stream = io.StringIO()
    write_boxes([found, create_localization(0, source="odd [b].jpg")], stream)
    assert [line.split() for line in stream.getvalue().splitlines()] == [
        ["image", "attribute", "probability", "box", "heat", "inside"],
        ["a.jpg", "attribute", "0", "0.88", "0", "1", "10", "20.5", "60", "%"],
        ["30", "40", "50", "60", "25", "%"],
        ["attribute", "1", "0.25", "none"],
        ["odd", "[b].jpg", "none"],
        ["1", "image:", "no", "mask"],
    ]


def test_table_of_persons() -> None:
    box = Box(20, 0, 68, 96)
    region = Region(Box(20, 0, 68, 48), 1.0)
    person = create_localization(row=4, box=box, image_size=(200, 100), regions=((region,),))
    stream = io.StringIO()
    write_boxes([person, create_localization(0, row=5)], stream)
    assert [line.split() for line in stream.getvalue().splitlines()] == [
        ["row", "person", "image", "attribute", "probability", "box", "heat", "inside"],
        ["4", "20", "0", "68", "96", "a.jpg", "attribute", "0", "0.88", "20", "0", "68", "48", "100", "%"],
        ["5", "all", "a.jpg", "none"],
    ]
