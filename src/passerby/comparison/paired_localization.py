"""Compare the localisation of runs on the same samples, with paired bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from passerby.comparison.intervals import Interval
from passerby.comparison.localization_comparison import (
    ComparedLocalization,
    LocalizationComparison,
    LocalizationDifferences,
)
from passerby.comparison.localization_runs import LocalizationRun, collect_runs, match_insertion_deletion
from passerby.comparison.run_names import describe_facts, find_run, name_rows, name_run
from passerby.errors import ConfigError, DataError
from passerby.evaluation.commit import find_commit
from passerby.evaluation.localization.estimates import find_interval
from passerby.evaluation.localization.samples import SCORES, average_known
from passerby.evaluation.localization.scores import LocalizationScores

__all__ = ["COMPARABLE", "DEFAULT_SCORES", "compare_localization"]

COMPARABLE = tuple(name for name in SCORES if not name.endswith("_share"))
"""The scores that can differ between runs: the shares depend on the ground truth alone."""
DEFAULT_SCORES = ("box_iou", "pcc")
"""The scores of SSPNet's Table 10."""

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]


def compare_localization(
    runs: Sequence[LocalizationScores],
    *,
    baseline: str | None = None,
    scores: Sequence[str] = DEFAULT_SCORES,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> LocalizationComparison:
    """Compare the localisation of runs, seeds averaged, with one of them.

    Each resample draws identities, or images without a known identity, with replacement, the same for all
    runs; a run's score is the mean over its seeds. Models, methods and binarisations may differ; the samples
    and the rule of boxes may not. A mean is over the attributes with a score in every run and seed (a
    correlation cannot be measured when all IoU are 0), so that all means of a score are over the same
    attributes. A resample in which a difference cannot be measured is left out of its interval. For deletion
    and empty maps, less is better. Insertion and deletion are over the samples without an empty map in any
    run.

    Paper:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: percentile intervals.

    Args:
        runs: One for each seed of each recipe, from `load_localizations`.
        baseline: Variant, model, `model · backbone · variant`, or label in the table of the run to compare
            with; by default the first of `runs`.
        scores: The scores with an interval, of `COMPARABLE`.
        resamples: Number of resamples; the ends of an interval need about a thousand.
        seed: Seed of the draws.
        progress: Called with the number of models resampled and of all.

    Raises:
        DataError: If the samples differ (or those with insertion and deletion, if these are compared), there
            is a single run, or a bundle lacks a field of its provenance.
        ConfigError: If the rules of boxes or truth differ, not exactly one run has the name of the baseline,
            or an option is out of range.
    """
    _check_options(scores, resamples)
    found = match_insertion_deletion(_put_first(collect_runs(runs), baseline), scores)
    members = _find_members(found, runs)
    drawn = _resample(found, scores, resamples=resamples, seed=seed, progress=progress)
    each = [_score_seeds(run) for run in found]
    values = {name: np.stack([one[name].mean(axis=1) for one in each]) for name in scores}
    differences = [_compare(values, drawn, members, run) for run in range(1, len(found))]
    first = found[0].samples[0]
    names = first.attributes
    return LocalizationComparison(
        runs=tuple(map(_describe_run, found, each, [None, *differences])),
        scores=tuple(scores),
        counts={name: count for name, count in zip(names, first.counts.tolist(), strict=True) if count},
        exclude_from_mean=tuple(name for name in names if name in members.exclude_from_mean),
        mean_of=tuple(names[a] for a in members.mean),
        of_paper=tuple(names[a] for a in members.paper),
        resamples=resamples,
        seed=seed,
        n_clusters=int(first.clusters.max()) + 1,
        commit=find_commit(),
    )


def _check_options(scores: Sequence[str], resamples: int) -> None:
    wrong = [name for name in scores if name not in COMPARABLE]
    if wrong or not scores or len(set(scores)) < len(scores):
        raise ConfigError(
            f"expected distinct scores among {', '.join(COMPARABLE)}; got {', '.join(scores) or 'none'}"
        )
    if resamples < 1:
        raise ConfigError(f"expected at least one resample, got {resamples}")


def _put_first(runs: Sequence[LocalizationRun], name: str | None) -> list[LocalizationRun]:
    """The runs with the baseline first."""
    if len(runs) < 2:
        have = f" ({name_run(runs[0].facts)})" if runs else ""
        raise DataError(f"expected at least two runs to compare, got {len(runs)}{have}; pass more")
    facts = [run.facts for run in runs]
    labels = name_rows([describe_facts(each, seeds=len(each.seeds)) for each in facts])[1]
    first = 0 if name is None else find_run(name, facts, labels)
    return [runs[first], *runs[:first], *runs[first + 1 :]]


# ---------------------------------------------------------------------- arithmetic


@dataclass(frozen=True, slots=True)
class _Members:
    """Indices of attributes.

    Args:
        names: Names of all attributes.
        exclude_from_mean: Names of the attributes that are left out of the means.
        mean: Attributes in the mean.
        paper: Those of them that are in the paper's table.
        with_interval: By score the attributes with enough samples for an interval.
    """

    names: tuple[str, ...]
    exclude_from_mean: frozenset[str]
    mean: list[int]
    paper: list[int]
    with_interval: Mapping[str, list[int]]


def _find_members(runs: Sequence[LocalizationRun], scores: Sequence[LocalizationScores]) -> _Members:
    """The attributes that all rules include."""
    enough = max(each.protocol.min_samples for each in scores)
    exclude_from_mean = frozenset(name for each in scores for name in each.exclude_from_mean)
    first = runs[0].samples[0]
    mean = first.find_members(enough, tuple(exclude_from_mean))
    with_interval = {}
    for name in COMPARABLE:
        counts = np.min([samples.count_known(name) for run in runs for samples in run.samples], axis=0)
        with_interval[name] = np.flatnonzero(counts >= enough).tolist()
    paper = [a for a in mean if first.attributes[a] in scores[0].of_paper]
    return _Members(first.attributes, exclude_from_mean, mean, paper, with_interval)


def _score_seeds(run: LocalizationRun) -> dict[str, Floats]:
    """All scores of each attribute and seed; (A, K) each."""
    found = [samples.score(np.ones((len(samples), 1))) for samples in run.samples]
    return {name: np.concatenate([each[name] for each in found], axis=1) for name in SCORES}


def _resample(
    runs: Sequence[LocalizationRun],
    scores: Sequence[str],
    *,
    resamples: int,
    seed: int,
    progress: Progress | None,
) -> dict[str, Floats]:
    """The mean over the seeds of each run and attribute in each resample; (R, A, B) each."""
    drawn: dict[str, list[Floats]] = {name: [] for name in scores}
    done, total = 0, sum(len(run.samples) for run in runs)
    for run in runs:
        seeds = []
        for samples in run.samples:
            seeds.append(samples.resample(resamples=resamples, seed=seed))
            done += 1
            if progress is not None:
                progress(done, total)
        for name, column in drawn.items():
            column.append(np.mean([each[name] for each in seeds], axis=0))
    return {name: np.stack(column) for name, column in drawn.items()}


def _compare(
    values: Mapping[str, Floats], drawn: Mapping[str, Floats], members: _Members, run: int
) -> LocalizationDifferences:
    """A run minus the first.

    Shape:
        values: (R, A) each; drawn: (R, A, B) each.
    """

    def measure(score: str, attributes: list[int]) -> Interval | None:
        resampled = drawn[score][run] - drawn[score][0]
        difference = values[score][run] - values[score][0]
        return _measure(difference[attributes], resampled[attributes])

    def average(attributes: list[int]) -> dict[str, Interval]:
        measured = {
            score: [a for a in attributes if np.isfinite(column[:, a]).all()]
            for score, column in values.items()
        }
        found = {score: measure(score, each) for score, each in measured.items()}
        return {score: each for score, each in found.items() if each is not None}

    per_attribute: dict[str, dict[str, Interval]] = {}
    for score in values:
        for a in members.with_interval[score]:
            if (found := measure(score, [a])) is not None:
                per_attribute.setdefault(members.names[a], {})[score] = found
    return LocalizationDifferences(per_attribute, average(members.mean), average(members.paper))


def _measure(differences: Floats, spreads: Floats) -> Interval | None:
    """The mean difference of some attributes (A',), with the interval of its resamples (A', B)."""
    if not len(differences) or not np.isfinite(differences).all():
        return None
    known = average_known(spreads)
    known = known[np.isfinite(known)]
    if not len(known):
        return None
    return Interval(float(differences.mean()), *find_interval(known), float((known <= 0).mean()))


def _describe_run(
    run: LocalizationRun, scores: Mapping[str, Floats], differences: LocalizationDifferences | None
) -> ComparedLocalization:
    first = run.samples[0]
    return ComparedLocalization(
        **{each.name: getattr(run.facts, each.name) for each in fields(run.facts)},
        scores={
            name: {score: tuple(column[a].tolist()) for score, column in scores.items()}
            for a, name in enumerate(first.attributes)
            if first.counts[a]
        },
        differences=differences,
    )
