from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load as load_tensors
from safetensors.torch import load_file, save

import passerby
from passerby.bundle import Bundle, load, open_picture, source_of
from passerby.bundle.storage import FORMAT_VERSION, encode_config, read_config
from passerby.errors import BundleError, ConfigError, DataError, ImageError, ModelError
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Box, Preprocess

SCHEMA = AttributeSchema(
    "toy",
    (
        Attribute("Hat", "wears a hat", "hat", "hat", 2, "head", "head"),
        Attribute("Bag|big", "carries a\nbag"),
        Attribute("Mütze", "trägt eine Mütze"),
    ),
)
METADATA: dict[str, Any] = {
    "dataset": "toys",
    "partition": "official",
    "train_splits": ["train"],
    "protocol": "default",
    "selection": "best mA on val",
    "seed": 3,
    "val_scores": {"mA": 0.8123, "accuracy": 0.7, "precision": 0.8, "recall": 0.9, "f1": 0.85},
}
FILES = {"config.json", "model.safetensors", "README.md"}


@pytest.fixture
def bundle() -> Bundle:
    torch.manual_seed(4)
    model = create_model("baseline", schema=SCHEMA, backbone="test_resnet")
    with torch.no_grad():
        model.classifier.weight.mul_(20)  # type: ignore[operator, union-attr]  # so that images differ clearly
    return Bundle(model, Preprocess(64, 48), (0.5, 0.25, 0.75), dict(METADATA))


