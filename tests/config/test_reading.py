import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from passerby.config import AugmentationSection, load_recipe
from passerby.data.augmentation import Augmentation
from passerby.errors import ConfigError
from passerby.evaluation.protocols import load_protocol
from passerby.losses import create_loss
from passerby.models import create_model
from passerby.schema import BODY_PARTS, Attribute, AttributeSchema

MINIMAL = "data: {manifest: people.parquet, partition: own}\n"


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(MINIMAL)
    return path


def test_defaults_are_the_strong_baselines(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path)
    assert (recipe.input.height, recipe.input.width) == (256, 192)
    assert (recipe.optimizer.name, recipe.optimizer.lr, recipe.optimizer.weight_decay) == ("adam", 1e-4, 5e-4)
    assert (recipe.schedule.name, recipe.schedule.factor, recipe.schedule.patience) == ("plateau", 0.1, 4)
    assert (recipe.training.epochs, recipe.training.batch_size, recipe.training.clip_norm) == (30, 64, 10)


def test_the_augmentation_of_a_recipe_is_that_of_the_library() -> None:
    assert AugmentationSection().model_dump() == asdict(Augmentation())


def test_crops_are_fractions_of_the_input(recipe_path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_path, ["augmentation.crop_sides=[1, 0.5]", "augmentation.crop_to=0.875"])
    assert Augmentation(**recipe.augmentation.model_dump()).crop_sides == (1.0, 0.5)
    again = tmp_path / "again.yaml"
    again.write_text(recipe.to_yaml())
    assert load_recipe(again) == recipe
    with pytest.raises(
        ConfigError, match=r"crop_to works only with crop_sides; set crop_sides, or leave crop_to at 1"
    ):
        load_recipe(recipe_path, ["augmentation.crop_to=0.875"])
    with pytest.raises(ConfigError, match=r"augmentation\.crop_sides\.0"):
        load_recipe(recipe_path, ["augmentation.crop_sides=[224]"])


def test_a_written_recipe_reads_back_equal(recipe_path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_path, ["optimizer.lr=3e-4", "training.ema=0.99", "schedule.name=cosine"])
    again = tmp_path / "again.yaml"
    again.write_text(recipe.to_yaml())
    assert load_recipe(again) == recipe


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optimizer.lr=1e-4", 1e-4),
        ("optimizer.lr=0.5", 0.5),
        ("optimizer.lr=1E-3", 1e-3),
    ],
)
def test_overrides_accept_exponents_without_a_point(
    recipe_path: Path, override: str, expected: float
) -> None:
    assert load_recipe(recipe_path, [override]).optimizer.lr == expected


