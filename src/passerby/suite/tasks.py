"""Functions that the worker processes of a suite call, with plain JSON values as arguments.

Each imports its dependencies itself: a worker process runs only one of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from passerby.config import LocalizationSection, TestSection, load_recipe

if TYPE_CHECKING:
    from passerby.bundle import Bundle
    from passerby.evaluation import Evaluation, Loading

__all__ = ["TASKS", "calibrate", "evaluate", "evaluate_localization", "train"]

LOCALIZATION_BATCH_SIZE = 16
"""Smaller than for `evaluate`: the heat maps of all attributes are in memory at the input size."""

logger = logging.getLogger(__name__)


def train(*, recipe: str, run: str, results: str) -> None:
    """Train by a recipe, resuming an unfinished run, and evaluate the bundle on the test split.

    Args:
        recipe: Path of the recipe.
        run: Path of the run folder.
        results: Folder of score files.
    """
    loaded = load_recipe(recipe)
    from passerby.training.seeds import train_seeds  # after a wrong recipe is reported

    train_seeds(
        loaded, Path(run), seeds=(loaded.seed,), resume=True, start_missing=True, results=Path(results)
    )


def evaluate(
    *,
    bundle: str,
    test: Mapping[str, Any],
    loading: Mapping[str, Any],
    protocol: str = "default",
    out: str | None = None,
    result: str | None = None,
) -> None:
    """Evaluate a bundle on a split.

    Args:
        bundle: Path of the bundle.
        test: Fields of `passerby.config.TestSection`.
        loading: `cache`, `device`, `on_unreadable` and `workers` of `passerby.evaluation.Loading`.
        protocol: Name of the evaluation protocol.
        out: Folder for scores and predictions.
        result: Path of the score file.
    """
    from passerby.bundle import Bundle

    section = TestSection.model_validate(test)
    evaluation = _evaluate(Bundle.load(bundle), section, loading, protocol=protocol)
    if out is not None:
        evaluation.write(Path(out))
    if result is not None:
        evaluation.write_result(Path(result))
    scores = "  ".join(f"{name} {value:.2%}" for name, value in evaluation.summary().items())
    logger.info("%s %s/%s: %s", evaluation.dataset, section.partition, section.split, scores)


def evaluate_localization(
    *, bundle: str, test: Mapping[str, Any], loading: Mapping[str, Any], result: str
) -> None:
    """Evaluate the heat maps of a bundle on a split.

    Args:
        bundle: Path of the bundle.
        test: Fields of `passerby.config.LocalizationSection`.
        loading: As for `evaluate`.
        result: Path of the score file.
    """
    from passerby.bundle import Bundle
    from passerby.data.label_map import LabelMap
    from passerby.data.manifest import Manifest
    from passerby.evaluation.localization import HeatMapSettings, SamplingSettings
    from passerby.evaluation.localization import evaluate_localization as run_evaluation

    section = LocalizationSection.model_validate(test)
    scores = run_evaluation(
        Bundle.load(bundle),
        Manifest.load(section.manifest, root=section.root),
        partition=section.partition,
        split=section.split,
        label_map=None if section.label_map is None else LabelMap.load_truth(section.label_map),
        heat_maps=HeatMapSettings(method=section.method),
        sampling=SamplingSettings(min_area_px=section.min_area_px),
        loading=_create_loading(loading, batch_size=LOCALIZATION_BATCH_SIZE),
    )
    logger.info("scores in %s", scores.write(Path(result)))


def calibrate(
    *,
    bundle: str,
    test: Mapping[str, Any],
    loading: Mapping[str, Any],
    goal: Literal["mA", "f1"],
    out: str,
) -> None:
    """Choose the thresholds of a bundle on a split, and save a bundle with them.

    Args:
        bundle: Path of the bundle.
        test: Fields of `passerby.config.TestSection`.
        loading: As for `evaluate`.
        goal: Score that the thresholds maximise.
        out: Path of the new bundle.
    """
    from passerby.bundle import Bundle
    from passerby.data.manifest import Manifest
    from passerby.evaluation.calibration import calibrate as run_calibration
    from passerby.evaluation.calibration import check_calibration

    section, loaded = TestSection.model_validate(test), Bundle.load(bundle)
    dataset = Manifest.load(section.manifest, root=section.root).dataset
    check_calibration(loaded.metadata, dataset, section.partition, section.split)
    calibrated = run_calibration(loaded, _evaluate(loaded, section, loading), goal=goal, rename=True)
    calibrated.save(Path(out))
    logger.info("%s; saved in %s", calibrated.metadata["calibration"], out)


TASKS: Final[Mapping[str, Callable[..., None]]] = MappingProxyType(
    {
        "train": train,
        "evaluate": evaluate,
        "evaluate-localization": evaluate_localization,
        "calibrate": calibrate,
    }
)
"""The functions that a `passerby.suite.jobs.Step` can call."""


def _evaluate(
    bundle: Bundle, section: TestSection, loading: Mapping[str, Any], *, protocol: str = "default"
) -> Evaluation:
    from passerby.data.label_map import LabelMap
    from passerby.data.manifest import Manifest
    from passerby.evaluation import evaluate as run_evaluation

    return run_evaluation(
        bundle,
        Manifest.load(section.manifest, root=section.root),
        partition=section.partition,
        split=section.split,
        protocol=protocol,
        label_map=None if section.label_map is None else LabelMap.load(section.label_map),
        loading=_create_loading(loading),
    )


def _create_loading(values: Mapping[str, Any], *, batch_size: int = 128) -> Loading:
    from passerby.evaluation import Loading

    return Loading(**{**values, "cache": Path(values["cache"]), "batch_size": batch_size})
