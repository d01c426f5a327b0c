from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from passerby.bundle import Bundle
from passerby.errors import DataError, ImageError, ModelError
from passerby.explain.attention_maps import AttentionMaps, compute_maps, save_maps, stream_maps
from passerby.inference.batches import Skipped
from passerby.models import MODELS, create_model
from passerby.synthetic import SynthConfig, draw_person
from passerby.types import Box, Preprocess
from toy_explanations import CELLS, NAMES, SCHEMA, create_maps, create_spotlight


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(draw_person(SynthConfig(height=128, width=96), seed=0, index=3).image)


# ---------------------------------------------------------------------- computing


def test_maps_and_prediction(photo: Image.Image) -> None:
    bundle = create_spotlight()
    maps = compute_maps(bundle, photo)
    prediction = bundle(photo)
    assert maps.source == "<image>"
    assert (maps.names, maps.thresholds) == (NAMES, (0.5, 0.5, 0.1))
    assert maps.probabilities == pytest.approx(prediction.probabilities)
    assert maps.present == prediction.present == ("Hat", "Boots")  # 0.5 is not above 0.5
    assert (maps.picture == bundle.prepare(photo).permute(1, 2, 0).numpy()).all()
    assert {name: values.shape for name, values in maps.maps.items()} == {
        "spot": (3, 8, 5),
        "even": (3, 2, 2),
        "red": (3, 16, 10),
    }
    assert all(values.dtype == np.float32 for values in maps.maps.values())
    for i, cell in enumerate(CELLS):
        assert maps.maps["spot"][i][cell] == 1
        assert maps.maps["spot"][i].sum() == 1


def test_the_repr_is_short(photo: Image.Image) -> None:
    picture = np.asarray(photo)
    maps = {"attention": np.zeros((2, 8, 6), np.float32), "mask": np.zeros((1, 4, 3), np.float32)}
    found = AttentionMaps("a.jpg", picture, ("Hat", "Bag"), (0.9, 0.1), (0.5, 0.5), maps, box=Box(1, 2, 9, 8))
    found = replace(found, parsing={"truth": np.zeros((64, 48), np.uint8)})
    assert repr(found) == (
        "AttentionMaps(a.jpg [1 2 9 8]: attention 6 × 8, mask 3 × 4, parsing truth 48 × 64; 2 attributes)"
    )


def test_mode_and_state_stay_unchanged(photo: Image.Image) -> None:
    bundle = create_spotlight()
    bundle.model.train()
    bundle.model.norm.eval()  # type: ignore[union-attr, operator]
    before = {name: value.clone() for name, value in bundle.model.state_dict().items()}
    one, two = compute_maps(bundle, photo), compute_maps(bundle, photo)
    assert bundle.model.training
    assert not bundle.model.norm.training  # type: ignore[union-attr]
    assert all(torch.equal(value, before[name]) for name, value in bundle.model.state_dict().items())
    assert all(parameter.grad is None for parameter in bundle.model.parameters())
    assert all((one.maps[name] == two.maps[name]).all() for name in one.maps)


def test_many_pictures_in_order_with_unreadable_ones(photo: Image.Image, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i in (0, 2, 3, 4):
        photo.rotate(90 * i, expand=True).save(paths[i])
    paths[1].write_text("no image")
    bundle = create_spotlight()
    items = list(stream_maps(bundle, paths, batch_size=2))
    assert isinstance(items[1], Skipped)
    assert "1.png" in items[1].reason
    for i in (0, 2, 3, 4):
        item, alone = items[i], compute_maps(bundle, paths[i])
        assert isinstance(item, AttentionMaps)
        assert item.source == str(paths[i])
        assert (item.picture == alone.picture).all()
        np.testing.assert_allclose(item.maps["red"], alone.maps["red"], rtol=1e-5)
    assert list(stream_maps(bundle, [])) == []
    with pytest.raises(ImageError, match=r"1\.png"):
        compute_maps(bundle, paths[1])
    with pytest.raises(DataError, match="batch_size"):
        next(stream_maps(bundle, paths, batch_size=0))


def test_a_model_without_maps_is_refused_by_name(photo: Image.Image) -> None:
    bundle = Bundle(create_model("baseline", schema=SCHEMA, backbone="test_resnet"), Preprocess(64, 48))
    with pytest.raises(ModelError, match=r"a baseline model has no attention maps.*diaa"):
        compute_maps(bundle, photo)


def test_has_maps_matches_the_output(photo: Image.Image) -> None:
    for name in MODELS:
        bundle = Bundle(create_model(name, schema=SCHEMA, backbone="test_resnet"), Preprocess(64, 48))
        output = bundle.model(torch.zeros(1, 3, 64, 48))
        assert bool(output.maps) == bundle.model.has_maps, name


@pytest.mark.parametrize(
    "values",
    [torch.ones(3, 8, 5), torch.ones(1, 2, 8, 5), torch.ones(2, 3, 8, 5)],
    ids=["axes", "attributes", "pictures"],
)
def test_maps_of_a_wrong_shape_are_refused(values: Tensor, photo: Image.Image) -> None:
    with pytest.raises(
        ModelError, match=r"expected the map 'odd' of a spotlight model as \(1, 3 or 1, h, w\)"
    ):
        compute_maps(create_spotlight({"odd": values}), photo)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -0.1])
