"""Scores with their predictions, checked to be of the same samples under the same rules."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from passerby.comparison.aggregate import identify_recipe
from passerby.errors import ConfigError, DataError
from passerby.evaluation.predictions import Predictions
from passerby.evaluation.protocols import COUNT_UNMEASURABLE, load_protocol
from passerby.evaluation.results import EVALUATION_FILE, Result
from passerby.evaluation.score_files import locate_predictions, read_results
from passerby.evaluation.scoring import are_close
from passerby.metrics.bootstrap import WeightedMetrics
from passerby.metrics.names import METRICS

__all__ = ["Source", "find_sources", "pair_sources"]

_TOLERANCE = 1e-5
_EXPLAIN_OLD = (
    f" (score files of passerby up to 0.2 follow {COUNT_UNMEASURABLE} if an attribute lacks positives or "
    "negatives)"
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Source:
    """One score and its predictions.

    Args:
        path: The score file or `evaluation.json`, for messages.
        result: The score.
        predictions: The predictions.

    Attributes:
        thresholds: By attribute, from the score file.

    Raises:
        DataError: If score and predictions do not belong together; the message names the file.
    """

    path: Path
    result: Result
    predictions: Predictions
    thresholds: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        values = {k: v.get("threshold") for k, v in self.result.metrics["per_attribute"].items()}
        if not all(isinstance(v, int | float) and 0 <= v <= 1 for v in values.values()):
            raise DataError(
                f"{self.path}: expected a threshold in [0, 1] for each attribute; evaluate the bundle again"
            )
        if set(values) != set(self.predictions.names) or not len(self.predictions):
            raise DataError(f"{self.path}: its predictions have other attributes; evaluate the bundle again")
        object.__setattr__(self, "thresholds", values)
        found = self.weigh(METRICS).compute(np.ones((len(self.predictions), 1)))
        for name in METRICS:
            stored, value = self.result.get_score(name), float(found[name][0])
            if not are_close(stored, value, tolerance=_TOLERANCE):
                raise DataError(
                    f"{self.path} states {name} {stored:.6f}, its predictions give {value:.6f}; the files do "
                    "not belong together, evaluate the bundle again"
                )

    def weigh(self, metrics: Sequence[str]) -> WeightedMetrics:
        """The metrics of the predictions under multiplicities."""
        protocol = load_protocol(self.result.protocol["name"])
        return WeightedMetrics(
            self.predictions.probs,
            self.predictions.labels,
            thresholds=[self.thresholds[name] for name in self.predictions.names],
            unknown=protocol.unknown,
            unmeasured=protocol.unmeasured,
            metrics=metrics,
        )


def find_sources(paths: Sequence[Path], *, skip_missing: bool = False) -> list[Source]:
    """Read score files, evaluation folders, run folders and folders of these, each evaluation once.

    Args:
        paths: The paths.
        skip_missing: Leave out score files *of a folder* without predictions, and log a message. By default,
            and for a file that is passed itself, that is an error.

    Raises:
        DataError: If a path contains no score, predictions are missing, or a file is damaged.
    """
    results = read_results(paths)
    missing = [file for file in results if not locate_predictions(file).is_file()]
    if missing:
        message = _describe_missing(missing, results[missing[0]])
        passed = {file.resolve() for path in map(Path, paths) for file in (path, path / EVALUATION_FILE)}
        if (
            not skip_missing
            or len(missing) == len(results)
            or any(file.resolve() in passed for file in missing)
        ):
            raise DataError(message)
        _check_complete_runs(missing, results)
        logger.warning("left out: %s", message)
    return [
        Source(file, result, Predictions.load(locate_predictions(file)).sort())
        for file, result in results.items()
        if file not in missing
    ]


def _check_complete_runs(missing: Sequence[Path], results: Mapping[Path, Result]) -> None:
    """Refuse to leave out some seeds of a run only, as that changes its mean."""
    incomplete = [identify_recipe(results[file]) for file in missing]
    for file, result in results.items():
        if file not in missing and identify_recipe(result) in incomplete:
            gap = missing[incomplete.index(identify_recipe(result))]
            raise DataError(f"{_describe_missing([gap], results[gap])}; other seeds of that run have theirs")


def _describe_missing(files: Sequence[Path], result: Result) -> str:
    first = files[0]
    words = ["--partition", result.partition, "--split", result.split, "--protocol", result.protocol["name"]]
    words += ["--five-crops"] * ("crops" in result.protocol)
    if "limit" in result.protocol:
        words += ["--limit", result.protocol["limit"].split()[0].replace(",", "")]
    words += ["--out", str(first.parent)] if first.name == EVALUATION_FILE else ["--result", str(first)]
    others = "".join(f", {locate_predictions(file)}" for file in files[1:])
    return (
        f"no predictions at {locate_predictions(first)}{others}; intervals need them, and git ignores them: "
        f"`passerby evaluate BUNDLE --data MANIFEST {shlex.join(words)}` writes them next to the score"
        f"{', likewise for the others' if others else ''}"
    )


def pair_sources(sources: Sequence[Source]) -> list[Source]:
    """Bring the samples and attributes of all scores into one order.

    Raises:
        DataError: If test set, attributes or labels differ.
        ConfigError: If protocols differ, or thresholds that were not calibrated.
    """
    first = sources[0]
    paired = [first, *(_pair(first, other) for other in sources[1:])]
    uncalibrated = [source for source in paired if "calibration" not in source.result.protocol]
    for other in uncalibrated[1:]:
        _check_thresholds(uncalibrated[0], other)
    return paired


def _check_thresholds(first: Source, other: Source) -> None:
    """Refuse different thresholds."""
    different = [name for name, value in first.thresholds.items() if other.thresholds[name] != value]
    if different:
        raise ConfigError(
            f"{first.path} and {other.path} have different thresholds, such as "
            f"{first.thresholds[different[0]]:g} and {other.thresholds[different[0]]:g} for "
            f"{different[0]}; evaluate both with --protocol threshold-0.5"
        )


def _pair(first: Source, other: Source) -> Source:
    a, b = first.result, other.result
    both = f"{first.path} and {other.path}"
    if (a.dataset, a.partition, a.split) != (b.dataset, b.partition, b.split):
        raise DataError(
            f"{both} are of different test sets: {a.dataset} {a.partition}/{a.split} and {b.dataset} "
            f"{b.partition}/{b.split}; pass the paths of one"
        )
    unshared = sorted(set(first.thresholds) ^ set(other.thresholds))
    if unshared:
        raise DataError(f"{both} have different attributes; only one has {', '.join(unshared[:5])}")
    if a.protocol["name"] != b.protocol["name"]:
        raise ConfigError(
            f"{both} have different protocols: {a.protocol['name']} and {b.protocol['name']}; evaluate both "
            f"under one{_EXPLAIN_OLD if _counts(a) != _counts(b) else ''}"
        )
    paired = Source(other.path, b, other.predictions.select(first.predictions.names))
    _check_samples(first.predictions, paired.predictions, both)
    return paired


def _counts(result: Result) -> bool:
    """Whether attributes that cannot be measured count as 0."""
    return load_protocol(result.protocol["name"]).unmeasured == "zero"


def _check_samples(a: Predictions, b: Predictions, both: str) -> None:
    advice = "evaluate both on the same manifest, without skipping images"
    if list(a.images) != list(b.images) or list(a.boxes) != list(b.boxes):
        unshared = sorted(set(a.images) ^ set(b.images))
        example = f", such as {unshared[0]}" if unshared else ""
        raise DataError(
            f"{both} are of different test sets: {len(a):,} and {len(b):,} samples, {len(unshared):,} "
            f"images are in one only{example}; {advice}"
        )
    different = np.argwhere(a.labels != b.labels)
    if len(different):
        row, column = different[0]
        raise DataError(
            f"{both} have different labels in {len(different):,} cells, such as {a.names[column]} of "
            f"{a.images[row]}; {advice}"
        )
