"""Compare runs on one test set, with paired bootstrap intervals of their differences to a baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from passerby.comparison.aggregate import Aggregate, aggregate
from passerby.comparison.intervals import Interval
from passerby.comparison.pairing import Source, find_sources, pair_sources
from passerby.comparison.run_comparison import ComparedRun, Comparison
from passerby.comparison.run_names import describe_facts, find_run, name_rows, select_rules
from passerby.errors import ConfigError, DataError
from passerby.evaluation.commit import find_commit
from passerby.evaluation.predictions import Predictions
from passerby.metrics.bootstrap import draw_multiplicities, number_clusters
from passerby.metrics.names import METRICS

__all__ = ["DEFAULT_METRICS", "compare"]

DEFAULT_METRICS = ("mA", "f1", "mAP")
MAX_LOST = 0.05
"""Largest share of resamples that intervals may leave out because their labels measure no attribute."""

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
    skip_missing: bool = False,
) -> Comparison:
    """Compare runs, seeds averaged, with one of them.

    Each resample draws samples of the test set with replacement, the same for all runs. The statistic of a
    run is the mean over its seeds of the metric on those samples; runs may differ in their seeds.

    Paper:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: percentile intervals.

    Args:
        paths: Score files with their predictions next to them, folders of them, or evaluation folders.
        baseline: Variant, model, `model · backbone · variant`, or label in the table of the run to compare
            with.
        metrics: The metrics with an interval.
        resamples: Number of resamples; the ends of a 95 % interval need about a thousand.
        level: Level of the intervals, between 0 and 1.
        by: Draw images, or identities with all their images. If identities have several images, the intervals
            by image are too narrow.
        seed: Seed of the draws.
        progress: Called with the number of models resampled and of all.
        skip_missing: Leave out score files of a folder without predictions, and log a message; by default
            that is an error.

    Raises:
        ConfigError: If an option is out of range, not exactly one run has the name of the baseline, or
            protocols or thresholds differ.
        DataError: If predictions are missing or damaged, or the runs were not scored on the same samples and
            attributes, or too many resamples have labels that measure no attribute.
    """
    _check_options(metrics, resamples, level)
    sources = pair_sources(find_sources(paths, skip_missing=skip_missing))
    runs = _put_first(aggregate([source.result for source in sources]), baseline)
    clusters = find_clusters(sources[0].predictions, by)
    samples = {}
    for i, source in enumerate(sources):
        sample = _resample(source, clusters, metrics=metrics, resamples=resamples, seed=seed)
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
        n_samples=len(clusters),
        n_clusters=int(clusters.max()) + 1,
        unmeasured=tuple(sorted({name for run in runs for name in run.first.unmeasured})),
        n_attributes=len(sources[0].thresholds),
        lost=_count_lost(means[0]),
        incomplete=_count_incomplete(sources[0], clusters, resamples=resamples, seed=seed),
        commit=find_commit(),
    )


def _check_options(metrics: Sequence[str], resamples: int, level: float) -> None:
    wrong = [name for name in metrics if name not in METRICS]
    if wrong or not metrics or len(set(metrics)) < len(metrics):
        raise ConfigError(f"expected distinct metrics among {', '.join(METRICS)}; got {', '.join(metrics)}")
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(
            f"expected at least one resample and a level between 0 and 1, got {resamples} and {level:g}"
        )


def _put_first(runs: Sequence[Aggregate], name: str) -> list[Aggregate]:
    """The runs with the baseline first."""
    if len(runs) < 2:
        raise DataError(
            f"expected at least two runs to compare, got {len(runs)} with predictions ({runs[0].title}); "
            "pass more paths"
        )
    labels = name_rows([describe_facts(run.first, seeds=len(run.results)) for run in runs])[1]
    first = find_run(name, [run.first for run in runs], labels)
    return [runs[first], *runs[:first], *runs[first + 1 :]]


def find_clusters(predictions: Predictions, by: Literal["image", "identity"]) -> NDArray[np.int64]:
    """The cluster of each row for the bootstrap: the row, or its identity if known.

    Shape:
        returns: (N,) numbers 0 … G − 1.

    Raises:
        ConfigError: If `by` is neither.
        DataError: If no identity is known.
    """
    if by == "image":
        return np.arange(len(predictions))
    if by != "identity":
        raise ConfigError(f"by: expected image or identity, got {by!r}")
    if all(identity is None for identity in predictions.identities):
        raise DataError("the data set has no identities to draw; use --by image")
    keys = [
        (i, "") if identity is None else (-1, identity) for i, identity in enumerate(predictions.identities)
    ]
    return number_clusters(keys)


def _resample(
    source: Source, clusters: NDArray[np.int64], *, metrics: Sequence[str], resamples: int, seed: int
) -> Samples:
    """The metrics of one model in each resample; (B,) each."""
    weighted = source.weigh(metrics)
    draws = draw_multiplicities(clusters, resamples=resamples, seed=seed)
    chunks = [weighted.compute(multiplicities) for multiplicities in draws]
    samples = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in metrics}
    lost = _count_lost(samples)
    if lost > MAX_LOST * resamples:
        name = next(name for name, values in samples.items() if np.isnan(values).sum() == lost)
        raise DataError(
            f"in {lost:,} of {resamples:,} resamples the labels cannot measure {name}: no attribute has "
            f"{'a positive' if name == 'mAP' else 'positives and negatives'}; use a larger test set, or "
            f"--metric without {name}"
        )
    return samples


def _count_lost(samples: Samples) -> int:
    """The number of resamples whose labels cannot measure a metric."""
    return max(int(np.isnan(values).sum()) for values in samples.values())


def _count_incomplete(source: Source, clusters: NDArray[np.int64], *, resamples: int, seed: int) -> int:
    """The number of resamples in which an attribute lost all its positives or all its negatives."""
    weighted = source.weigh(())
    draws = draw_multiplicities(clusters, resamples=resamples, seed=seed)
    return sum(int(weighted.find_incomplete(multiplicities).sum()) for multiplicities in draws)


def _average(samples: Sequence[Samples], metrics: Sequence[str]) -> Samples:
    """The mean over the seeds in each resample."""
    return {name: np.mean([sample[name] for sample in samples], axis=0) for name in metrics}


def _measure(difference: float, samples: NDArray[np.float64], level: float) -> Interval:
    samples = samples[~np.isnan(samples)]
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
        protocol=select_rules(first.protocol),
        seeds=tuple(result.seed for result in run.results),
        commits=tuple(result.commit for result in run.results),
        scores={name: tuple(result.get_score(name) for result in run.results) for name in METRICS},
        differences=differences,
        parsing=_collect_parsing(run),
    )


def _collect_parsing(run: Aggregate) -> dict[str, tuple[float, ...]]:
    """`ParsingScores.score` of each stage and seed, for the stages that all seeds have."""
    from passerby.metrics import ParsingScores

    seeds = [
        {k: ParsingScores.from_dict(v) for k, v in result.metrics.get("parsing", {}).items()}
        for result in run.results
    ]
    found = {
        stage: tuple(scores[stage].score if stage in scores else math.nan for scores in seeds)
        for stage in seeds[0]
    }
    return {stage: values for stage, values in found.items() if not any(map(math.isnan, values))}
