"""Test-time augmentation: mean probabilities of mirror images and of five crops."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from passerby.bundle import Bundle
from passerby.data.normalise import normalise
from passerby.errors import ConfigError, DataError, ModelError
from passerby.inference.predictor import Predictor
from passerby.models import create_model
from passerby.models.base import AttributeModel
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Guidance, Output, Preprocess

SCHEMA = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "carries a bag")))
SLICES = [  # of 40 rows and 24 columns, 35 and 21 at each corner and in the middle
    (slice(0, 35), slice(0, 21)),
    (slice(0, 35), slice(3, 24)),
    (slice(5, 40), slice(0, 21)),
    (slice(5, 40), slice(3, 24)),
    (slice(2, 37), slice(1, 22)),
]


class MeansOfInputs(AttributeModel):
    """Its logits are means of the mask and the keypoints; records the size of its inputs."""

    guidance = ("masks", "keypoints")
    without_guidance = "it guesses"
    parsing_classes = ("background", "person")

    def __init__(self) -> None:
        super().__init__(SCHEMA)
        self.name, self.arguments = "means", {}
        self.factor = torch.nn.Parameter(torch.ones(()))
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        self.sizes.append(tuple(images.shape[2:]))
        if guidance is None or guidance.masks is None or guidance.keypoints is None:
            return Output(images.mean((2, 3))[:, :2] * self.factor)
        scores = guidance.keypoints[..., 2:]
        points = (guidance.keypoints[..., :2] * scores).mean((1, 2)) / 10
        return Output(torch.stack([10 * guidance.masks.mean((1, 2, 3)), points], 1) * self.factor)

    def parse(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        maps = torch.stack([-images[:, 0], images[:, 0]], 1)
        return replace(self(images, guidance), parsing={"only": maps})


def pixels(count: int = 3) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, 40, 24), np.uint8))


def create_bundle() -> Bundle:
    torch.manual_seed(4)
    model = create_model("baseline", schema=SCHEMA, backbone="test_resnet")
    with torch.no_grad():
        model.classifier.weight.mul_(20)  # type: ignore[operator, union-attr]  # so that crops differ clearly
    return Bundle(model, Preprocess(40, 24), (0.3, 0.6), {"seed": 3})


def five_crops(bundle: Bundle) -> Predictor:
    return Predictor(bundle, tta=["five-crops"])


def test_probabilities_are_the_mean_over_five_slices() -> None:
    bundle, images = create_bundle(), pixels()
    given = five_crops(bundle).predict_batch(images)
    inputs = normalise(images, bundle.preprocess)
    with torch.inference_mode():
        logits = [bundle.model(inputs[:, :, rows, columns]).logits for rows, columns in SLICES]
    torch.testing.assert_close(given, sum(each.sigmoid() for each in logits) / 5)
    mean_logits = (sum(logits) / 5).sigmoid()  # type: ignore[attr-defined]
    assert (given - mean_logits).abs().max() > 1e-3  # probabilities are averaged, not logits
    assert (given - bundle.predict_batch(images)).abs().max() > 1e-3
    assert given.shape == (3, 2)
    assert given.dtype == torch.float32


def test_masks_and_keypoints_are_cropped_with_the_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    masks = (torch.rand(3, 1, 40, 24, generator=generator) * torch.linspace(0, 2, 40)[:, None] > 0.5).float()
    points = torch.rand(3, 17, 3, generator=generator) * torch.tensor([24.0, 40.0, 1.0]) - 0.5
    points[..., 2] = 1
    model = MeansOfInputs()
    predictor = five_crops(Bundle(model, Preprocess(40, 24)))
    guidance = Guidance(masks, keypoints=points.clone())
    probs = predictor.predict_batch(pixels(), guidance)
    assert model.sizes == [(35, 21)] * 5
    assert guidance.keypoints is not None
    assert torch.equal(guidance.keypoints, points)
    for i in range(3):
        by_mask, by_points = [], []
        for rows, columns in SLICES:
            by_mask.append((10 * masks[i, 0, rows, columns].mean()).sigmoid())
            total = 0.0
            for x, y, _ in points[i].tolist():
                if rows.start - 0.5 <= y < rows.stop - 0.5 and columns.start - 0.5 <= x < columns.stop - 0.5:
                    total += x - columns.start + y - rows.start
            by_points.append(1 / (1 + np.exp(-total / 34 / 10)))
        assert float(probs[i, 0]) == pytest.approx(float(sum(by_mask)) / 5, abs=1e-5)
        assert float(probs[i, 1]) == pytest.approx(sum(by_points) / 5, abs=1e-5)


def test_parsing_maps_are_those_of_the_uncropped_picture() -> None:
    model = MeansOfInputs()
    bundle = Bundle(model, Preprocess(40, 24))
    crops = five_crops(bundle)
    _, expected = bundle.parse_batch(pixels(), warn=False)
    probs, maps = crops.parse_batch(pixels(), warn=False)
    assert list(maps) == ["only"]
    assert torch.equal(maps["only"], expected["only"])
    assert maps["only"].shape == (3, 40, 24)
    torch.testing.assert_close(probs, crops.predict_batch(pixels(), warn=False))


def test_missing_guidance_is_warned_of_once() -> None:
    predictor = five_crops(Bundle(MeansOfInputs(), Preprocess(40, 24)))
    for method in (predictor.predict_batch, predictor.parse_batch):
        with pytest.warns(UserWarning, match="got none: it guesses") as caught:
            method(pixels())
        assert len(caught) == 2  # masks and keypoints
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictor.predict_batch(pixels(), warn=False)


def test_batches_of_another_shape_are_refused() -> None:
    crops = five_crops(create_bundle())
    for images in (pixels().float(), pixels()[:, :, :35, :21], pixels()[0]):
        with pytest.raises(ModelError, match=r"expected uint8 images \(N, 3, 40, 24\)"):
            crops.predict_batch(images)
    assert crops.predict_batch(pixels()[:0]).shape == (0, 2)


@pytest.mark.parametrize(
    ("options", "side", "message"),
    [
        ({"backbone": "vit_tiny_patch16_224"}, 224, r"takes \w+ of \(224, 224\) pixels .* got \(196, 196\)"),
        (
            {"backbone": "test_vit"},
            160,
            r"accepts no images of 140×140 pixels, the size of a crop \(.*divisible",
        ),
    ],
)
def test_a_backbone_that_does_not_accept_crops_is_refused(
    options: dict[str, str], side: int, message: str
) -> None:
    model = create_model("baseline", schema=SCHEMA, backbone_arguments={"depth": 1}, **options)
    bundle = Bundle(model, Preprocess(side, side))
    images = torch.zeros(1, 3, side, side, dtype=torch.uint8)
    bundle.predict_batch(images)
    with pytest.raises(ModelError, match=message):
        five_crops(bundle).predict_batch(images)


@pytest.mark.parametrize("flip", [False, True])
def test_a_predictor_averages_five_crops(flip: bool) -> None:
    bundle = create_bundle()
    pictures = [Image.fromarray(each.permute(1, 2, 0).numpy()) for each in pixels()]
    tta = ["five-crops", "flip"] if flip else ["five-crops"]
    given = torch.tensor([p.probabilities for p in Predictor(bundle, tta=tta)(pictures)])
    expected = five_crops(bundle).predict_batch(pixels())
    if flip:
        expected = (expected + five_crops(bundle).predict_batch(pixels().flip(-1))) / 2
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=0)


def test_a_predictor_parses_the_uncropped_picture() -> None:
    bundle = Bundle(MeansOfInputs(), Preprocess(40, 24))
    picture = Image.fromarray(pixels(1)[0].permute(1, 2, 0).numpy())
    one, five = (
        next(iter(Predictor(bundle, parse=True, tta=tta)([picture]))) for tta in (None, ["five-crops"])
    )
    assert one.parsing is not None
    assert five.parsing is not None
    np.testing.assert_array_equal(one.parsing, five.parsing)
    assert one.probabilities != five.probabilities


def test_flip_averages_with_the_mirror_image() -> None:
    bundle, images = create_bundle(), pixels()
    expected = (bundle.predict_batch(images) + bundle.predict_batch(images.flip(-1))) / 2
    assert torch.equal(Predictor(bundle, tta=["flip"]).predict_batch(images), expected)
    assert torch.equal(Predictor(bundle).predict_batch(images), bundle.predict_batch(images))


def test_flip_does_not_take_auxiliary_inputs() -> None:
    predictor = Predictor(Bundle(MeansOfInputs(), Preprocess(40, 24)), tta=["flip"])
    with pytest.raises(DataError, match="flip does not mirror masks"):
        predictor.predict_batch(pixels(), Guidance(masks=torch.ones(3, 1, 40, 24)))


@pytest.mark.parametrize("tta", ["flip", ["flop"], ["flip", "flip"]])
def test_unknown_and_repeated_names_are_refused(tta: str | list[str]) -> None:
    with pytest.raises(ConfigError, match="different names among flip, five-crops, got"):
        Predictor(create_bundle(), tta=tta)