def test_an_error_names_the_override_or_the_file(recipe_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^override training\.epoch=3:\n  training\.epoch: unknown key; "):
        load_recipe(recipe_path, ["seed=1", "training.epoch=3"])
    with pytest.raises(ConfigError, match=r"^override 'data.root=\$\{NOT_THERE_AT_ALL\}': the environment"):
        load_recipe(recipe_path, ["data.root=${NOT_THERE_AT_ALL}"])
    recipe_path.write_text(recipe_path.read_text() + "\nwrong: 1\n")
    with pytest.raises(ConfigError, match=f"^{re.escape(str(recipe_path))}:\n") as caught:
        load_recipe(recipe_path, ["training.epoch=3"])
    assert "wrong: unknown key" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lrr=1", r"optimizer\.lrr: unknown key; did you mean 'lr'\?"),
        ("optimiser.lr=1", r"optimiser: unknown key; did you mean 'optimizer'\?"),
        ("xyz=1", r"xyz: unknown key; valid keys are variant, seed"),
        ("optimizer.lr=-1", r"optimizer\.lr: expected a number above 0, got -1"),
        ("optimizer.name=adagrad", r"optimizer\.name: .*'adam', 'adamw' or 'sgd', got 'adagrad'"),
        ("schedule.warmup_epochs=2", r"schedule: schedule plateau has no warm-up"),
        ("schedule.name=step", r"schedule: milestones .* are required for schedule step"),
        ("schedule.name=inverse-time", r"schedule: decay .* is required for schedule inverse-time"),
        (
            "schedule.decay=1e-6",
            r"schedule: decay .* is required for schedule inverse-time and not allowed for others",
        ),
        ("training.epochs=0", r"training\.epochs: expected a number of at least 1, got 0$"),
        ("training.epochs=two", r"training\.epochs: expected a whole number, got 'two'$"),
        ("training.epochs=1.5", r"training\.epochs: expected a whole number, got 1\.5$"),
        ("training.compile=maybe", r"training\.compile: expected true or false, got 'maybe'$"),
        ("training=3", r"training: expected a section with keys, got 3$"),
        ("data.train=5", r"data\.train: expected a list, got 5$"),
        ("variant=7", r"variant: expected text, got 7$"),
        ("model.pretrained=3", r"model\.pretrained: expected true or false or text, got 3$"),
        ("data.val=", r"data\.val: "),
        ("seed", r"expected an override like optimizer\.lr=1e-4, got 'seed'"),
        ("seed.x=1", r"seed: "),
        ("seed=4294967296", r"seed: expected a number below 4294967296"),
        ("model.pretrained=${NOT_THERE_AT_ALL}/w", r"environment variable NOT_THERE_AT_ALL is not set"),
        ("data.partition=[", r"not valid YAML"),
    ],
)
def test_wrong_values_are_reported_with_their_key(recipe_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(recipe_path, [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.split=official-1", r"data\.split: renamed to data\.partition"),
        ("data.broken=skip", r"data\.broken: renamed to data\.on_unreadable"),
        ("data.on_unreadable=stop", r"data\.on_unreadable: the value stop was renamed to raise"),
        ("training.resident=true", r"training\.resident: renamed to training\.device_cache"),
        ("model.start_from=bundle", r"model\.start_from: renamed to model\.init_from"),
        ("protocol=honest", r"protocol: the value honest was renamed to default"),
        ("augmentation.hue=0.1", r"augmentation\.hue: removed; delete it"),
    ],
)
def test_renamed_keys_are_reported(recipe_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(recipe_path, [override])


def test_selecting_on_training_or_test_data_is_refused(recipe_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"val is among data\.train"):
        load_recipe(recipe_path, ["data.train=[train,val]"])
    with pytest.raises(ConfigError, match="select-on-test"):
        load_recipe(recipe_path, ["data.val=test"])
    recipe = load_recipe(
        recipe_path, ["data.val=test", "data.train=[train,val]", "protocol=threshold-0.45+select-on-test"]
    )
    assert load_protocol(recipe.protocol).threshold == 0.45


def test_a_warm_up_longer_than_the_run_is_refused(recipe_path: Path) -> None:
    changes = ["schedule.name=cosine", "training.epochs=5", "schedule.warmup_epochs=6"]
    with pytest.raises(
        ConfigError, match=r"recipe: schedule\.warmup_epochs exceeds the length of the run[^\n]*\)$"
    ):
        load_recipe(recipe_path, changes)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {partition: own}\n")
    with pytest.raises(ConfigError, match=r"data\.manifest: missing"):
        load_recipe(path)


def test_a_missing_or_invalid_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recipe at"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_recipe(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="expected a mapping"):
        load_recipe(tmp_path / "list.yaml")


def test_a_recipe_is_merged_over_the_one_it_extends(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "data: {manifest: m.parquet, partition: own, train: [train, val], val: test}\n"
        "protocol: select-on-test\n"
        "loss: {name: bce, arguments: {weighting: sb}}\n"
        "optimizer: {name: sgd, lr: 0.1, momentum: 0.7}\n"
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "middle.yaml").write_text(
        "extends: ../base.yaml\ndata: {train: [train]}\noptimizer: {lr: 0.2}\n"
    )
    (tmp_path / "top.yaml").write_text("extends: sub/middle.yaml\nloss: {name: focal}\nvariant: top\n")
    recipe = load_recipe(tmp_path / "top.yaml", ["optimizer.lr=0.3"])
    assert (recipe.data.partition, recipe.data.train, recipe.data.val) == ("own", ("train",), "test")
    assert recipe.variant == "top"
    assert recipe.loss.name == "focal"
    assert recipe.loss.arguments == {}  # not those of another loss
    assert (recipe.optimizer.name, recipe.optimizer.lr, recipe.optimizer.momentum) == ("sgd", 0.3, 0.7)
    assert load_recipe(tmp_path / "sub" / "middle.yaml").loss.arguments == {"weighting": "sb"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: none.yaml", r"no recipe at .*none\.yaml, to which .*a\.yaml refers"),
        ("extends: b.yaml", r"b\.yaml: circular extends: a\.yaml extends this recipe"),
        ("extends: a.yaml", r"a\.yaml: circular extends: a\.yaml extends this recipe"),
        ("extends: [b.yaml]", r"a\.yaml: extends: expected the path or name of another recipe"),
    ],
)
def test_an_invalid_extends_is_reported(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(f"{text}\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(ConfigError, match=message):
        load_recipe(tmp_path / "a.yaml")


def test_environment_variables_stand_for_paths(recipe_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSERBY_WEIGHTS", "/somewhere")
    recipe = load_recipe(recipe_path, ["model.pretrained=${PASSERBY_WEIGHTS}/w.safetensors"])
    assert recipe.model.pretrained == "/somewhere/w.safetensors"


@pytest.mark.parametrize(
    "path",
    sorted(p for p in (Path(__file__).parents[2] / "recipes").rglob("*.yaml") if p.parent.name != "suites"),
    ids=lambda p: f"{p.parent.name}/{p.stem}",
)
def test_packaged_recipes_are_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSERBY_WEIGHTS", "weights")
    recipe = load_recipe(path)
    build_model(recipe.model.name, json.dumps(recipe.model.arguments))
    rows, ratio = torch.arange(4), torch.full((3,), 0.5)
    create_loss(
        recipe.loss.name, positive_ratio=ratio, rows=rows, schema=tiny_schema(), **recipe.loss.arguments
    )


@cache
def build_model(name: str, arguments: str) -> None:
    with torch.device("meta"):
        create_model(name, schema=tiny_schema(), **json.loads(arguments))


def tiny_schema() -> AttributeSchema:
    return AttributeSchema("tiny", tuple(Attribute(f"a{i}", "has it") for i in range(3)))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(
            flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
        )
    return flat


ATTENTION = {"model.arguments.attention_stages", "model.name", "loss.name", "loss.arguments.history"}


@pytest.mark.parametrize(
    ("folder", "row", "below", "named"),
    [
        ("wider", "primary-resnet50", "primary-resnet101", {"model.arguments.backbone"}),
        ("wider", "primary-densenet121", "primary-resnet101", {"model.arguments.backbone"}),
        ("wider", "primary-resnet152", "primary-resnet101", {"model.arguments.backbone"}),
        ("wider", "primary-densenet201", "primary-resnet101", {"model.arguments.backbone"}),
        ("wider", "class-weights", "primary-resnet101", {"loss.arguments.weighting"}),
        ("wider", "focal", "class-weights", {"loss.name", "loss.arguments.gamma"}),
        ("wider", "attention", "focal", ATTENTION),
        ("wider", "attention-loss", "attention", {"loss.arguments.history"}),
        ("wider", "multi-scale", "attention", {"model.arguments.attention_stages"}),
        ("wider", "full", "multi-scale", {"loss.arguments.history"}),
        ("wider", "full", "../../wider", set()),
        ("wider", "no-confidence", "full", {"model.arguments.confidence_weighting"}),
        *(
            row
            for folder, plain in (("peta-densenet121", "primary"), ("peta-mobilenetv2-128x96", "baseline"))
            for row in (
                (folder, "class-weights", plain, {"loss.arguments.weighting"}),
                (folder, "focal", "class-weights", {"loss.name", "loss.arguments.gamma"}),
                (folder, "attention", "focal", ATTENTION),
                (folder, "score-aggregation", "attention", {"model.arguments.attention_stages"}),
                (folder, "feature-aggregation", "score-aggregation", {"model.arguments.aggregation"}),
                (folder, "full", "score-aggregation", {"loss.arguments.history"}),
            )
        ),
        ("peta-densenet121", "feature-upsample", "feature-aggregation", {"model.arguments.aggregation"}),
        ("peta-densenet121", "feature-max-pool", "feature-aggregation", {"model.arguments.aggregation"}),
        ("peta-densenet121", "full", "../../peta", {"model.arguments.backbone"}),
        ("peta", "primary-resnet101", "../peta-densenet121/primary", {"model.arguments.backbone"}),
    ],
)
def test_ablations_of_diaa_change_only_the_named_keys(
    folder: str, row: str, below: str, named: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments that only one of two models or losses has (`gamma`, `history` …) come in with it."""
    monkeypatch.setenv("PASSERBY_WEIGHTS", "weights")
    silent = {"model.arguments.aggregation": "score", "model.arguments.confidence_weighting": True}
    silent |= {"loss.arguments.window": 5, "loss.arguments.burn_in": 2}
    assert find_changes(f"diaa/ablations/{folder}", row, below, silent) == named


WHERE = "model.arguments.locations"
PRIOR = "model.arguments.spatial_prior"
OFFSETS = "model.arguments.offsets"
SCALES = {f"model.arguments.scales.{body_part}" for body_part in BODY_PARTS}
SELECTION = {"model.arguments.selection"}
SWIN = {"model.arguments.backbone", "model.arguments.backbone_arguments.img_size"}


@pytest.mark.parametrize(
    ("folder", "row", "below", "named"),
    [
        *(
            row
            for folder in ("pa100k", "peta-mobilenetv2-128x96")
            for row in (
                (folder, "afss", "sspnet-s", {WHERE, PRIOR}),
                (folder, "afss-offset", "sspnet-s", {PRIOR}),
                (folder, "afss-prior", "sspnet-s", {OFFSETS}),
                (folder, "ple", "sspnet-s", SELECTION | SCALES),
                (folder, "sspnet-k", "sspnet-s", {WHERE}),
                (folder, "sspnet-r", "sspnet-s", {WHERE, "model.arguments.smoothing"}),
            )
        ),
        ("pa100k", "sspnet-s", "../../pa100k", set()),
        ("pa100k", "sspnet-r-by-attribute", "sspnet-r", SELECTION),
        *(("pa100k", f"sspnet-r-p{scale}", "sspnet-r", SELECTION | SCALES) for scale in (1, 2, 3)),
        *(("pa100k", f"sspnet-k-offsets-{m}", "sspnet-k", {OFFSETS}) for m in (1, 2, 4, 5)),
        *(
            ("pa100k", f"sspnet-s-ratio-{r}", "sspnet-s", {"model.arguments.sampling_ratio"})
            for r in (25, 50, 100)
        ),
        *(("pa100k", f"sspnet-{sort}-swin", f"sspnet-{sort}", SWIN) for sort in "rks"),
        ("pa100k", "baseline-swin", "baseline", SWIN),
        (
            "pa100k",
            "baseline",
            "../../../baseline/peta",
            {"model.arguments.backbone"}
            | {"data.manifest", "data.partition", "training.batch_size", "training.ema"},
        ),
        (
            "peta-mobilenetv2-128x96",
            "baseline",
            "../../../diaa/ablations/peta-mobilenetv2-128x96/baseline",
            {"loss.arguments.weighting"},
        ),
    ],
)
def test_ablations_of_sspnet_change_only_the_named_keys(
    folder: str, row: str, below: str, named: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSERBY_WEIGHTS", "weights")
    assert find_changes(f"sspnet/ablations/{folder}", row, below, {}) == named


HIERARCHY = {"model.arguments.hierarchical", "loss.arguments.first_epochs"}
RATE = {"optimizer.lr"}


@pytest.mark.parametrize(
    ("folder", "row", "below", "named"),
    [
        *(
            row
            for folder in ("peta-mobilenetv2-128x96", "ccp-mobilenetv2-128x96")
            for row in (
                (folder, "attention", "s2", {"model.arguments.attention"}),
                (folder, "s2", "s1", {"model.arguments.predict_from"}),
                (folder, "s2", "multi-task", HIERARCHY),
            )
        ),
        *(
            row
            for folder in ("peta", "rap1")
            for row in (
                (folder, f"../../{folder}", "s2", {"model.arguments.attention", *RATE}),
                (folder, "s2", "s1", {"model.arguments.predict_from"}),
                (folder, "s2", "multi-task", HIERARCHY),
                (folder, f"../../{folder}-original", f"../../{folder}", {"loss.arguments.weighting"}),
            )
        ),
        (
            "ccp-mobilenetv2-128x96",
            "baseline",
            "../peta-mobilenetv2-128x96/baseline",
            {"data.manifest", "data.partition", "training.epochs", "training.batch_size", "training.ema"},
        ),
        (
            "peta-mobilenetv2-128x96",
            "baseline",
            "../../../diaa/ablations/peta-mobilenetv2-128x96/baseline",
            {"data.manifest", "loss.arguments.weighting"},
        ),
    ],
)
def test_ablations_of_mtms_change_only_the_named_keys(
    folder: str, row: str, below: str, named: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSERBY_WEIGHTS", "weights")
    silent = {"model.arguments.hierarchical": True, "model.arguments.attention": True}
    silent["model.arguments.predict_from"] = "stage2"
    found = find_changes(f"mtms/ablations/{folder}", row, below, silent)
    assert {name for name in found if not (name in silent and row == "baseline")} == named


SELF_MASKS, LEVELS, MASKED = (
    f"model.arguments.{name}" for name in ("self_mask_stages", "levels", "masked_attention")
)


@pytest.mark.parametrize(
    ("folder", "row", "below", "named"),
    [
        *(
            row
            for folder, whole in (
                ("wider", "negative"),
                ("peta-mobilenetv2-128x96", "full"),
                ("ccp-mobilenetv2-128x96", "full"),
            )
            for row in (
                (folder, "multi-level", whole, {SELF_MASKS, MASKED}),
                (folder, "self-mask", whole, {LEVELS, MASKED}),
                (folder, "masked-attention", whole, {LEVELS}),
                (folder, "baseline", whole, {"model.name"}),
            )
        ),
        *(
            row
            for folder in ("peta-mobilenetv2-128x96", "ccp-mobilenetv2-128x96")
            for row in (
                (folder, "unsupervised", "full", {"model.arguments.mask_supervision"}),
                (folder, "with-val", "full", {"data.train", "data.val", "protocol"}),
                (folder, "full-weighted", "full", {"loss.arguments.weighting"}),
                (folder, "full-mixed", "full", {"loss.arguments.weighting"}),
            )
        ),
        ("wider", "negative", "../../wider", {"loss.arguments.unknown"}),
        ("wider", "with-val", "../../wider", {"data.train", "data.val", "protocol"}),
        ("rap1", "original", "../../rap1", {"loss.arguments.weighting"}),
        ("rap1", "weighted", "../../rap1", {"loss.arguments.weighting"}),
        (
            "ccp-mobilenetv2-128x96",
            "full",
            "../peta-mobilenetv2-128x96/full",
            {
                *("data.manifest", "data.partition"),
                *(f"training.{name}" for name in ("epochs", "batch_size", "ema", "select")),
            },
        ),
    ],
)
def test_ablations_of_da_har_change_only_the_named_keys(
    folder: str, row: str, below: str, named: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSERBY_WEIGHTS", "weights")
    silent: dict[str, Any] = {
        SELF_MASKS: [1, 2, 3],
        LEVELS: [2, 3, 4],
        MASKED: True,
        "model.arguments.mask_supervision": True,
    }
    found = find_changes(f"da-har/ablations/{folder}", row, below, silent)
    own = {*silent, "model.arguments.fusion_channels", "model.arguments.attention_channels"}
    assert {name for name in found if not (name in own and row == "baseline")} == named


def find_changes(folder: str, row: str, below: str, silent: Mapping[str, Any]) -> set[str]:
    """Keys in which two recipes of a folder differ; `silent` contains defaults that only one of them sets."""
    rows = Path(__file__).parents[2] / "recipes" / folder
    one, other = (
        {**silent, **flatten(load_recipe(rows / f"{name}.yaml").model_dump())} for name in (row, below)
    )
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)} - {"variant"}
