"""Two scores of localisation on the same samples: what one is better by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from passerby.errors import ConfigError, DataError
from passerby.evaluation.comparison import Interval
from passerby.evaluation.localization.samples import SCORES, LocalizationSamples, average_known
from passerby.evaluation.localization.scores import LocalizationScores, find_interval

__all__ = ["LocalizationComparison", "compare_localization"]


@dataclass(frozen=True, slots=True)
class LocalizationComparison:
    """The differences of one score of localisation to another.

    Args:
        per_attribute: By attribute and score; what has too few samples or cannot be measured is missing.
        mean: Difference of the means over attributes, by score, each over the attributes of which both have
            the score.
        mean_of: Attributes in the mean.
        samples: Number of samples.
        groups: Number of people that are drawn in each resample.
        resamples: Number of resamples.
        seed: Seed of the draws.
    """

    per_attribute: Mapping[str, Mapping[str, Interval]]
    mean: Mapping[str, Interval]
    mean_of: tuple[str, ...]
    samples: int
    groups: int
    resamples: int
    seed: int


def compare_localization(
    baseline: LocalizationScores, other: LocalizationScores, *, resamples: int = 1000, seed: int = 0
) -> LocalizationComparison:
    """Paired differences, other minus baseline, with 95 % intervals.

    In each resample the same people are drawn for both. Models, methods and binarisations may differ; the
    samples, and what a box is, may not. A resample in which a difference cannot be measured is left out of
    its interval. Of deletion and empty maps, less is better; the shares of the truth
    do not differ.

    Paper:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: percentile intervals.

    Raises:
        DataError: If the samples are not the same.
        ConfigError: If the rules of boxes or truth differ, or there is no resample.
    """
    _check_rules(baseline, other)
    if resamples < 1:
        raise ConfigError(f"expected at least one resample, got {resamples}")
    samples = (baseline.samples, _put_in_order(other.samples, baseline.samples))
    plain = np.ones((len(samples[0]), 1))
    values = [each.score(plain) for each in samples]
    drawn = [each.resample(resamples=resamples, seed=seed) for each in samples]
    differences = {name: values[1][name] - values[0][name] for name in SCORES}  # (A, 1), NaN where either is
    spreads = {name: drawn[1][name] - drawn[0][name] for name in SCORES}  # (A, B)
    enough = max(baseline.protocol.least_samples, other.protocol.least_samples)
    known = {name: samples[0].count_known(name) for name in SCORES}
    members = [i for i, count in enumerate(samples[0].counts) if count >= enough]
    names = samples[0].attributes
    in_mean = [i for i in members if names[i] not in (*baseline.apart, *other.apart)]
    means = {name: average_known(differences[name][in_mean]) for name in SCORES}
    mean_spreads = {name: average_known(spreads[name][in_mean]) for name in SCORES}
    return LocalizationComparison(
        per_attribute={
            names[i]: _measure(
                {name: differences[name][i] for name in SCORES if known[name][i] >= enough},
                {name: spreads[name][i] for name in SCORES},
            )
            for i in members
        },
        mean=_measure(means, mean_spreads),
        mean_of=tuple(names[i] for i in in_mean),
        samples=len(samples[0]),
        groups=baseline.groups,
        resamples=resamples,
        seed=seed,
    )


def _measure(differences: Mapping[str, np.ndarray], spreads: Mapping[str, np.ndarray]) -> dict[str, Interval]:
    found = {}
    for name in differences:
        known = spreads[name][np.isfinite(spreads[name])]
        if np.isfinite(differences[name][0]) and len(known):
            low, high = find_interval(known)
            found[name] = Interval(float(differences[name][0]), low, high, float((known <= 0).mean()))
    return found


def _check_rules(a: LocalizationScores, b: LocalizationScores) -> None:
    for what in ("dataset", "split", "part"):
        if getattr(a, what) != getattr(b, what):
            raise DataError(
                f"expected scores on the same people, got {what} {getattr(a, what)!r} and "
                f"{getattr(b, what)!r}; give two of one"
            )
    for rule in ("truth", "boxes"):
        ours, theirs = getattr(a.protocol, rule), getattr(b.protocol, rule)
        if ours != theirs:
            raise ConfigError(f"expected one rule for {rule}, got {ours!r} and {theirs!r}; evaluate anew")


def _put_in_order(samples: LocalizationSamples, as_in: LocalizationSamples) -> LocalizationSamples:
    """The same samples in the order of others."""
    wanted, found = _identify(as_in), {key: i for i, key in enumerate(_identify(samples))}
    alone = sorted(set(wanted) ^ set(found))
    if alone:
        raise DataError(
            f"expected the same samples, got {len(wanted):,} and {len(found):,}, of which {len(alone):,} are "
            f"in one only, such as {alone[0][2]} of {alone[0][0]}; evaluate both on the same manifest and "
            "names at the same input size, with the same least_px and only_predicted"
        )
    order = np.array([found[key] for key in wanted])
    return LocalizationSamples(
        as_in.attributes,
        as_in.attribute,
        as_in.images,
        as_in.identities,
        as_in.rows,
        samples.probs[order],
        {name: each[order] for name, each in samples.measures.items()},
    )


def _identify(samples: LocalizationSamples) -> list[tuple[str, int, str]]:
    names = (samples.attributes[number] for number in samples.attribute)
    return list(zip(samples.images, samples.rows.tolist(), names, strict=True))