def test_maps_of_wrong_numbers_are_refused(wrong: float, photo: Image.Image) -> None:
    with pytest.raises(ModelError, match="expected finite numbers"):
        compute_maps(create_spotlight({"odd": torch.full((1, 3, 2, 2), wrong)}), photo)


def test_diaa(photo: Image.Image) -> None:
    torch.manual_seed(0)
    bundle = Bundle(create_model("diaa", schema=SCHEMA, backbone="test_resnet"), Preprocess(96, 64))
    maps = compute_maps(bundle, photo)
    assert list(maps.maps) == ["attention3", "confidence3", "attention4", "confidence4"]
    assert maps.maps["attention3"].shape == (3, 6, 4)
    assert maps.maps["attention4"].shape == (3, 3, 2)
    for name in ("attention3", "attention4"):
        np.testing.assert_allclose(maps.maps[name].sum((1, 2)), 1, rtol=1e-5)


# ---------------------------------------------------------------------- combining


def test_products_and_means() -> None:
    small = np.float32([[1, 3]])
    large = np.float32([[1, 2, 3, 4], [5, 6, 7, 8]])
    maps = create_maps(small=small, large=large, zero=np.zeros((1, 2), np.float32))
    enlarged = np.float32([[1, 1.5, 2.5, 3]] * 2)  # centres of the cells at 0.5 and 2.5 of four
    assert maps.combine("small").shape == (3, 1, 2)
    np.testing.assert_allclose(maps.combine("small*large")[1], enlarged * large)
    mean = maps.combine(" small + large ")
    np.testing.assert_allclose(mean[2], (enlarged / enlarged.sum() + large / large.sum()) / 2, rtol=1e-6)
    np.testing.assert_allclose(mean.sum((1, 2)), 1, rtol=1e-6)
    mixed = maps.combine("small*large+large")[0]
    product = enlarged * large
    np.testing.assert_allclose(mixed, (product / product.sum() + large / large.sum()) / 2, rtol=1e-6)
    np.testing.assert_allclose(maps.combine("small+zero")[0], [[0.125, 0.375]])
    assert mean.dtype == mixed.dtype == np.float32


def test_unknown_maps_are_refused_with_a_suggestion() -> None:
    maps = create_maps(attention3=np.ones((2, 2), np.float32))
    with pytest.raises(ModelError, match=r"no map 'atention3'.*has attention3; did you mean attention3"):
        maps.combine("atention3")
    for wrong in ("", "attention3*", "attention3+x"):
        with pytest.raises(ModelError, match="the model has attention3"):
            maps.combine(wrong)


# ---------------------------------------------------------------------- files


def test_raw_files_round_trip(photo: Image.Image, tmp_path: Path) -> None:
    maps = compute_maps(create_spotlight(), photo)
    save_maps(tmp_path / "new" / "a.npz", maps)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npz"]
    with np.load(tmp_path / "new" / "a.npz", allow_pickle=False) as file:
        assert str(file["source"]) == "<image>"
        assert tuple(file["attributes"]) == NAMES
        assert file["probabilities"] == pytest.approx(maps.probabilities)
        assert file["thresholds"] == pytest.approx(maps.thresholds)
        assert (file["picture"] == maps.picture).all()
        assert tuple(file["maps"]) == tuple(maps.maps)
        for name, values in maps.maps.items():
            assert file[f"map_{name}"].dtype == np.float32
            assert (file[f"map_{name}"] == values).all()
    first = (tmp_path / "new" / "a.npz").read_bytes()
    save_maps(tmp_path / "new" / "a.npz", maps)
    assert (tmp_path / "new" / "a.npz").read_bytes() == first
    with pytest.raises(DataError, match="cannot write"):
        save_maps(tmp_path / "new" / "a.npz" / "b.npz", maps)


def test_persons_in_an_image(photo: Image.Image, tmp_path: Path) -> None:
    bundle, crop = create_spotlight(), (3, 5, photo.width - 4, photo.height - 6)
    maps = compute_maps(bundle, photo, crop=crop)
    alone = compute_maps(bundle, photo.crop(crop))
    assert maps.box == Box(*crop)
    assert (maps.picture == alone.picture).all()
    np.testing.assert_allclose(maps.maps["red"], alone.maps["red"], rtol=1e-5)
    first, second = stream_maps(bundle, [photo, photo], crops=[crop, None])
    assert (first.box, second.box) == (Box(*crop), None)  # type: ignore[union-attr]
    save_maps(tmp_path / "a.npz", replace(maps, row=7))
    save_maps(tmp_path / "b.npz", alone)
    with np.load(tmp_path / "a.npz") as file:
        assert (int(file["row"]), tuple(file["box"])) == (7, crop)
    with np.load(tmp_path / "b.npz") as file:
        assert not {"row", "box"} & set(file.files)
