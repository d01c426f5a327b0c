"""Checks of a recipe's files, splits and device before torch is imported and before images are packed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.bundle.storage import read_config
from passerby.config import Recipe
from passerby.data.cache import PackedCache
from passerby.data.manifest import Manifest
from passerby.devices import explain_missing_cuda
from passerby.errors import BundleError, DataError, ManifestError, TrainingError
from passerby.images.missing_files import describe_missing, find_all_similar
from passerby.io import find_weights_file
from passerby.weight_packages import PYPI, find_packaged_weights

__all__ = [
    "check_inputs",
    "find_predictions",
    "load_manifest",
    "resolve_partition",
    "select_training_rows",
]

_SUBSET_STREAM = 0x5B5E7
"""Separates the draw of the subset from other uses of a seed."""


def check_inputs(recipe: Recipe, *, test: bool = False) -> Recipe:
    """Check the device and all files and splits that a recipe names; return it with its partition.

    Args:
        recipe: If its partition is null, the only one of the manifest is taken.
        test: The test split is scored as well.

    Raises:
        ManifestError: If the manifest, the partition or the rows of a split are missing.
        DataError: If the folder of the images or images are missing, or teacher predictions.
        ModelError: If the weights file, or the package of the weights, is missing.
        BundleError: If there is no bundle at `model.init_from`, or its configuration is damaged.
        TrainingError: If the device is missing.
    """
    _check_device(recipe)
    _check_files(recipe)
    manifest = load_manifest(recipe)
    recipe = resolve_partition(recipe, manifest)
    data = recipe.data
    splits = list(dict.fromkeys((*data.train, data.val, *(["test"] if test else []))))
    rows = [_find_rows(recipe, manifest, split) for split in splits]
    _check_images(recipe, manifest, np.concatenate(rows))
    return recipe


def load_manifest(recipe: Recipe) -> Manifest:
    """The manifest of a recipe, with the recipe's root and attributes.

    Raises:
        ManifestError: If there is none; the message states how to make one or to name another.
    """
    data = recipe.data
    if not data.manifest.is_file():
        raise ManifestError(
            f"no manifest at {data.manifest}; create it with `passerby prepare … --out {data.manifest}`, or "
            "name another with --data (data.manifest in the recipe)"
        )
    manifest = Manifest.load(data.manifest, root=data.root)
    return manifest if data.attributes is None else manifest.select_attributes(data.attributes)


def resolve_partition(recipe: Recipe, manifest: Manifest) -> Recipe:
    """The recipe with the name of its partition: the manifest's only one, if the recipe names none.

    Raises:
        ManifestError: If the recipe names none and the manifest has several or none.
    """
    name = manifest.choose_partition(recipe.data.partition, option="--set data.partition=…")
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"partition": name})})


def select_training_rows(recipe: Recipe, manifest: Manifest) -> NDArray[np.int64]:
    """The training rows, ascending, or the part of them that `data.fraction` and `data.limit` select.

    The part depends on the seed; a larger part contains a smaller one.
    """
    data = recipe.data
    rows = np.sort(np.concatenate([_find_rows(recipe, manifest, split) for split in data.train]))
    count = max(1, round(data.fraction * len(rows)))
    count = min(count, len(rows) if data.limit is None else data.limit)
    if count == len(rows):
        return rows
    order = np.random.default_rng([_SUBSET_STREAM, recipe.seed]).permutation(len(rows))
    return np.sort(rows[order[:count]])


def find_predictions(path: Path) -> Path:
    """The file of predictions: the path itself, or the file that `passerby evaluate` wrote to a folder.

    Example:
        >>> find_predictions(Path("teachers/man.parquet")).name, find_predictions(Path("teachers/man")).name
        ('man.parquet', 'predictions.parquet')
    """
    return path if path.suffix == ".parquet" else path / "predictions.parquet"


def _find_rows(recipe: Recipe, manifest: Manifest, split: str) -> NDArray[np.int64]:
    name = recipe.data.partition_name
    try:
        return manifest.split_rows(name, split)
    except ManifestError as error:
        if name not in manifest.partition_names:
            raise
        use, change = _describe_use(recipe, split)
        raise ManifestError(
            f"{recipe.data.manifest}: {error}, {use}; assign the rows to splits with `passerby prepare … "
            f"--partition random` and set data.partition=random-0, or {change}"
        ) from error


def _describe_use(recipe: Recipe, split: str) -> tuple[str, str]:
    """What a split is needed for, and how to do without it."""
    if split in recipe.data.train:
        return "which data.train names", "train on another split, such as data.train=[val] with data.val=test"
    if split == recipe.data.val:
        return (
            "on which the best epoch is chosen",
            "choose it on another split with data.val=… (data.val=test needs protocol=select-on-test, and "
            "makes the test score too optimistic)",
        )
    return "which --test scores", "leave out --test"


def _check_device(recipe: Recipe) -> None:
    accelerator = recipe.training.accelerator
    if accelerator not in ("gpu", "cuda") or not sys.platform.startswith("linux"):
        return
    if reason := explain_missing_cuda():
        raise TrainingError(
            f"training.accelerator={accelerator}: no GPU, because {reason}; set it to auto or cpu"
        )


def _check_files(recipe: Recipe) -> None:
    """Refuse paths that do not exist, without reading the files."""
    data, model = recipe.data, recipe.model
    if data.root is not None and not data.root.is_dir():
        raise DataError(f"no folder of images at {data.root}; correct data.root, or leave it out")
    if model.init_from is not None:
        _check_bundle(model.init_from)
    elif model.pretrained == PYPI:
        if backbone := model.arguments.get("backbone"):  # else the default, which the model checks
            find_packaged_weights(str(backbone))
    elif isinstance(model.pretrained, str):
        find_weights_file(model.pretrained)
    for path in map(find_predictions, recipe.loss.teachers):
        if not path.is_file():
            raise DataError(
                f"no teacher predictions at {path}; write them with `passerby evaluate TEACHER --data "
                f"{data.manifest} --split train --out {path.parent}`, or correct loss.teachers"
            )


def _check_bundle(path: Path) -> None:
    on_hub = len(path.parts) == 2 and not path.is_absolute() and not Path(path.parts[0]).exists()
    if not path.exists() and not on_hub:
        raise BundleError(
            f"no bundle at {path}; correct model.init_from (the bundle of a run is <run folder>/bundle)"
        )
    if path.exists():
        read_config(path)


def _check_images(recipe: Recipe, manifest: Manifest, rows: NDArray[np.int64]) -> None:
    """Refuse missing images, unless they are packed already or the recipe skips some."""
    data = recipe.data
    if PackedCache.locate(manifest, recipe.input.create_preprocess(), data.cache).is_dir():
        return
    images = manifest.images
    missing = [images[row] for row in rows if not (manifest.root / images[row]).is_file()]
    if missing and (len(missing) == len(rows) or data.on_unreadable == "raise"):
        raise DataError(_describe_missing(missing, len(rows), manifest.root))


def _describe_missing(missing: Sequence[str], total: int, root: Path) -> str:
    if len(missing) < total:
        remedy = "; restore them, or skip them with data.on_unreadable=skip"
    elif find_all_similar(root, missing):
        remedy = ""  # the last line states it
    else:
        remedy = "; set data.root to their folder"
    return (
        f"{len(missing):,} of {total:,} images do not exist below {root}{remedy}:"
        f"{describe_missing(root, missing)}"
    )
