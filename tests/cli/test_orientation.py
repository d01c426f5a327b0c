"""EXIF orientation is applied once by everything that reads images: the same pixels reach the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch.nn.modules.module import register_module_forward_pre_hook
from typer.testing import CliRunner

from passerby.annotators import factory
from passerby.annotators.base import Kind, Sample
from passerby.bundle import Bundle, open_picture
from passerby.cli import app
from passerby.data.cache import PackedCache
from passerby.data.manifest import Manifest
from passerby.inference.auxiliary import AuxiliaryInputs
from passerby.inference.predictor import Predictor
from passerby.inference.sources import find_images
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Preprocess

SCHEMA = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "carries a bag")))
PREPROCESS = Preprocess(64, 48)
MODELS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "man": {},
    "sspnet": {"selection": "fixed", "locations": "keypoints"},
    "diaa": {},
    "mtms": {"parsing_classes": "coarse"},
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": (".jpg", {}),
    "png": (".png", {}),
    "webp": (".webp", {"lossless": True}),
    "mpo": (".jpg", {"format": "MPO", "save_all": True, "append_images": [Image.new("RGB", (36, 20))]}),
    "tiff": (".tif", {}),
}
UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}
"""EXIF 2.3: what makes stored pixels upright, by the tag Orientation."""
COUNT = len(KINDS) * len(UPRIGHT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of all kinds and orientations in `tagged`, the same upright and without a tag in `upright`."""
    folder = tmp_path_factory.mktemp("orientation")
    for name in ("tagged", "upright", "masks"):
        (folder / name).mkdir()
    y, x = np.mgrid[:20, :36]
    drawn = Image.fromarray(np.stack([7 * x, 12 * y, 4 * (x + y)], -1).astype(np.uint8))
    for kind, (suffix, options) in KINDS.items():
        drawn.save(folder / f"plain{suffix}", **options)
        with Image.open(folder / f"plain{suffix}") as image:
            stored = np.asarray(image)  # as decoded: JPEG is lossy
        for orientation, turn in UPRIGHT.items():
            exif, name = Image.Exif(), f"{kind}-{orientation}"
            exif[0x0112] = orientation
            drawn.save(folder / "tagged" / f"{name}{suffix}", exif=exif, **options)
            upright = np.ascontiguousarray(turn(stored))
            Image.fromarray(upright).save(folder / "upright" / f"{name}.png")
            Image.fromarray((upright[..., 0] > 100).astype(np.uint8)).save(folder / "masks" / f"{name}.png")
    for model, arguments in MODELS.items():
        torch.manual_seed(0)
        network = create_model(model, schema=SCHEMA, backbone="test_resnet", **arguments)
        Bundle(network, PREPROCESS, (0.0, 0.0)).save(folder / model)
    return folder


