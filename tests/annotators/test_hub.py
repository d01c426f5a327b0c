from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from passerby.annotators.base import Sample
from passerby.annotators.hub import SegFormer, ViTPose
from passerby.errors import ModelError
from passerby.parsing import COARSE_CLASSES, LIP_CLASSES

transformers = pytest.importorskip("transformers")

ATR = (
    *("Background", "Hat", "Hair", "Sunglasses", "Upper-clothes", "Skirt", "Pants", "Dress", "Belt"),
    *("Left-shoe", "Right-shoe", "Face", "Left-leg", "Right-leg", "Left-arm", "Right-arm", "Bag", "Scarf"),
)
LIP = (
    *("Background", "Hat", "Hair", "Glove", "Sunglasses", "Upper-clothes", "Dress", "Coat", "Socks", "Pants"),
    *("Jumpsuits", "Scarf", "Skirt", "Face", "Left-arm", "Right-arm", "Left-leg", "Right-leg", "Left-shoe"),
    "Right-shoe",
)


def save_segformer(folder: Path, labels: tuple[str, ...]) -> Path:
    config = transformers.SegformerConfig(
        depths=[1] * 4,
        hidden_sizes=[8] * 4,
        num_attention_heads=[1] * 4,
        decoder_hidden_size=8,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    transformers.SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def save_vitpose(folder: Path, *, keypoints: int = 17, experts: int = 1) -> Path:
    backbone = transformers.VitPoseBackboneConfig(
        image_size=(256, 192),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_experts=experts,
        part_features=4,
        out_indices=[1],
    )
    config = transformers.VitPoseConfig(backbone_config=backbone, num_labels=keypoints)
    transformers.VitPoseForPoseEstimation(config).save_pretrained(folder)
    transformers.VitPoseImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny random networks, saved as those on the Hub are."""
    root = tmp_path_factory.mktemp("networks")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {
            "atr": save_segformer(root / "atr", ATR),
            "lip": save_segformer(root / "lip", LIP),
            "pose": save_vitpose(root / "pose"),
        }


@pytest.fixture
def change(tmp_path: Path) -> Callable[..., str]:
    """Copies a folder and changes entries of one of its JSON files."""

    def copy(folder: Path, file: str = "config.json", **entries: Any) -> str:
        target = tmp_path / "changed"
        shutil.copytree(folder, target)
        content = json.loads((target / file).read_text())
        (target / file).write_text(json.dumps({**content, **entries}))
        return str(target)

    return copy


def noise(width: int, height: int, seed: int) -> Sample:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Sample(Image.fromarray(pixels))


def seeing(annotator: SegFormer, numbers: np.ndarray[Any, Any]) -> SegFormer:
    """The annotator, with a network that sees these labels, on its own small grid, in every image."""
    count = len(annotator._network.config.id2label)
    scores = torch.nn.functional.one_hot(torch.from_numpy(numbers).long(), count).permute(2, 0, 1).float()
    annotator._network.forward = lambda pixel_values: SimpleNamespace(
        logits=scores.expand(len(pixel_values), -1, -1, -1)
    )
    return annotator


@pytest.mark.parametrize(
    ("network", "classes", "expected"),
    [
        ("atr", "lip", (0, 1, 2, 4, 5, 12, 9, 6, 9, 18, 19, 13, 16, 17, 14, 15, 0, 11)),
        ("atr", "coarse", (0, 1, 1, 1, 2, 3, 3, 2, 3, 4, 4, 1, 3, 3, 2, 2, 5, 2)),
        ("lip", "lip", tuple(range(20))),
        ("lip", "coarse", (0, 1, 1, 2, 1, 2, 2, 2, 3, 3, 2, 2, 3, 1, 2, 2, 3, 3, 4, 4)),
    ],
)
def test_labels_are_translated_by_name(
    folders: dict[str, Path], network: str, classes: Any, expected: tuple[int, ...]
) -> None:
    annotator = SegFormer(str(folders[network]), classes=classes)
    assert annotator.classes == (LIP_CLASSES if classes == "lip" else COARSE_CLASSES)
    for label, number in enumerate(expected):
        grid = np.full((4, 4), label)
        grid[0, 0] = ATR.index("Hat") if network == "atr" else LIP.index("Hat")  # some of a person
        answer = seeing(annotator, grid).annotate([noise(4, 4, 0)])[0]
        assert answer is not None
        assert answer[3, 3] == number, annotator._network.config.id2label[label]


def test_spelling_and_order_of_labels_do_not_matter(
    folders: dict[str, Path], change: Callable[..., str]
) -> None:
    labels = ["upper_clothes", "BACKGROUND", "left shoe", "Right_Shoe", "UpperClothes", *ATR[5:]]
    folder = change(folders["atr"], id2label={str(i): label for i, label in enumerate(labels)})
    assert SegFormer(folder)._table[:5].tolist() == [5, 0, 18, 19, 5]


def test_scores_are_scaled_to_the_crop_before_the_choice(folders: dict[str, Path]) -> None:
    """The left half hair, the right pants, on a grid of 4 × 4: the border is in the middle of any crop."""
    hair, pants = LIP_CLASSES.index("Hair"), LIP_CLASSES.index("Pants")
    grid = np.full((4, 4), ATR.index("Hair"))
    grid[:, 2:] = ATR.index("Pants")
    annotator = seeing(SegFormer(str(folders["atr"])), grid)
    answers = annotator.annotate([noise(20, 40, 0), noise(30, 22, 1)])
    for answer, (height, width) in zip(answers, [(40, 20), (22, 30)], strict=True):
        assert answer is not None
        assert answer.dtype == np.uint8
        expected = np.full((height, width), hair)
        expected[:, width // 2 :] = pants
        np.testing.assert_array_equal(answer, expected)
    grid[:] = ATR.index("Hair")
    grid[1, 1] = ATR.index("Pants")
    answer = seeing(annotator, grid).annotate([noise(40, 40, 0)])[0]
    assert answer is not None
    assert answer[14, 14] == pants
    assert answer[11, 11] == hair  # a corner of the cell, where its neighbours outweigh it


@pytest.mark.parametrize("classes", ["lip", "coarse"])
@pytest.mark.parametrize("label", ["Background", "Bag"])
def test_no_map_without_a_person(folders: dict[str, Path], classes: Any, label: str) -> None:
    annotator = seeing(SegFormer(str(folders["atr"]), classes=classes), np.full((4, 4), ATR.index(label)))
    assert annotator.annotate([noise(8, 8, 0), noise(9, 8, 0)]) == [None, None]


def test_parsing_of_a_batch_is_that_of_one_by_one(folders: dict[str, Path]) -> None:
    annotator = SegFormer(str(folders["lip"]))
    samples = [noise(30, 70, 1), noise(40, 60, 2), Sample(noise(33, 51, 3).image.convert("L"))]
    together = annotator.annotate(samples)
    for sample, answer in zip(samples, together, strict=True):
        alone = annotator.annotate([sample])[0]
        assert alone is not None
        assert answer is not None
        assert answer.shape == (sample.image.height, sample.image.width)
        assert (answer == alone).mean() > 0.999
    assert annotator.annotate([]) == []


def looking_for_light(annotator: ViTPose) -> ViTPose:
    """The annotator, with a network whose every heat map is the brightness of the prepared image.

    Heat maps are aligned with images as ViTPose is trained: first cell on first pixel, last on last.
    """

    def forward(pixel_values: torch.Tensor) -> Any:
        light = pixel_values.mean(1, keepdim=True)
        light = (light - light.amin()) / (light.amax() - light.amin())
        maps = torch.nn.functional.interpolate(light, size=(64, 48), mode="bilinear", align_corners=True)
        return SimpleNamespace(heatmaps=maps.expand(-1, 17, -1, -1))

    annotator._network.forward = forward
    return annotator


@pytest.mark.parametrize(("width", "height"), [(60, 160), (150, 100), (192, 256)])
def test_keypoints_count_from_the_middle_of_the_first_pixel(
    folders: dict[str, Path], width: int, height: int
) -> None:
    """A light that shines on one pixel's middle is found there, wherever and in whatever crop it is."""
    annotator = looking_for_light(ViTPose(str(folders["pose"])))
    rows, columns = np.mgrid[:height, :width]
    for x, y in ((width // 4, height // 3), (width // 2, height // 2), (2 * width // 3, 4 * height // 5)):
        distance = ((columns - x) ** 2 + (rows - y) ** 2) / (0.05 * max(width, height)) ** 2
        light = Image.fromarray((255 * np.exp(-distance / 2)).astype(np.uint8))
        points = annotator.annotate([Sample(light)])[0]
        assert points is not None
        assert points.shape == (17, 3)
        assert points.dtype == np.float32
        np.testing.assert_allclose(points[:, 0], x, atol=0.15)
        np.testing.assert_allclose(points[:, 1], y, atol=0.15)
        assert (points[:, 2] > 0.8).all()


def test_scores_are_cut_and_lost_keypoints_are_at_the_origin(folders: dict[str, Path]) -> None:
    annotator = ViTPose(str(folders["pose"]))
    maps = torch.full((2, 17, 64, 48), -0.5)
    maps[0, 0, 32, 24], maps[0, 1, 32, 24] = 1.7, 0.25
    annotator._network.forward = lambda pixel_values: SimpleNamespace(heatmaps=maps)
    points, nothing = annotator.annotate([noise(48, 64, 0), noise(48, 64, 1)])
    assert points is not None
    np.testing.assert_allclose(points[:2, 2], [1, 0.25])
    np.testing.assert_array_equal(points[2:], 0)
    assert (points[:2, :2] > 20).all()
    assert nothing is None


@pytest.mark.parametrize("experts", [1, 3])
def test_keypoints_of_a_batch_are_those_of_one_by_one(tmp_path: Path, experts: int) -> None:
    """With a real (random) network, a mixture of experts too."""
    annotator = ViTPose(str(save_vitpose(tmp_path, experts=experts)))
    samples = [noise(30, 70, 1), noise(40, 60, 2), Sample(noise(33, 51, 3).image.convert("L"))]
    for sample, answer in zip(samples, annotator.annotate(samples), strict=True):
        alone = annotator.annotate([sample])[0]
        assert alone is not None
        assert answer is not None
        np.testing.assert_allclose(answer[:, 2], alone[:, 2], atol=1e-4)
        assert answer.shape == (17, 3)
    assert annotator.annotate([]) == []


def test_description_contains_all_that_results_depend_on(
    folders: dict[str, Path], change: Callable[..., str]
) -> None:
    folder = folders["pose"]
    description = ViTPose(str(folder)).describe()
    content = (folder / "model.safetensors").read_bytes()
    settings = (folder / "config.json").read_bytes() + (folder / "preprocessor_config.json").read_bytes()
    assert description == {
        "method": "vitpose",
        "architecture": "VitPoseForPoseEstimation",
        "weights": "pose",
        "sha256": hashlib.sha256(content).hexdigest()[:16],
        "settings_sha256": hashlib.sha256(settings).hexdigest()[:16],
    }
    coarse = SegFormer(str(folders["atr"]), classes="coarse").describe()
    assert coarse != SegFormer(str(folders["atr"])).describe()
    assert json.loads(json.dumps(coarse)) == coarse
    changed = ViTPose(change(folder, "preprocessor_config.json", image_mean=[0.5, 0.5, 0.5]))
    assert changed.describe()["settings_sha256"] != description["settings_sha256"]


def test_half_precision_is_computed_in_full(folders: dict[str, Path], change: Callable[..., str]) -> None:
    folder = change(folders["atr"], dtype="float16")
    state = load_file(Path(folder) / "model.safetensors")
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_file(half, Path(folder) / "model.safetensors", metadata={"format": "pt"})
    assert SegFormer(folder).annotate([noise(30, 60, 0)])[0] is not None


def test_older_settings_of_images_are_understood(
    folders: dict[str, Path], change: Callable[..., str]
) -> None:
    """As in the default network's own file, written in 2023."""
    folder = change(folders["atr"])
    old = {
        "do_normalize": True,
        "do_reduce_labels": False,
        "do_rescale": True,
        "do_resize": True,
        "feature_extractor_type": "SegformerFeatureExtractor",
        "image_processor_type": "SegformerFeatureExtractor",
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": 64, "width": 64},
    }
    (Path(folder) / "preprocessor_config.json").write_text(json.dumps(old))
    sample = noise(30, 60, 0)
    new = SegFormer(str(folders["atr"])).annotate([sample])[0]
    np.testing.assert_array_equal(SegFormer(folder).annotate([sample])[0], new)


def test_unknown_labels_are_refused(folders: dict[str, Path], change: Callable[..., str]) -> None:
    labels = {str(i): label for i, label in enumerate([*ATR[:16], "Wings", "Tail"])}
    folder = change(folders["atr"], id2label=labels)
    with pytest.raises(
        ModelError, match=r"unknown labels: Wings, Tail; expected some of Background, Hat, .*Belt"
    ):
        SegFormer(folder)


def test_other_networks_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a segformer, .*pose is a vitpose; choose another"):
        SegFormer(str(folders["pose"]))
    with pytest.raises(ModelError, match=r"expected a vitpose, .*atr is a segformer; choose another"):
        ViTPose(str(folders["atr"]))
    with pytest.raises(ModelError, match=r"COCO's 17 keypoints, .* predicts 14; choose another"):
        ViTPose(str(save_vitpose(tmp_path, keypoints=14)))


def test_weights_that_leave_tensors_at_random_are_refused(
    folders: dict[str, Path], change: Callable[..., str]
) -> None:
    folder = change(folders["pose"])
    state = load_file(Path(folder) / "model.safetensors")
    del state["head.conv.weight"]
    save_file(state, Path(folder) / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"lack 1 tensors of a VitPoseForPoseEstimation, first head\.conv\.we"
    ):
        ViTPose(folder)
    state["head.conv.weight"] = torch.zeros(2, 2)
    save_file(state, Path(folder) / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"could not be loaded .*give a local folder"):
        ViTPose(folder)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_an_incomplete_folder_is_refused(
    folders: dict[str, Path], change: Callable[..., str], missing: str
) -> None:
    folder = Path(change(folders["pose"]))
    (folder / missing).unlink()
    if missing == "model.safetensors":  # this format could run code when read
        torch.save({}, folder / "pytorch_model.bin")
    expected = r"could not be loaded .*give a local folder with config\.json, model\.safetensors and prep"
    with pytest.raises(ModelError, match=expected):
        ViTPose(str(folder))


def test_images_must_become_equal_in_size(folders: dict[str, Path], change: Callable[..., str]) -> None:
    folder = change(folders["atr"], "preprocessor_config.json", do_resize=False)
    with pytest.raises(ModelError, match=r'to resize images .*correct "size" and "do_resize"'):
        SegFormer(folder)


@pytest.mark.parametrize("create", [SegFormer, ViTPose])
def test_unreachable_names_and_folders_raise_an_error(
    create: Callable[..., Any], folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for arguments in ((), ("passerby-test/no-such-network",)):
        with pytest.raises(
            ModelError, match=r"could not be loaded .*check the connection, or give a local folder"
        ):
            create(*arguments)
    for wrong in (str(tmp_path / "missing"), "./missing", str(folders["pose"] / "config.json"), "~/a/b/c"):
        with pytest.raises(ModelError, match=r"no folder .*; expected one, or a name on the Hub"):
            create(wrong)


@pytest.mark.parametrize("create", [SegFormer, ViTPose])
def test_transformers_must_be_there(create: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"needs transformers; install passerby\[annotate\]"):
        create("anything")


def test_wrong_options_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match='expected classes "lip" or "coarse", got \'fine\''):
        SegFormer(str(folders["atr"]), classes="fine")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="device 'toaster' cannot be used"):
        ViTPose(str(folders["pose"]), device="toaster")
