"""Adding a model, a loss or a data set: a module, one line in a mapping, a test, a row in the docs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from inspect import signature
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import passerby
import passerby.data.formats
import passerby.losses
import passerby.models
from passerby.bundle.batches import check_parsing
from passerby.cli import app
from passerby.config import Recipe
from passerby.data.manifest import Manifest
from passerby.errors import PasserbyError
from passerby.losses import AttributeLoss
from passerby.models.base import AttributeModel
from passerby.schema import Attribute, AttributeSchema
from passerby.training import train
from passerby.types import Batch, Guidance, Output

ROOT = Path(__file__).parents[1]
SCHEMA = AttributeSchema("toy", (Attribute("Red", "is red"), Attribute("Blue", "is blue")))


class ToyModel(AttributeModel):
    """A linear layer over the mean of three learned colours."""

    def __init__(self, schema: AttributeSchema, *, pretrained: object = False, bias: bool = True) -> None:
        super().__init__(schema)
        self.colours = nn.Conv2d(3, 3, kernel_size=1)
        self.classifier = nn.Linear(3, len(schema), bias=bias)

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        features = self.capture(self.colours(images))
        return Output(self.classifier(features.mean((2, 3))), features=features)


class ToyLoss(AttributeLoss):
    """Squared error."""

    def __init__(self, *, positive_ratio: Tensor, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, output: Output, labels: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        return {"total": self.scale * ((output.logits.sigmoid() - labels) ** 2).mean()}


def read_toy(root: Path, *, allow_missing: bool = False) -> Manifest:
    """Read file names like `0-red.png`."""
    files = sorted(p.name for p in (root / "photos").glob("*.png"))
    labels = [[int("red" in f), int("blue" in f)] for f in files]
    splits = [("train", "train", "val", "test")[i % 4] for i in range(len(files))]
    images = [f"photos/{f}" for f in files]
    return Manifest.create("toy", SCHEMA, root=root, images=images, labels=labels, partitions={"own": splits})


@pytest.fixture
def toy_root(tmp_path: Path) -> Path:
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for i in range(16):
        colour = ("red", "blue")[i % 2 ^ i // 8]
        Image.new("RGB", (16, 32), colour).save(tmp_path / "photos" / f"{i}-{colour}.png")
    return tmp_path


def toy_recipe(manifest: Path, folder: Path, **sections: object) -> Recipe:
    values: dict[str, object] = {
        "data": {"manifest": manifest, "partition": "own", "cache": folder / "cache"},
        "input": {"height": 32, "width": 16},
        "model": {"pretrained": False, "arguments": {"backbone": "test_resnet"}},
        "training": {"epochs": 1, "batch_size": 4, "accelerator": "cpu", "workers": 0},
    }
    return Recipe.model_validate({**values, **sections})


@pytest.fixture
def toy_manifest(toy_root: Path) -> Path:
    read_toy(toy_root).write(toy_root / "toy.parquet")
    return toy_root / "toy.parquet"


@pytest.fixture
def toy_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line in `MODELS`."""
    monkeypatch.setattr(passerby.models, "MODELS", {**passerby.models.MODELS, "toy": ToyModel})


