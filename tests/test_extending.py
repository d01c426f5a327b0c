"""A model, loss or data set of one's own: a module, one line in a mapping, a test, a row in the docs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import passerby.data.formats
import passerby.losses
import passerby.models
from passerby.cli import app
from passerby.config import Recipe
from passerby.data.manifest import Manifest
from passerby.models.base import AttributeModel
from passerby.schema import Attribute, AttributeSchema
from passerby.training import train
from passerby.types import Batch, Guidance, Output

ROOT = Path(__file__).parents[1]
SCHEMA = AttributeSchema("toy", (Attribute("Red", "is red"), Attribute("Blue", "is blue")))


class ToyModel(AttributeModel):
    """Looks at mean colours only."""

    def __init__(self, schema: AttributeSchema, *, pretrained: object = False, bias: bool = True) -> None:
        super().__init__(schema)
        self.classifier = nn.Linear(3, len(schema), bias=bias)

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        return Output(self.classifier(images.mean((2, 3))), features=images)


class ToyLoss(nn.Module):
    """Squared error."""

    def __init__(self, *, positive_ratio: Tensor, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, output: Output, labels: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        return {"total": self.scale * ((output.logits.sigmoid() - labels) ** 2).mean()}


def read_toy(root: Path, *, allow_missing: bool = False) -> Manifest:
    """Reads file names like `0-red.png`."""
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


def test_one_line_makes_a_model_known_everywhere(
    toy_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passerby.models, "MODELS", {**passerby.models.MODELS, "toy": ToyModel})
    recipe = toy_recipe(
        toy_manifest, tmp_path, model={"name": "toy", "pretrained": False, "arguments": {"bias": False}}
    )
    outcome = train(recipe, tmp_path / "run", say=lambda line: None)
    bundle = passerby.load(outcome.bundle)
    assert type(bundle.model) is ToyModel
    assert bundle.model.classifier.bias is None
    assert bundle(tmp_path / "photos" / "0-red.png").names == ("Red", "Blue")


def test_one_line_makes_a_loss_known_everywhere(
    toy_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passerby.losses, "LOSSES", {**passerby.losses.LOSSES, "toy": ToyLoss})
    recipe = toy_recipe(toy_manifest, tmp_path, loss={"name": "toy", "arguments": {"scale": 2.0}})
    outcome = train(recipe, tmp_path / "run", say=lambda line: None)
    assert 0 < outcome.val_scores["loss"] < 2.0


def test_one_line_makes_a_data_set_known_everywhere(toy_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    formats = {**passerby.data.formats.FORMATS, "toy": read_toy}
    monkeypatch.setattr(passerby.data.formats, "FORMATS", formats)
    done = CliRunner().invoke(
        app, ["prepare", "toy", "--root", str(toy_root), "--out", str(toy_root / "m.parquet")]
    )
    assert done.exit_code == 0, done.output
    assert Manifest.load(toy_root / "m.parquet").schema == SCHEMA


@pytest.mark.parametrize(
    ("mapping", "page", "tests"),
    [
        (lambda: passerby.models.MODELS, "models", "models"),
        (lambda: passerby.losses.LOSSES, "losses", "losses"),
        (lambda: passerby.data.formats.FORMATS, "datasets", "data/formats"),
    ],
    ids=["models", "losses", "datasets"],
)
def test_every_entry_has_its_row_and_its_test(
    mapping: Callable[[], dict[str, object]], page: str, tests: str
) -> None:
    rows = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    sources = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests" / tests).glob("test_*.py"))
    for name, thing in mapping().items():
        assert f"| `{name}` |" in rows, f"{name} has no row in docs/{page}.md"
        module = getattr(thing, "__module__", "").rsplit(".", 1)[-1]
        assert module in sources or name in sources, f"{name} has no test in tests/{tests}/"


def test_an_unknown_name_lists_the_valid_ones() -> None:
    from passerby.errors import PasserbyError

    with pytest.raises(PasserbyError, match="baseline"):
        passerby.models.create_model("nonsense", schema=SCHEMA)
    with pytest.raises(PasserbyError, match="bce"):
        passerby.losses.create_loss("nonsense", positive_ratio=torch.tensor([0.5]))
