"""Scores with the predictions behind them, checked to be of the same people under the same rules."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from passerby.errors import ConfigError, DataError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.predictions import Predictions
from passerby.evaluation.protocols import load_protocol
from passerby.evaluation.results import Result, find_score_files, identify
from passerby.metrics.bootstrap import WeightedMetrics
from passerby.metrics.functional import METRICS

__all__ = ["Source", "find_sources", "pair_sources"]

_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Source:
    """One score and its predictions.

    Args:
        path: The score file or the evaluation folder, for messages.
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
                f"{self.path}: expected a threshold in [0, 1] for each attribute; evaluate the bundle anew"
            )
        if set(values) != set(self.predictions.names) or not len(self.predictions):
            raise DataError(f"{self.path}: its predictions are of other attributes; evaluate the bundle anew")
        object.__setattr__(self, "thresholds", values)
        found = self.weigh(METRICS).compute(np.ones((len(self.predictions), 1)))
        for name in METRICS:
            noted, value = self.result.metrics[name], float(found[name][0])
            if not abs(noted - value) <= _TOLERANCE:
                raise DataError(
                    f"{self.path} says {name} {noted:.6f}, its predictions give {value:.6f}; the files do "
                    "not belong together, evaluate the bundle anew"
                )

    def weigh(self, metrics: Sequence[str]) -> WeightedMetrics:
        """The metrics of these predictions under multiplicities."""
        return WeightedMetrics(
            self.predictions.probs,
            self.predictions.labels,
            thresholds=[self.thresholds[name] for name in self.predictions.names],
            unknown=load_protocol(self.result.protocol["name"]).unknown,
            metrics=metrics,
        )


def find_sources(paths: Sequence[Path], *, say: Callable[[str], None] | None = None) -> list[Source]:
    """Read score files, folders of score files and evaluation folders, each once.

    Args:
        say: Hears which score files *of a folder* are left out for want of their predictions; without it, and
            for a file that was named itself, that is an error.

    Raises:
        DataError: If a path holds no score, predictions are missing, or a file is damaged.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        is_evaluation = path.is_dir() and (path / "evaluation.json").is_file()
        for file in [path] if is_evaluation else find_score_files(path):
            found.setdefault(file.resolve(), file)
    scores = {file: Result.load(file) for file in found.values() if not file.is_dir()}
    missing = [file for file in scores if not _find_sibling(file).is_file()]
    named = {Path(path).resolve() for path in paths}
    kept = {key: file for key, file in found.items() if file not in missing}
    if missing:
        reason = _describe_missing(missing, scores[missing[0]])
        if say is None or not kept or any(file.resolve() in named for file in missing):
            raise DataError(reason)
        _check_whole_runs(missing, scores)
        say(f"left out, {reason}")
    found = kept
    return [_load_source(file, scores.get(file)) for file in found.values()]


def _check_whole_runs(missing: Sequence[Path], scores: Mapping[Path, Result]) -> None:
    """Refuse to leave out some seeds of a run and keep others: its mean would be another."""
    lost = [identify(scores[file]) for file in missing]
    for file, result in scores.items():
        if file not in missing and identify(result) in lost:
            gap = missing[lost.index(identify(result))]
            raise DataError(f"{_describe_missing([gap], scores[gap])}; other seeds of that run have theirs")


def _find_sibling(file: Path) -> Path:
    return file.with_suffix(".parquet")


def _describe_missing(files: Sequence[Path], result: Result) -> str:
    words = ["--partition", result.partition, "--split", result.split, "--protocol", result.protocol["name"]]
    words += ["--five-crops"] * ("crops" in result.protocol)
    words += ["--result", files[0]]
    command = " ".join(shlex.quote(str(word)) for word in words)
    others = "".join(f", {_find_sibling(file)}" for file in files[1:])
    return (
        f"no predictions at {_find_sibling(files[0])}{others}; intervals need them, and they are not kept "
        f"with the code: `passerby evaluate BUNDLE --data MANIFEST {command}` writes them beside the score"
        f"{', and so for the others' if others else ''}"
    )


def _load_source(path: Path, result: Result | None) -> Source:
    if result is not None:
        return Source(path, result, Predictions.load(_find_sibling(path)).sort())
    evaluation = Evaluation.load(path)
    try:
        result = evaluation.to_result()
    except DataError as error:
        raise DataError(
            f"{path}: {error}; write a score file with `passerby evaluate … --result`, which takes --seed "
            "and --variant"
        ) from error
    return Source(path, result, evaluation.predictions.sort())


def pair_sources(sources: Sequence[Source]) -> list[Source]:
    """The same scores with people and attributes in one order.

    Raises:
        DataError: If they are not of the same test set and attributes with the same labels.
        ConfigError: If protocols differ, or thresholds that were not chosen on the validation split.
    """
    first = sources[0]
    paired = [first, *(_pair(first, other) for other in sources[1:])]
    plain = [source for source in paired if "calibration" not in source.result.protocol]
    for other in plain[1:]:
        _check_thresholds(plain[0], other)
    return paired


def _check_thresholds(first: Source, other: Source) -> None:
    """Refuse different thresholds."""
    moved = [name for name, value in first.thresholds.items() if other.thresholds[name] != value]
    if moved:
        raise ConfigError(
            f"{first.path} and {other.path} have different thresholds, such as "
            f"{first.thresholds[moved[0]]:g} and {other.thresholds[moved[0]]:g} for {moved[0]}; evaluate "
            "both with --protocol threshold-0.5"
        )


def _pair(first: Source, other: Source) -> Source:
    a, b = first.result, other.result
    both = f"{first.path} and {other.path}"
    if (a.dataset, a.partition, a.split) != (b.dataset, b.partition, b.split):
        raise DataError(
            f"{both} are of different test sets: {a.dataset} {a.partition}/{a.split} and {b.dataset} {b.partition}/{b.split}; "
            "give the paths of one"
        )
    one_more = sorted(set(first.thresholds) ^ set(other.thresholds))
    if one_more:
        raise DataError(f"{both} are of different attributes; only one has {', '.join(one_more[:5])}")
    if a.protocol["name"] != b.protocol["name"]:
        raise ConfigError(
            f"{both} have different protocols: {a.protocol['name']} and {b.protocol['name']}; evaluate both "
            "under one"
        )
    paired = Source(other.path, b, other.predictions.select(first.predictions.names))
    _check_people(first.predictions, paired.predictions, both)
    return paired


def _check_people(a: Predictions, b: Predictions, both: str) -> None:
    advice = "evaluate both on the same manifest, without leaving pictures out"
    if list(a.images) != list(b.images) or list(a.boxes) != list(b.boxes):
        alone = sorted(set(a.images) ^ set(b.images))
        example = f", such as {alone[0]}" if alone else ""
        raise DataError(
            f"{both} are of different test sets: {len(a):,} and {len(b):,} people, {len(alone):,} pictures "
            f"are in one only{example}; {advice}"
        )
    wrong = np.argwhere(a.labels != b.labels)
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"{both} have different labels in {len(wrong):,} cells, such as {a.names[column]} of "
            f"{a.images[row]}; {advice}"
        )
