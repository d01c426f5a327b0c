"""Compare runs on one test set: paired bootstrap intervals of their differences to a baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from passerby.comparison.pairing import Source, find_sources, pair_sources
from passerby.comparison.run_comparison import ComparedRun, Comparison, Interval
from passerby.errors import ConfigError, DataError
from passerby.evaluation.evaluation import restore_parsing
from passerby.evaluation.predictions import Predictions
from passerby.evaluation.results import Aggregate, aggregate, find_commit
from passerby.evaluation.run_names import describe_facts, find_run, name_rows
from passerby.metrics.bootstrap import draw_multiplicities
from passerby.metrics.functional import METRICS

__all__ = ["DEFAULT_METRICS", "compare"]

DEFAULT_METRICS = ("mA", "f1", "mAP")

Progress = Callable[[int, int], None]
Samples = Mapping[str, NDArray[np.float64]]


def compare(
    paths: Sequence[Path],
    *,
    baseline: str,
    metrics: Sequence[str] = DEFAULT_METRICS,
    resamples: int = 1000,
    level: float = 0.95,
    by: Literal["image", "identity"] = "image",
    seed: int = 0,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare runs, seeds averaged, to one of them.

    In each resample people of the test set are drawn with replacement, the same for all runs. The statistic
    of a run is the mean over its seeds of the metric on those people; runs may differ in their seeds.

    Paper:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: percentile intervals.

    Args:
        paths: Score files with their predictions beside them, folders of such, or evaluation folders.
        baseline: Variant, model, `model · backbone · variant`, or line in the table of the run to compare
            to.
        metrics: The metrics that get an interval.
        resamples: How many; the ends of a 95 % interval need about a thousand.
        level: Level of the intervals, between 0 and 1.
        by: Draw images, or identities with all their images. People who are shown several times make the
            intervals by image too narrow.
        seed: Seed of the draws.
        progress: Called with the number of models resampled and of all.
        say: Hears which score files of a folder are left out, because their predictions are missing; without
            it that is an error.

    Raises:
        ConfigError: If an option is out of range, no single run has the name of the baseline, or protocols or
            thresholds differ.
        DataError: If predictions are missing or damaged, or the runs were not scored on the same people and
            attributes.
    """
    _check_options(metrics, resamples, level)
    sources = pair_sources(find_sources(paths, say=say))
    runs = _put_first(aggregate([source.result for source in sources]), baseline)
    groups = number_groups(sources[0].predictions, by)
    samples = {}
    for i, source in enumerate(sources):
        sample = _resample(source, groups, metrics=metrics, resamples=resamples, seed=seed)
        samples[id(source.result)] = sample
        if progress is not None:
            progress(i + 1, len(sources))
    means = [_average([samples[id(result)] for result in run.results], metrics) for run in runs]
    differences = [
        {m: _measure(run.mean[m] - runs[0].mean[m], mean[m] - means[0][m], level) for m in metrics}
        for run, mean in zip(runs[1:], means[1:], strict=True)
    ]
    return Comparison(
        runs=tuple(map(_describe_run, runs, [None, *differences])),
        metrics=tuple(metrics),
        resamples=resamples,
        level=level,
        by=by,
        seed=seed,
        n_samples=len(groups),
        n_clusters=int(groups.max()) + 1,
        incomplete=_count_incomplete(sources[0], groups, resamples=resamples, seed=seed),
        commit=find_commit(),
    )


def _check_options(metrics: Sequence[str], resamples: int, level: float) -> None:
    wrong = [name for name in metrics if name not in METRICS]
    if wrong or not metrics or len(set(metrics)) < len(metrics):
        raise ConfigError(f"expected different metrics of {', '.join(METRICS)}; got {', '.join(metrics)}")
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(
            f"expected at least one resample and a level between 0 and 1, got {resamples} and {level:g}"
        )