def load_contract() -> ModuleType:
    spec = spec_from_file_location("contract", ROOT / "tests/models/test_contract.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("toy_model")
def test_a_new_model_can_be_trained_and_loaded(toy_manifest: Path, tmp_path: Path) -> None:
    model = {"name": "toy", "pretrained": False, "arguments": {"bias": False}}
    outcome = train(toy_recipe(toy_manifest, tmp_path, model=model), tmp_path / "run")
    bundle = passerby.load(outcome.bundle)
    assert type(bundle.model) is ToyModel
    assert bundle.model.classifier.bias is None
    assert bundle(tmp_path / "photos" / "0-red.png").names == ("Red", "Blue")


@pytest.mark.usefixtures("toy_model")
def test_a_new_model_is_under_contract(tmp_path: Path) -> None:
    contract = load_contract()
    assert {name for name, _ in contract.CASES.values()} == {*passerby.models.MODELS}
    assert contract.CASES["toy"] == ("toy", {})
    checks = [check for name, check in vars(contract).items() if name.startswith("test_")]
    assert len(checks) > 10
    for number, check in enumerate(checks):
        folder = tmp_path / str(number)
        folder.mkdir()
        check("toy", *([folder] if "tmp_path" in signature(check).parameters else []))


@pytest.mark.usefixtures("toy_model")
def test_a_new_model_is_in_lists_and_messages() -> None:
    assert "toy" in passerby.models.list_models()
    with pytest.raises(PasserbyError, match=r"sspnet, toy; did you mean toy"):
        passerby.models.create_model("toyy", schema=SCHEMA)
    with pytest.raises(PasserbyError, match="model 'toy' takes no 'backbone'; it takes bias"):
        passerby.models.create_model("toy", schema=SCHEMA, backbone="resnet50")


@pytest.mark.usefixtures("toy_model")
@pytest.mark.parametrize("options", [[], ["--model", "toy"]], ids=["all models", "one model"])
def test_a_new_model_is_in_the_table_of_sizes(options: list[str]) -> None:
    size = ["--size", "64x64", "--attributes", "2", "--json"]
    result = CliRunner().invoke(app, ["models", *options, *size])
    assert result.exit_code == 0, result.output
    counts = {count["model"]: count for count in json.loads(result.stdout)["counts"]}
    assert set(counts) == ({"toy"} if options else set(passerby.models.MODELS))
    assert counts["toy"]["parameters"] == (3 * 3 + 3) + (3 * 2 + 2)


def test_a_new_model_with_parsing_is_in_the_message_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    parsing = type("ParsingToy", (ToyModel,), {"has_parsing": True})
    monkeypatch.setattr(passerby.models, "MODELS", {"toy": ToyModel, "parsing-toy": parsing})
    model = passerby.models.create_model("toy", schema=SCHEMA)
    bundle = passerby.Bundle(model, passerby.types.Preprocess(32, 16))
    with pytest.raises(PasserbyError, match=r"a toy model computes no parsing maps.*: parsing-toy"):
        check_parsing(bundle.model)


def test_a_new_loss_can_be_trained(
    toy_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passerby.losses, "LOSSES", {**passerby.losses.LOSSES, "toy": ToyLoss})
    recipe = toy_recipe(toy_manifest, tmp_path, loss={"name": "toy", "arguments": {"scale": 2.0}})
    outcome = train(recipe, tmp_path / "run")
    assert 0 < outcome.val_scores["loss"] < 2.0
    with pytest.raises(PasserbyError, match=r"choose one of .*, toy"):
        passerby.losses.create_loss("toyy", positive_ratio=torch.tensor([0.5]))


def test_a_new_data_set_can_be_prepared(toy_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats = {**passerby.data.formats.FORMATS, "toy": read_toy}
    monkeypatch.setattr(passerby.data.formats, "FORMATS", formats)
    out = toy_root / "m.parquet"
    done = CliRunner().invoke(app, ["prepare", "toy", "--root", str(toy_root), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert Manifest.load(out).schema == SCHEMA


FAMILIES = pytest.mark.parametrize(
    ("mapping", "package", "page"),
    [
        (passerby.models.MODELS, "models", "models/index.md"),
        (passerby.losses.LOSSES, "losses", "reference/losses.md"),
        (passerby.data.formats.FORMATS, "data.formats", "reference/data-formats.md"),
    ],
    ids=["models", "losses", "data sets"],
)


@FAMILIES
def test_every_entry_has_a_row_in_the_docs(mapping: Mapping[str, object], package: str, page: str) -> None:
    rows = (ROOT / "docs" / page).read_text(encoding="utf-8")
    missing = [name for name in mapping if not re.search(rf"^\| \[?`{name}`", rows, re.MULTILINE)]
    assert not missing, f"add a row `| `name` | …` to docs/{page}"


@FAMILIES
def test_every_entry_has_a_test_module(mapping: Mapping[str, object], package: str, page: str) -> None:
    """Tests mirror the source: `passerby.models.diaa` has `tests/models/test_diaa.py`.

    Similar data sets may share one: `test_rap.py` imports `rap1` and `rap2`.
    """
    for entry in mapping.values():
        module = entry.__module__
        assert module.startswith(f"passerby.{package}.")
        *folders, name = module.split(".")[1:]
        path = ROOT.joinpath("tests", *folders, f"test_{name}.py")
        shared = rf"^from {re.escape('.'.join(module.split('.')[:-1]))} import .*\b{name}\b"
        sources = [each.read_text(encoding="utf-8") for each in path.parent.glob("test_*.py")]
        found = any(re.search(shared, source, re.MULTILINE) for source in sources)
        assert path.is_file() or found, f"add {path.relative_to(ROOT)}"