@pytest.fixture
def picture() -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (90, 40, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pixels_of(bundle: Bundle, count: int = 3) -> torch.Tensor:
    size = (count, 3, bundle.preprocess.height, bundle.preprocess.width)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


# ---------------------------------------------------------------------- there and back


@pytest.mark.parametrize("name", ["model", "deep/er/model", "model.zip"])
def test_saved_and_loaded_is_the_same(bundle: Bundle, tmp_path: Path, name: str) -> None:
    bundle.save(tmp_path / name)
    again = load(tmp_path / name)
    assert again.schema == bundle.schema
    assert again.preprocess == bundle.preprocess
    assert again.thresholds == bundle.thresholds
    assert again.metadata == bundle.metadata
    assert again.model.arguments == bundle.model.arguments
    assert torch.equal(again.predict_batch(pixels_of(bundle)), bundle.predict_batch(pixels_of(bundle)))
    assert [p.name for p in tmp_path.iterdir()] == [name.split("/")[0]]  # nothing temporary is left


def test_load_and_the_class_method_are_equal(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    assert passerby.load(tmp_path / "b").schema == Bundle.load(str(tmp_path / "b")).schema


def test_folder_holds_exactly_the_three_files(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    bundle.save(tmp_path / "b.zip")
    assert {p.name for p in (tmp_path / "b").iterdir()} == FILES
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert set(archive.namelist()) == FILES
        for name in FILES:
            assert archive.read(name) == (tmp_path / "b" / name).read_bytes()


def test_equal_bundles_have_equal_bytes(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "a.zip")
    load(tmp_path / "a.zip").save(tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_config_is_complete(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    config = json.loads((tmp_path / "b/config.json").read_text(encoding="utf-8"))
    weights = (tmp_path / "b/model.safetensors").read_bytes()
    assert config["format_version"] == FORMAT_VERSION
    assert config["passerby"] == passerby.__version__
    assert config["model"] == {"name": "baseline", "arguments": bundle.model.arguments}
    assert config["thresholds"] == {"Hat": 0.5, "Bag|big": 0.25, "Mütze": 0.75}
    assert config["preprocess"]["height"] == 64
    assert config["metadata"] == METADATA
    assert config["weights"]["sha256"] == hashlib.sha256(weights).hexdigest()
    assert config["weights"]["bytes"] == len(weights)


def test_card_shows_attributes_scores_and_limits(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    card = (tmp_path / "b/README.md").read_text(encoding="utf-8")
    assert "| Hat | wears a hat | 0.5 |" in card
    assert "| Bag\\|big | carries a bag | 0.25 |" in card
    assert "| validation | 81.23 | 70.00 | 80.00 | 90.00 | 85.00 |" in card
    assert "toys" in card
    for heading in ("## Intended use", "## Limits", "## Licence"):
        assert heading in card


def test_numbers_that_are_not_finite_become_null(bundle: Bundle, tmp_path: Path) -> None:
    bundle.metadata = {"val_scores": {"mA": float("nan"), "f1": 0.5}, "splits": ("a", "b")}
    bundle.save(tmp_path / "b")
    assert load(tmp_path / "b").metadata == {"val_scores": {"mA": None, "f1": 0.5}, "splits": ["a", "b"]}


def test_metadata_must_be_plain(bundle: Bundle, tmp_path: Path) -> None:
    bundle.metadata["root"] = tmp_path
    with pytest.raises(BundleError, match="plain JSON"):
        bundle.save(tmp_path / "b")
    assert not list(tmp_path.iterdir())


def test_loading_does_not_change_the_random_state(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    state = torch.random.get_rng_state()
    load(tmp_path / "b")
    assert torch.equal(torch.random.get_rng_state(), state)


def test_weights_in_channels_last_are_saved_in_the_default_format(bundle: Bundle, tmp_path: Path) -> None:
    expected = bundle.predict_batch(pixels_of(bundle))
    bundle.model.to(memory_format=torch.channels_last)
    bundle.save(tmp_path / "b")
    assert torch.equal(load(tmp_path / "b").predict_batch(pixels_of(bundle)), expected)


def test_auto_takes_a_gpu_if_available(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert load(tmp_path / "b", device="auto").device.type == expected


def test_unknown_device(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="device 'warp' is not available"):
        bundle.to("warp")


@pytest.mark.parametrize(
    ("thresholds", "message"), [((0.5,), "expected 3 thresholds"), ((0.5, 1.5, 0.5), "in \\[0, 1\\]")]
)
def test_thresholds_must_fit(bundle: Bundle, thresholds: tuple[float, ...], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Bundle(bundle.model, bundle.preprocess, thresholds)


def test_model_must_come_from_create_model() -> None:
    from passerby.models import Baseline

    with pytest.raises(BundleError, match="create_model"):
        Bundle(Baseline(SCHEMA, backbone="test_resnet"), Preprocess())


# ---------------------------------------------------------------------- overwriting


@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_earlier_bundle_is_replaced(bundle: Bundle, tmp_path: Path, name: str) -> None:
    bundle.save(tmp_path / name)
    bundle.metadata["seed"] = 99
    bundle.save(tmp_path / name)
    assert load(tmp_path / name).metadata["seed"] == 99
    assert [p.name for p in tmp_path.iterdir()] == [name]


def foreign_folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("years of work")


def foreign_model(path: Path) -> None:
    path.mkdir()
    for name in FILES:
        (path / name).write_text("{}")


def bundle_and_more(path: Path) -> None:
    path.mkdir()
    (path / "config.json").write_text('{"format": "passerby-bundle"}')
    (path / "notes.txt").write_text("mine")


def file(path: Path) -> None:
    path.write_text("mine")


def zip_with_config(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("b", foreign_folder),
        ("b", foreign_model),
        ("b", bundle_and_more),
        ("b", file),
        ("b.zip", file),
        ("b.zip", foreign_folder),
        ("b.zip", zip_with_config),
    ],
)
def test_other_files_are_not_overwritten(
    bundle: Bundle, tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    make(tmp_path / name)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(BundleError, match="not overwritten"):
        bundle.save(tmp_path / name)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_empty_folder_is_filled(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    bundle.save(tmp_path / "b")
    assert load(tmp_path / "b").schema == SCHEMA


@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_failed_save_leaves_the_earlier_bundle(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    bundle.save(tmp_path / name)

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        bundle.save(tmp_path / name)
    assert load(tmp_path / name).metadata == METADATA
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_earlier_folder_is_restored_when_renaming_fails(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.save(tmp_path / "b")
    rename = Path.rename

    def fail_for_new(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp"):
            raise OSError("refused")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(OSError, match="refused"):
        bundle.save(tmp_path / "b")
    assert load(tmp_path / "b").metadata == METADATA
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


# ---------------------------------------------------------------------- damage


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lengthen(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"x")


def flip_a_bit(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def remove_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def cut_config(folder: Path) -> None:
    path = folder / "config.json"
    path.write_bytes(path.read_bytes()[:300])


def nest_config(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)


def edit_threshold(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text("utf-8").replace("0.25", "0.35"), "utf-8")


def edit_to_nan(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text("utf-8").replace("0.25", "NaN"), "utf-8")


def foreign_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"architectures": ["ViT"]}')


def reorder_names(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["schema"]["attributes"].reverse()
    path.write_text(json.dumps(config), "utf-8")


def newer_format(folder: Path) -> None:
    path = folder / "config.json"
    current, newer = (f'"format_version": {version}' for version in (FORMAT_VERSION, FORMAT_VERSION + 1))
    path.write_text(path.read_text("utf-8").replace(current, newer), "utf-8")


DAMAGES = [
    (truncate, "has the wrong size"),
    (lengthen, "has the wrong size"),
    (flip_a_bit, "hash differs"),
    (remove_weights, "incomplete"),
    (remove_config, "no config.json"),
    (cut_config, "damaged"),
    (nest_config, "damaged"),
    (edit_threshold, "was changed after it was saved"),
    (edit_to_nan, "damaged"),
    (reorder_names, "was changed after it was saved"),
    (foreign_config, "is not a bundle of passerby"),
    (newer_format, "update passerby"),
]


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[d.__name__ for d, _ in DAMAGES])
def test_damaged_bundle_is_refused(
    bundle: Bundle, tmp_path: Path, *, damage: Callable[[Path], None], message: str, packed: bool
) -> None:
    path = tmp_path / "b"
    bundle.save(path)
    damage(path)
    if packed:
        with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for entry in sorted(path.iterdir()):
                archive.write(entry, entry.name)
        path = tmp_path / "b.zip"
    with pytest.raises(BundleError, match=message):
        load(path)


def forge(folder: Path, change: Callable[[dict[str, Any]], None], weights: bytes | None = None) -> None:
    """Change the configuration and make hash and checksum right again, as an attacker would."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for key in ("format", "format_version", "weights", "checksum"):
        del config[key]
    change(config)
    weights = (folder / "model.safetensors").read_bytes() if weights is None else weights
    (folder / "config.json").write_bytes(encode_config(config, weights))
    (folder / "model.safetensors").write_bytes(weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["model"].update(name="nothing"), "no model 'nothing'"),
        (lambda c: c["model"]["arguments"].update(pretrained="/etc/passwd"), "pretrained must not be among"),
        (lambda c: c["model"]["arguments"].update(backbone="hf_hub:a/b"), "has no model"),
        (
            lambda c: c["model"]["arguments"].update(backbone_arguments={"checkpoint_path": "evil.pth"}),
            "may not set checkpoint_path",
        ),
        (lambda c: c["model"]["arguments"].update(backbone="test_efficientnet"), "weights do not fit"),
        (lambda c: c.pop("schema"), "KeyError"),
        (lambda c: c.update(schema=3), "cannot rebuild"),
        (lambda c: c["schema"]["attributes"].pop(), "of other attributes"),
        (lambda c: c.update(thresholds={}), "of other attributes"),
        (lambda c: c["thresholds"].update(Hat=7), "thresholds in"),
        (lambda c: c["preprocess"].update(colour="BGR"), "cannot rebuild"),
        (lambda c: c["preprocess"].update(height=0), "cannot rebuild"),
    ],
)
def test_invalid_config_is_refused(
    bundle: Bundle, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    bundle.save(tmp_path / "b")
    forge(tmp_path / "b", change)
    with pytest.raises(BundleError, match=message):
        load(tmp_path / "b")


def drop(state: dict[str, torch.Tensor]) -> None:
    del state["classifier.bias"]


def add(state: dict[str, torch.Tensor]) -> None:
    state["extra"] = torch.zeros(1)


def reshape(state: dict[str, torch.Tensor]) -> None:
    state["classifier.bias"] = torch.zeros(4)


def halve(state: dict[str, torch.Tensor]) -> None:
    state["classifier.bias"] = state["classifier.bias"].half()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, "classifier.bias is missing"),
        (add, "extra is unknown"),
        (reshape, r"\(4,\) instead of .*\(3,\)"),
        (halve, "float16"),
    ],
)
def test_weights_that_do_not_fit(
    bundle: Bundle, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], None], message: str
) -> None:
    bundle.save(tmp_path / "b")
    state = load_file(tmp_path / "b/model.safetensors")
    change(state)
    forge(tmp_path / "b", lambda config: None, save(state))
    with pytest.raises(BundleError, match=message):
        load(tmp_path / "b")


def test_pickled_weights_are_not_read(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    torch.save(bundle.model.state_dict(), tmp_path / "w.pth")
    forge(tmp_path / "b", lambda config: None, (tmp_path / "w.pth").read_bytes())
    with pytest.raises(BundleError, match="not a safetensors file"):
        load(tmp_path / "b")


@pytest.mark.parametrize("name", ["../escaped.txt", "/outside/escaped.txt", "sub/config.json", "evil.py"])
def test_zip_with_a_path_is_refused(bundle: Bundle, tmp_path: Path, name: str) -> None:
    path = tmp_path / "in" / "b.zip"
    bundle.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "gotcha")
    with pytest.raises(BundleError, match="expected only"):
        load(path)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_that_names_a_file_twice(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "a") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(BundleError, match="twice"):
        load(tmp_path / "b.zip")


def test_truncated_zip_and_other_files(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b.zip")
    content = (tmp_path / "b.zip").read_bytes()
    for name, wrong in {
        "half.zip": content[: len(content) // 2],
        "empty.zip": b"",
        "photo.jpg": b"jpg",
    }.items():
        (tmp_path / name).write_bytes(wrong)
        with pytest.raises(BundleError, match="not a bundle, or a damaged one"):
            load(tmp_path / name)
    middle = bytearray(content)
    middle[len(middle) // 2] ^= 255
    (tmp_path / "bit.zip").write_bytes(middle)
    with pytest.raises(BundleError):
        load(tmp_path / "bit.zip")


# ---------------------------------------------------------------------- predicting


def test_every_form_of_a_picture_gives_the_same(bundle: Bundle, picture: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    picture.save(path)
    array = np.asarray(picture)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    expected = bundle(picture)
    assert expected.source == "<image>"
    assert expected.names == SCHEMA.names
    assert expected.thresholds == bundle.thresholds
    for other in (path, str(path), path.read_bytes(), array, array / 255, tensor, tensor / 255):
        given = bundle(other)
        assert given.probabilities == expected.probabilities
        assert given.source == (str(path) if isinstance(other, str | Path) else "<image>")


def test_prediction_is_the_sigmoid_of_the_normalised_picture(bundle: Bundle) -> None:
    images = pixels_of(bundle)
    mean = torch.tensor(bundle.preprocess.mean).view(3, 1, 1)
    std = torch.tensor(bundle.preprocess.std).view(3, 1, 1)
    with torch.no_grad():
        logits = bundle.model((images / 255 - mean) / std).logits
    torch.testing.assert_close(bundle.predict_batch(images), 1 / (1 + torch.exp(-logits)))


def test_array_is_not_changed_and_strided_arrays_work(bundle: Bundle, picture: Image.Image) -> None:
    array = np.asarray(picture).copy()
    mirrored = array[:, ::-1]
    before = array.copy()
    assert bundle(mirrored).probabilities == bundle(np.ascontiguousarray(mirrored)).probabilities
    assert np.array_equal(array, before)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros(4, np.uint8), r"array \(H, W, 3\), or grey \(H, W\), got \(4,\); pass one image"),
        (np.zeros((3, 5, 5), np.uint8), r"got \(3, 5, 5\); move the channels to the end"),
        (np.zeros((5, 5, 4), np.uint8), r"got \(5, 5, 4\); drop the alpha channel: array\[\.\.\., :3\]"),
        (np.zeros((2, 5, 5, 3), np.uint8), "pass several images as a list"),
        (np.full((4, 4, 3), 255.0, np.float32), "pass values of 0 … 255 as uint8"),
        (np.full((4, 4), np.nan), "before mean and std"),
        (np.zeros((4, 4), bool), r"uint8 in 0 … 255, or floats in \[0, 1\], got bool"),
        (np.zeros((4, 4, 3), np.uint16), "got uint16"),
        (torch.zeros(4, 4, 3), r"tensor \(3, H, W\), or grey .* move the channels to the front"),
        (torch.zeros(1, 3, 4, 4), r"got \(1, 3, 4, 4\); pass several images as a list"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "got int64"),
        (torch.zeros(3, 4, 4, dtype=torch.bool), "got bool"),
        (torch.full((3, 4, 4), 2.0), "before mean and std"),
        (torch.full((3, 4, 4), float("nan")), "before mean and std"),
        ("no/such.jpg", "no/such.jpg"),
    ],
)
def test_other_forms_are_refused(bundle: Bundle, image: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        bundle(image)


@pytest.mark.parametrize(
    "images",
    [torch.zeros(1, 3, 64, 48), torch.zeros(1, 3, 48, 64, dtype=torch.uint8), torch.zeros(3, 64, 48)],
)
def test_batch_of_another_form_is_refused(bundle: Bundle, images: torch.Tensor) -> None:
    with pytest.raises(ModelError, match=r"expected uint8 images \(N, 3, 64, 48\)"):
        bundle.predict_batch(images)


def test_empty_batch(bundle: Bundle) -> None:
    assert bundle.predict_batch(pixels_of(bundle)[:0]).shape == (0, 3)


def test_prediction_needs_no_eval_call(bundle: Bundle) -> None:
    expected = bundle.predict_batch(pixels_of(bundle))
    bundle.model.train()
    assert torch.equal(bundle.predict_batch(pixels_of(bundle)), expected)


def test_grey_arrays_and_tensors_equal_a_grey_picture(bundle: Bundle, picture: Image.Image) -> None:
    grey = picture.convert("L")
    array, expected = np.asarray(grey), bundle(grey).probabilities
    tensor = torch.from_numpy(array.copy())
    for other in (array, array[..., None], array / 255, tensor, tensor[None], tensor[None] / 255):
        assert bundle(other).probabilities == expected


def test_a_list_of_pictures_gives_a_list_of_predictions(bundle: Bundle, picture: Image.Image) -> None:
    mirrored = np.asarray(picture)[:, ::-1]
    one, two = bundle([picture, mirrored])
    assert one.probabilities == pytest.approx(bundle(picture).probabilities, abs=1e-6)
    assert two.probabilities == pytest.approx(bundle(mirrored).probabilities, abs=1e-6)
    assert one.probabilities != pytest.approx(two.probabilities, abs=1e-4)
    assert [len(bundle((picture,) * count)) for count in (0, 1, 33)] == [0, 1, 33]
    with pytest.raises(ImageError, match=r"cannot read the image no/such\.jpg"):
        bundle([picture, "no/such.jpg"])


def test_boxes_give_one_prediction_each(bundle: Bundle, picture: Image.Image) -> None:
    boxes = [(0, 10, 20, 60), Box(5.5, 0, 40, 90), (-8, 50, 30, 200)]
    given = bundle(picture, boxes=boxes)
    parts = [picture.crop((0, 10, 20, 60)), None, picture.crop((0, 50, 30, 90))]
    assert [p.box for p in given] == [Box(0, 10, 20, 60), Box(5.5, 0, 40, 90), Box(-8, 50, 30, 200)]
    for prediction, part in zip(given, parts, strict=True):
        if part is not None:
            assert prediction.probabilities == pytest.approx(bundle(part).probabilities, abs=1e-6)
    assert bundle(picture).box is None
    assert bundle(picture, boxes=[]) == []


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((0.1, 0.2, 0.5, 0.9), "in pixels, got the fractions .* multiply x by the width"),
        ((float("nan"), 0, 5, 5), "finite numbers"),
        ((5, 5, 5, 9), "x1 > x0"),
        ((1, 2, 3), "four numbers"),
        (7, r"four numbers .*, got 7; expected a list of boxes as `boxes`, such as \[\(2, 3, 12, 23\)\]"),
        ((100, 0, 120, 30), "overlaps the image of 40 × 90 pixels"),
    ],
)
def test_impossible_boxes_are_refused(bundle: Bundle, picture: Image.Image, box: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        bundle(picture, boxes=[(0, 0, 20, 60), box])


def test_boxes_of_several_pictures_are_refused(bundle: Bundle, picture: Image.Image) -> None:
    with pytest.raises(DataError, match=r"expected one image with boxes, got a list of images"):
        bundle([picture, picture], boxes=[(0, 0, 20, 60)])  # type: ignore[call-overload]


def test_repr_is_one_line(bundle: Bundle) -> None:
    assert repr(bundle) == "Bundle(baseline, test_resnet, 3 attributes, 64 × 48 pixels, cpu)"
    bundle.metadata["domain"] = "synthetic people"
    assert repr(bundle).endswith("64 × 48 pixels, synthetic people, cpu)")


def test_fingerprint_depends_on_all_that_predictions_depend_on(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b.zip")
    again = load(tmp_path / "b.zip")
    again.metadata["seed"] = 99
    assert again.fingerprint == bundle.fingerprint
    assert len(bundle.fingerprint) == 16
    others = [
        Bundle(bundle.model, bundle.preprocess, (0.5, 0.25, 0.7)).fingerprint,
        Bundle(bundle.model, Preprocess(64, 40), bundle.thresholds).fingerprint,
    ]
    with torch.no_grad():
        again.model.classifier.bias[0] += 1e-3  # type: ignore[index, operator, union-attr]
    assert len({bundle.fingerprint, again.fingerprint, *others}) == 4


# ---------------------------------------------------------------------- domain


@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_domain_is_kept_and_in_the_card(bundle: Bundle, tmp_path: Path, name: str) -> None:
    bundle.metadata["domain"] = "synthetic people"
    bundle.save(tmp_path / name)
    assert load(tmp_path / name).domain == "synthetic people"
    if name == "b":
        card = (tmp_path / "b/README.md").read_text(encoding="utf-8")
        assert "| Domain | synthetic people |" in card
        assert (
            "- This model was trained on synthetic people only; its predictions for photos of real people "
            "are not meaningful.\n- The scores apply"
        ) in card


def test_a_bundle_without_domain(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    assert load(tmp_path / "b").domain is None
    card = (tmp_path / "b/README.md").read_text(encoding="utf-8")
    assert "Domain" not in card
    assert "## Limits\n\n- The scores apply" in card


# ---------------------------------------------------------------------- hub


class FakeApi:
    """Remembers what is uploaded, as the Hub would."""

    store: dict[str, dict[str, bytes]]
    log: list[tuple[Any, ...]]

    def __init__(self, **kwargs: object) -> None:
        assert kwargs["library_name"] == "passerby"

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> str:
        self.log.append(("create", repo_id, private, exist_ok))
        return f"https://huggingface.co/{repo_id}"

    def create_branch(self, repo_id: str, *, branch: str, exist_ok: bool) -> None:
        self.log.append(("branch", repo_id, branch, exist_ok))

    def upload_folder(self, *, repo_id: str, folder_path: Path, **kwargs: object) -> None:
        self.log.append(("upload", repo_id, kwargs["revision"], kwargs["commit_message"]))
        self.store[repo_id] = {p.name: p.read_bytes() for p in Path(folder_path).iterdir()}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeApi]:
    FakeApi.store, FakeApi.log = {}, []

    def snapshot_download(repo_id: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        FakeApi.log.append(("download", repo_id, revision))
        folder = tmp_path / "cache"
        folder.mkdir()
        for name, content in FakeApi.store[repo_id].items():
            if name in allow_patterns:
                (folder / name).write_bytes(content)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.HfApi", FakeApi)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return FakeApi


def test_pushed_and_loaded_from_the_hub(bundle: Bundle, hub: type[FakeApi]) -> None:
    bundle.metadata["domain"] = "synthetic people"
    assert bundle.push_to_hub("me/toys") == "https://huggingface.co/me/toys"
    assert set(hub.store["me/toys"]) == FILES
    again = load("me/toys", revision="v1")
    assert again.domain == "synthetic people"
    assert torch.equal(again.predict_batch(pixels_of(bundle)), bundle.predict_batch(pixels_of(bundle)))
    assert hub.log == [
        ("create", "me/toys", True, True),
        ("upload", "me/toys", None, "Add a bundle of passerby"),
        ("download", "me/toys", "v1"),
    ]


def test_push_to_a_branch(bundle: Bundle, hub: type[FakeApi]) -> None:
    bundle.push_to_hub("me/toys", private=False, revision="v2", message="Second")
    assert hub.log == [
        ("create", "me/toys", False, True),
        ("branch", "me/toys", "v2", True),
        ("upload", "me/toys", "v2", "Second"),
    ]


def test_push_that_the_hub_refuses(
    bundle: Bundle, hub: type[FakeApi], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: FakeApi, repo_id: str, **kwargs: object) -> str:
        raise OSError("401 Unauthorized")

    monkeypatch.setattr(FakeApi, "create_repo", refuse)
    with pytest.raises(BundleError, match=r"401 Unauthorized.*hf auth login"):
        bundle.push_to_hub("me/toys")


def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> str:
        raise OSError("cannot find the host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(BundleError, match=r"me/toys on this machine.*cannot find the host.*connection"):
        load("me/toys")


@pytest.mark.parametrize(
    "name", ["nothing", "/no/such", "a/b/c", "runs/best", "owner/model.zip", "../x", "./x"]
)
def test_mistyped_path_does_not_query_the_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: type[FakeApi]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(BundleError, match=r"give a folder, a \.zip file, or owner/name"):
        load(name)
    assert not hub.log


def test_revision_of_a_local_bundle(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    with pytest.raises(BundleError, match="local bundle and has no revision"):
        load(tmp_path / "b", revision="main")


@pytest.mark.gpu
def test_gpu_gives_the_same(bundle: Bundle, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    bundle.save(tmp_path / "b")
    probs = load(tmp_path / "b", device="cuda").predict_batch(pixels_of(bundle))
    torch.testing.assert_close(probs.cpu(), bundle.predict_batch(pixels_of(bundle)), rtol=1e-2, atol=1e-2)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom the model can refuse")
def test_unreadable_file(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    (tmp_path / "b/config.json").chmod(0)
    with pytest.raises(BundleError, match="Permission denied"):
        load(tmp_path / "b")


def test_weights_file_is_plain_safetensors(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    state = load_tensors((tmp_path / "b/model.safetensors").read_bytes())
    assert set(state) == set(bundle.model.state_dict())


def test_the_configuration_is_read_without_the_weights(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("folder", "one.zip"):
        bundle.save(tmp_path / name)
        config = read_config(tmp_path / name)
        assert tuple(config["thresholds"]) == bundle.schema.names
    (tmp_path / "folder" / "model.safetensors").unlink()
    assert read_config(tmp_path / "folder") == config
    with pytest.raises(BundleError, match=r"it has no model\.safetensors"):
        load(tmp_path / "folder")
    (tmp_path / "folder" / "config.json").write_text("{")
    with pytest.raises(BundleError, match="is damaged"):
        read_config(tmp_path / "folder")


def test_a_missing_device_is_refused_before_the_bundle_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a device such as auto, cpu or cuda:0, got 'warp'"):
        load(tmp_path / "nothing", device="warp")


def test_open_files_are_images() -> None:
    file = io.BytesIO()
    Image.new("RGB", (4, 6), (10, 20, 30)).save(file, "PNG")  # leaves the position at the end
    for _ in range(2):
        assert open_picture(file).getpixel((0, 0)) == (10, 20, 30)
    assert source_of(file) == "<image>"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "expected an image as a path, bytes, open binary file, .* got NoneType; pass one of these"),
        (0, "expected an image as a path, .* got int; "),
        ((each for each in "ab"), "got generator; pass one of these, or several in a list"),
        (io.StringIO("text"), r"opened in binary mode \('rb'\), which reads bytes, got str"),
    ],
    ids=["none", "number", "generator", "text"],
)
def test_what_is_no_image_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        open_picture(wrong)


def test_the_folder_of_a_run_is_not_its_bundle(tmp_path: Path) -> None:
    (tmp_path / "run" / "bundle").mkdir(parents=True)
    with pytest.raises(BundleError, match=r"run is not a bundle: .* such as <run folder>/bundle$"):
        load(tmp_path / "run")
    (tmp_path / "run" / "bundle" / "config.json").touch()
    with pytest.raises(BundleError, match=rf"run is not a bundle: .*; its bundle is {tmp_path}/run/bundle$"):
        load(tmp_path / "run")
    with pytest.raises(BundleError, match=r"no bundle at .*run/nothing: it does not exist; give a folder"):
        load(tmp_path / "run" / "nothing")