def _put_first(runs: Sequence[Aggregate], name: str) -> list[Aggregate]:
    """The runs with the baseline first."""
    if len(runs) < 2:
        raise DataError(
            f"expected at least two runs to compare, got {len(runs)} with predictions ({runs[0].title}); "
            "give more paths"
        )
    labels = name_rows([describe_facts(run.first, seeds=len(run.results)) for run in runs])[1]
    first = find_run(name, [run.first for run in runs], labels)
    return [runs[first], *runs[:first], *runs[first + 1 :]]


def number_groups(people: Predictions, by: Literal["image", "identity"]) -> NDArray[np.int64]:
    """What is drawn together: each row by itself, or all rows of an identity; those of none by themselves.

    Shape:
        returns: (N,) numbers 0 … G − 1.

    Raises:
        ConfigError: If `by` is neither.
        DataError: If no identity is known.
    """
    if by == "image":
        return np.arange(len(people))
    if by != "identity":
        raise ConfigError(f"expected by image or identity, got {by!r}")
    if all(identity is None for identity in people.identities):
        raise DataError("expected identities to draw, but the data set has none; use --by image")
    keys = [(i, "") if identity is None else (-1, identity) for i, identity in enumerate(people.identities)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.asarray([numbers[key] for key in keys], np.int64)


def _resample(
    source: Source, groups: NDArray[np.int64], *, metrics: Sequence[str], resamples: int, seed: int
) -> Samples:
    """The metrics of one model in each resample; (B,) each."""
    weighted = source.weigh(metrics)
    draws = draw_multiplicities(groups, resamples=resamples, seed=seed)
    chunks = [weighted.compute(multiplicities) for multiplicities in draws]
    samples = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in metrics}
    lost = max(int(np.isnan(values).sum()) for values in samples.values())
    if lost:
        raise DataError(
            f"in {lost:,} of {resamples:,} resamples no attribute has a positive, so that mAP cannot be "
            "measured; expected a larger test set, or --metric without mAP"
        )
    return samples


def _count_incomplete(source: Source, groups: NDArray[np.int64], *, resamples: int, seed: int) -> int:
    """In how many resamples an attribute lost all its positives, or all its negatives."""
    weighted = source.weigh(())
    draws = draw_multiplicities(groups, resamples=resamples, seed=seed)
    return sum(int(weighted.find_incomplete(multiplicities).sum()) for multiplicities in draws)


def _average(samples: Sequence[Samples], metrics: Sequence[str]) -> Samples:
    """The mean over the seeds in each resample."""
    return {name: np.mean([sample[name] for sample in samples], axis=0) for name in metrics}


def _measure(difference: float, samples: NDArray[np.float64], level: float) -> Interval:
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return Interval(difference, float(low), float(high), float((samples <= 0).mean()))


def _describe_run(run: Aggregate, differences: Mapping[str, Interval] | None) -> ComparedRun:
    first = run.first
    return ComparedRun(
        model=first.model,
        backbone=first.backbone,
        variant=first.variant,
        pretraining=first.pretraining,
        dataset=first.dataset,
        partition=first.partition,
        split=first.split,
        input_size=first.input_size,
        epochs=first.epochs,
        protocol={k: v for k, v in first.protocol.items() if k not in ("best_epoch", "skipped_images")},
        seeds=tuple(result.seed for result in run.results),
        commits=tuple(result.commit for result in run.results),
        scores={name: tuple(float(result.metrics[name]) for result in run.results) for name in METRICS},
        differences=differences,
        parsing=_collect_parsing(run),
    )


def _collect_parsing(run: Aggregate) -> dict[str, tuple[float, ...]]:
    """`ParsingScores.score` of each stage, of each seed, where all seeds have it."""
    each = [restore_parsing(result.metrics.get("parsing", {})) for result in run.results]
    found = {
        stage: tuple(scores[stage].score if stage in scores else math.nan for scores in each)
        for stage in each[0]
    }
    return {stage: values for stage, values in found.items() if not any(map(math.isnan, values))}
