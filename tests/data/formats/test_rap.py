"""RAP v1 and v2: no real files here, so full-size stand-ins with made-up labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from passerby.data.formats import rap, rap1, rap2
from passerby.errors import FormatError
from passerby.losses import compute_positive_ratio, create_loss
from passerby.metrics.counting import compute_counts
from passerby.types import Output

V1, V2 = 41_585, 84_928


def make_cells(strings: list[str]) -> np.ndarray[Any, Any]:
    cells = np.empty((len(strings), 1), object)
    cells[:, 0] = strings
    return cells


def respell(name: str) -> str:
    """As `attribute_exp` spells: `hs-Hat` as `Hat`, `shoes-Sport` as `SportShoes`."""
    kind, dash, rest = name.partition("-")
    if not dash or kind.startswith("Age"):
        return name
    return f"{rest}Shoes" if kind == "shoes" else rest


def make_partitions(sizes: dict[str, int], rows: int) -> np.ndarray[Any, Any]:
    cells = np.empty((5, 1), object)
    ends = np.cumsum(list(sizes.values()))[:-1]
    for k in range(5):
        splits = np.split(np.roll(np.arange(1, rows + 1, dtype=np.int32), -k), ends)
        cells[k, 0] = dict(zip(sizes, (p[None] for p in splits), strict=True))
    return cells


def make_v1() -> dict[str, Any]:
    label = np.zeros((V1, 92), np.uint8)
    label[np.arange(V1), np.arange(V1) % 92] = 1
    label[2, 0] = 2
    identity = np.full((V1, 1), 7, np.int16)
    identity[1] = -1
    return {
        "partion": make_partitions({"train_index": 33_268, "test_index": 8_317}, V1),
        "label": label,
        "attribute_eng": make_cells(list(rap1.SCHEMA.names)),
        "attribute_exp": make_cells([respell(n) for n in rap1.EVALUATED]),
        "imagesname": make_cells([f"CAM{i % 26 + 1:02d}_frame{i + 1}.png" for i in range(V1)]),
        "position": np.tile(np.array([10, 20, 30, 60] * 4, np.int16), (V1, 1)),
        "identity": identity,
    }


def make_v2() -> dict[str, Any]:
    data = np.zeros((V2, 152), np.int16)
    selected = np.arange(1, 109, 2, dtype=np.uint8)[None]  # counted from 1
    data[np.arange(V2), selected[0, np.arange(V2) % 54] - 1] = 1
    data[1, 2] = 2
    names = [f"unused{i}" for i in range(152)]
    for position, name in zip(selected[0], rap2.SCHEMA.names, strict=True):
        names[position - 1] = name
    return {
        "name": make_cells([f"CAM{i % 23 + 1:02d}-frame{i + 1}.png" for i in range(V2)]),
        "data": data,
        "attribute": make_cells(names),
        "selected_attribute": selected,
        "partition_attribute": make_partitions(
            {"train_index": 50_957, "val_index": 16_986, "test_index": 16_985}, V2
        ),
        "person_identity": np.where(np.arange(V2) % 2, -1, np.arange(V2))[:, None],
    }


def to_struct(fields: dict[str, Any]) -> np.ndarray[Any, Any]:
    """A 1×1 struct as scipy reads it; writing tens of thousands of names to a real file takes seconds."""
    record = np.empty((1, 1), dtype=[(name, "O") for name in fields])
    for name, value in fields.items():
        record[name][0, 0] = value
    return record


def to_record(content: dict[str, Any]) -> dict[str, Any]:
    fields = dict(content)
    for name in {"partion", "partition_attribute"} & set(fields):
        cells = fields[name].copy()
        for k in range(len(cells)):
            cells[k, 0] = to_struct(cells[k, 0])
        fields[name] = cells
    return {"RAP_annotation": to_struct(fields)}


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[dict[str, Any], list[int]], Path]:
    """A folder whose RAP_annotation.mat has the given content, with the images of some rows."""

    def make(content: dict[str, Any], rows: list[int]) -> Path:
        (tmp_path / "RAP_annotation.mat").touch()
        names = content["imagesname" if "imagesname" in content else "name"]
        add_images(tmp_path, names, rows)
        record = to_record(content)
        monkeypatch.setattr(rap, "load_mat", lambda path, required: record)
        return tmp_path

    return make


def write_rap(root: Path, content: dict[str, Any]) -> None:
    (root / "RAP_annotation").mkdir(exist_ok=True)
    savemat(root / "RAP_annotation" / "RAP_annotation.mat", {"RAP_annotation": content})


def add_images(root: Path, names: np.ndarray[Any, Any], rows: list[int]) -> None:
    (root / "RAP_dataset").mkdir()
    for row in rows:
        (root / "RAP_dataset" / names[row, 0]).touch()


@pytest.fixture
def v1_root(pretend) -> Path:
    return pretend(make_v1(), [0, 1, 2, 33_268])


@pytest.fixture
def v2_root(pretend) -> Path:
    return pretend(make_v2(), [0, 1, 50_957, V2 - 1])


def test_v1_from_a_real_mat_file(tmp_path):
    content = make_v1()
    write_rap(tmp_path, content)
    add_images(tmp_path, content["imagesname"], [0, 33_268])
    manifest = rap1.read(tmp_path, allow_missing=True)
    assert manifest.labels.sum() == 1
    assert manifest.table.column("split:official-1").to_pylist() == ["train", "test"]


@pytest.mark.slow
def test_v2_from_a_real_mat_file(tmp_path):
    content = make_v2()
    write_rap(tmp_path, content)
    add_images(tmp_path, content["name"], [0, V2 - 1])
    manifest = rap2.read(tmp_path, allow_missing=True)
    assert manifest.labels.argmax(axis=1).tolist() == [0, (V2 - 1) % 54]
    assert manifest.table.column("split:official-1").to_pylist() == ["train", "test"]


def test_v1_labels_unknowns_identities_and_partitions(v1_root):
    manifest = rap1.read(v1_root, allow_missing=True)
    assert manifest.schema.names == rap1.EVALUATED
    assert manifest.images[0] == "RAP_dataset/CAM01_frame1.png"
    assert manifest.labels[:, 0].tolist() == [1, 0, -1, 0]  # 2 in the file is unknown
    assert manifest.labels[1, 1] == 1
    assert manifest.identities == ["7", None, "7", "7"]  # -1 in the file is unknown
    assert manifest.table.column("camera").to_pylist()[:2] == ["CAM01", "CAM02"]
    assert manifest.partition_names == tuple(f"official-{k}" for k in range(1, 6))
    assert manifest.table.column("split:official-1").to_pylist() == ["train", "train", "train", "test"]
    assert manifest.table.column("split:official-2").to_pylist() == ["test", "train", "train", "train"]


def test_v1_cells_that_are_neither_0_nor_1_are_ignored_by_default(tmp_path):
    """The file has 125 of them, all of `Female`; the default loss and the default scores leave them out."""
    content = make_v1()
    content["label"][1000:1125, 0] = 2
    content["label"][2, 0] = 0
    write_rap(tmp_path, content)
    add_images(tmp_path, content["imagesname"], list(range(900, 1200)))
    manifest = rap1.read(tmp_path, allow_missing=True)
    unknown = manifest.labels < 0
    assert unknown.sum(axis=0).tolist() == [125, *[0] * 50]
    assert manifest.schema.names[0] == "Female"

    labels = torch.from_numpy(manifest.labels)
    ratio = compute_positive_ratio(labels)
    assert ratio[0].item() == pytest.approx((labels[:, 0] == 1).sum().item() / 175)
    logits = torch.zeros(labels.shape, requires_grad=True)
    criterion = create_loss("bce", positive_ratio=ratio, schema=manifest.schema)
    loss = criterion(Output(logits), labels)["total"]
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert (logits.grad == 0).numpy().tolist() == unknown.tolist()
    counts = compute_counts(logits.detach().sigmoid(), labels)
    assert (counts.positives + counts.negatives).tolist() == [175, *[300] * 50]


def test_v1_all_attributes_on_demand(v1_root):
    manifest = rap1.read(v1_root, allow_missing=True, attributes="all")
    assert len(manifest.schema) == 92
    assert manifest.labels[3].argmax() == 33_268 % 92


def test_v1_published_images_are_cropped_already(v1_root):
    assert rap1.read(v1_root, allow_missing=True).boxes() == [None] * 4


def test_v1_full_frames_are_cropped_to_the_person_box(v1_root):
    assert rap1.read(v1_root, allow_missing=True, frames=True).boxes() == [(10, 20, 40, 80)] * 4


def test_v2_selected_attributes_count_from_one(v2_root):
    manifest = rap2.read(v2_root, allow_missing=True)
    assert len(manifest.schema) == 54
    assert manifest.labels[[0, 2, 3]].argmax(axis=1).tolist() == [0, 50_957 % 54, (V2 - 1) % 54]
    assert manifest.labels[[0, 2, 3]].sum() == 3
    assert manifest.labels[1, 1] == -1  # column 3 of data is the second selected
    assert manifest.identities == ["0", None, None, None]
    assert manifest.table.column("split:official-1").to_pylist() == ["train", "train", "val", "test"]


def test_v1_missing_images_are_counted(v1_root):
    with pytest.raises(FormatError, match="RAP v1: 41,581 of 41,585 images are missing"):
        rap1.read(v1_root)


def test_v2_missing_images_are_counted(v2_root):
    with pytest.raises(FormatError, match="RAP v2: 84,924 of 84,928 images are missing"):
        rap2.read(v2_root)


def test_v1_file_labelled_v2_is_detected_by_its_shape(v1_root):
    with pytest.raises(FormatError, match=r"41,585 rows, so it is RAP v1.*passerby prepare rap1"):
        rap2.read(v1_root)


def test_v1_file_labelled_v2_is_detected_even_with_the_fields_of_v2(pretend):
    root = pretend({"name": make_cells(["a.png"] * V1), "data": np.zeros((V1, 92), np.uint8)}, [])
    with pytest.raises(FormatError, match="it is RAP v1"):
        rap2.read(root)


def test_v2_file_given_to_v1_raise_an_error(v2_root):
    with pytest.raises(FormatError, match=r"84,928 rows, so it is RAP v2.*passerby prepare rap2"):
        rap1.read(v2_root)


def set_label(content: dict[str, Any], key: str, value: int) -> None:
    content[key][5, 2] = value


def shift_partition(content: dict[str, Any]) -> None:
    content["partion"][0, 0] = {k: v - 1 for k, v in content["partion"][0, 0].items()}  # as if from 0


def repeat_row(content: dict[str, Any]) -> None:
    content["partion"][0, 0]["test_index"][0, 0] = 1


def drop_area(content: dict[str, Any]) -> None:
    content["position"][2, 2] = 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("attribute_exp"), "missing attribute_exp"),
        (lambda c: c.update(label=c["label"][:, :51]), "label: expected shape 41585 × 92, got 41585 × 51"),
        (
            lambda c: c.update(position=c["position"][:, :4]),
            r"position: expected 41585 × 16 numbers, got \(41585, 4\)",
        ),
        (
            lambda c: c.update(attribute_eng=c["attribute_eng"][::-1]),
            "attribute_eng: attribute 1 is 'shoes-Mixture'",
        ),
        (
            lambda c: c.update(attribute_exp=c["attribute_exp"][::-1]),
            "attribute_exp: attribute 1 is 'CarrybyHand'",
        ),
        (
            lambda c: c.update(attribute_exp=c["attribute_exp"][:35]),
            "attribute_exp: expected 51 strings, got 35",
        ),
        (lambda c: c.update(identity=c["identity"][:9]), "expected 41,585 identities, got 9"),
        (
            lambda c: set_label(c, "label", 3),
            r"label: expected integers from 0 to 2, got 3 at index \(5, 2\)",
        ),
        (lambda c: c.update(partion=c["partion"][:3]), "expected 5 partitions, got 3"),
        (shift_partition, "partion 1: train_index: expected integers from 1 to 41585, got 0"),
        (repeat_row, "partion 1: row 1 occurs in train and again in test"),
        (drop_area, "position of row 3: expected a box with area"),
    ],
)
def test_v1_damage_is_named(pretend, change: Callable[[dict[str, Any]], object], message):
    content = make_v1()
    change(content)
    root = pretend(content, [0, 2])
    with pytest.raises(FormatError, match=message):
        rap1.read(root, allow_missing=True, frames=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.update(data=c["data"][:, :151]),
            r"data: expected 84928 × 152 numbers, got \(84928, 151\)",
        ),
        (lambda c: set_label(c, "data", 3), "labels in data: expected integers from 0 to 2, got 3"),
        (
            lambda c: c.update(selected_attribute=c["selected_attribute"] + 1),
            "selected attributes: attribute 1 is 'unused1'",
        ),
        (
            lambda c: c.update(selected_attribute=c["selected_attribute"][:, :51]),
            "selected_attribute: expected shape 54",
        ),
        (
            lambda c: c["partition_attribute"][4, 0].pop("val_index"),
            "partition_attribute 5: .*missing val_index",
        ),
    ],
)
def test_v2_damage_is_named(pretend, change: Callable[[dict[str, Any]], object], message):
    content = make_v2()
    change(content)
    root = pretend(content, [0])
    with pytest.raises(FormatError, match=message):
        rap2.read(root, allow_missing=True)


@pytest.mark.parametrize(
    ("have", "want"),
    [("Hat", "hs-Hat"), ("SportShoes", "shoes-Sport"), ("Female", "Femal"), ("Pushing", "action-Pusing")],
)
def test_names_agree_though_spelled_differently(have, want):
    rap.check_names([have], [want], what="toy")


@pytest.mark.parametrize("have", ["Glasses", "hs-Glasses"])  # a group in common is not enough
def test_names_that_differ_are_refused(have):
    with pytest.raises(FormatError, match=f"toy: attribute 2 is '{have}', expected 'hs-Hat'"):
        rap.check_names(["Female", have], ["Female", "hs-Hat"], what="toy")


def test_guidance_next_to_the_images_is_found(v2_root):
    for folder in ("masks", "parsing"):
        (v2_root / folder).mkdir()
        (v2_root / folder / "CAM02-frame2.png").touch()
    manifest = rap2.read(v2_root, allow_missing=True)
    assert manifest.paths("mask") == [None, "masks/CAM02-frame2.png", None, None]
    assert manifest.paths("parsing") == [None, "parsing/CAM02-frame2.png", None, None]