@contextmanager
def record_inputs() -> Iterator[list[NDArray[Any]]]:
    """The batches of images that reach any network."""
    seen: list[NDArray[Any]] = []

    def record(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs and isinstance(inputs[0], torch.Tensor) and inputs[0].shape[1:] == (3, 64, 48):
            seen.append(inputs[0].detach().numpy().copy())

    handle = register_module_forward_pre_hook(record)
    try:
        yield seen
    finally:
        handle.remove()


class Recorder:
    """An annotator whose results depend on the pixels of the images, which it keeps."""

    name = "recorder"
    classes = ("background", "person")
    needs: tuple[Kind, ...] = ()

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self.seen: list[NDArray[Any]] = []

    def describe(self) -> Mapping[str, Any]:
        return {"method": self.name}

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        return [self._find(np.asarray(sample.image)) for sample in samples]

    def _find(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        self.seen.append(pixels.copy())
        if self.kind == "keypoints":
            height, width = pixels.shape[:2]
            return np.float32([[pixels[0, 0, 0] / 256 * width, height / 2, 0.9]] * 17)
        return (pixels[..., 0] > 100).astype(np.uint8)


def invoke(command: str, folder: Path, *words: str, model: str = "baseline") -> None:
    result = CliRunner().invoke(app, [command, str(folder / model), *words, "--device", "cpu"])
    assert result.exit_code == 0, (result.output, result.exception)


def create_manifest(folder: Path, name: str, tmp_path: Path) -> Manifest:
    images = [path.relative_to(folder).as_posix() for path in find_images([folder / name])]
    labels = np.tile(np.int8([[0, 1], [1, 0]]), (COUNT // 2, 1))
    manifest = Manifest.create(
        "toy", SCHEMA, root=folder, images=images, labels=labels, partitions={"own": ["test"] * COUNT}
    )
    manifest.write(tmp_path / "toy.parquet")
    return manifest


# ---------------------------------------------------------------------- everything that reads images

Read = Callable[[Path, str, Path, pytest.MonkeyPatch], list[NDArray[Any]] | None]
"""Reads all images of `folder / name`; returns what it saw or made, besides the inputs of networks."""


def predict(folder: Path, name: str, tmp_path: Path, _: pytest.MonkeyPatch) -> None:
    invoke("predict", folder, str(folder / name), "--out", str(tmp_path / "table"))


def predict_masks(folder: Path, name: str, tmp_path: Path, _: pytest.MonkeyPatch) -> None:
    words = (str(folder / name), "--masks", str(folder / "masks"), "--out", str(tmp_path / "table"))
    invoke("predict", folder, *words, model="man")


def predict_with_network(
    kind: Kind, model: str, folder: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[NDArray[Any]]:
    found = Recorder(kind)
    monkeypatch.setattr(factory, "create_annotator", lambda *_, **__: found)
    words = (str(folder / name), f"--{kind}", "network", "--out", str(tmp_path / "table"))
    invoke("predict", folder, *words, model=model)
    return found.seen


predict_masks_of_network = partial(predict_with_network, "masks", "man")
predict_keypoints_of_network = partial(predict_with_network, "keypoints", "sspnet")


def predict_parsing(folder: Path, name: str, tmp_path: Path, _: pytest.MonkeyPatch) -> list[NDArray[Any]]:
    target = tmp_path / "maps"
    words = (str(folder / name), "--parsing", str(target), "--out", str(tmp_path / "table"))
    invoke("predict", folder, *words, model="mtms")
    return [np.asarray(Image.open(path)) for path in sorted(target.rglob("*.png"))]


def localize(folder: Path, name: str, tmp_path: Path, _: pytest.MonkeyPatch) -> None:
    invoke("localize", folder, str(folder / name), "--jsonl", str(tmp_path / "boxes.jsonl"))


def attention(folder: Path, name: str, tmp_path: Path, _: pytest.MonkeyPatch) -> list[NDArray[Any]]:
    invoke("attention", folder, str(folder / name), "--out", str(tmp_path / "maps.png"), model="diaa")
    return []


def predictor_keypoints(folder: Path, name: str, _: Path, __: pytest.MonkeyPatch) -> list[NDArray[Any]]:
    keypoints = Recorder("keypoints")
    bundle = Bundle(create_model("baseline", schema=SCHEMA, backbone="test_resnet"), PREPROCESS)
    result = Predictor(bundle, auxiliary=AuxiliaryInputs([keypoints]))(find_images([folder / name]))
    assert not result.skipped
    return keypoints.seen


def predictor_in_memory(folder: Path, name: str, _: Path, __: pytest.MonkeyPatch) -> list[NDArray[Any]]:
    """Opened by Pillow, loaded or not, turned by Pillow, as bytes, and opened by the bundle."""
    bundle = Bundle(create_model("baseline", schema=SCHEMA, backbone="test_resnet"), PREPROCESS)
    for path in find_images([folder / name]):
        with Image.open(path) as lazy, Image.open(path) as loaded, Image.open(path) as other:
            loaded.load()
            turned = ImageOps.exif_transpose(other)
            sources = [path, path.read_bytes(), lazy, loaded, loaded.copy(), turned, open_picture(path)]
            sources.append(open_picture(open_picture(path)))
            sources.append(np.asarray(open_picture(path)))
            prepared = {bundle.prepare(source).numpy().tobytes() for source in sources}
            assert len(prepared) == 1, path
            bundle(loaded)
    return []


def annotate(folder: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[NDArray[Any]]:
    masks = Recorder("masks")
    monkeypatch.setattr(factory, "create_annotator", lambda *_, **__: masks)
    create_manifest(folder, name, tmp_path)
    words = ["annotate", str(tmp_path / "toy.parquet"), "--masks", "--into", f"annotations/{name}"]
    result = CliRunner().invoke(app, [*words, "--device", "cpu"])
    assert result.exit_code == 0, (result.output, result.exception)
    new = Manifest.load(tmp_path / "toy-annotated.parquet")
    made = [np.asarray(Image.open(folder / path)) for path in new.paths("mask") if path is not None]
    assert len(made) == COUNT
    return masks.seen + made


def pack(folder: Path, name: str, tmp_path: Path, _: pytest.MonkeyPatch) -> list[NDArray[Any]]:
    cache = PackedCache.build(create_manifest(folder, name, tmp_path), PREPROCESS, tmp_path / "cache")
    return list(cache.images)


def evaluate(folder: Path, name: str, tmp_path: Path, _: pytest.MonkeyPatch) -> None:
    create_manifest(folder, name, tmp_path)
    words = ("--data", str(tmp_path / "toy.parquet"), "--cache", str(tmp_path / "cache"), "--split", "test")
    invoke("evaluate", folder, *words, "--partition", "own")


@pytest.mark.parametrize(
    "read",
    [
        predict,
        predict_masks,
        predict_masks_of_network,
        predict_keypoints_of_network,
        predict_parsing,
        localize,
        attention,
        predictor_keypoints,
        predictor_in_memory,
        annotate,
        pack,
        evaluate,
    ],
    ids=lambda read: getattr(read, "__name__", None) or f"predict_{read.args[0]}_of_network",
)
def test_the_same_pixels_reach_the_model_and_the_annotators(
    folder: Path, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    for name in ("tagged", "upright"):
        (tmp_path / name).mkdir()
        with record_inputs() as inputs:
            seen[name] = [*(read(folder, name, tmp_path / name, monkeypatch) or []), *inputs]
    assert sum(len(batch) for batch in seen["upright"]) >= COUNT
    assert len(seen["tagged"]) == len(seen["upright"])
    for tagged, upright in zip(seen["tagged"], seen["upright"], strict=True):
        np.testing.assert_array_equal(tagged, upright)


def test_the_references_are_upright_and_all_different_kinds(folder: Path) -> None:
    sizes = {}
    for path in sorted((folder / "tagged").iterdir()):
        with Image.open(path) as image:
            sizes[path.stem] = (image.format, image.getexif().get(0x0112))
        with Image.open(folder / "upright" / f"{path.stem}.png") as image:
            assert image.getexif().get(0x0112) is None
            assert image.size == ((36, 20) if int(path.stem[-1]) < 5 else (20, 36))
    expected = {f"{kind}-{o}": (kind.upper(), o) for kind in KINDS for o in UPRIGHT}
    assert sizes == expected
