"""Scores of localisation as runs to compare: the seeds of a recipe together, all of the same samples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from passerby.errors import ConfigError, DataError
from passerby.evaluation.localization.samples import LocalizationSamples
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.evaluation.results import LOCALIZATION_SUFFIX, check_field, refuse_comparisons
from passerby.evaluation.run_names import RunFacts, name_run

__all__ = ["LocalizationRun", "collect_runs", "load_localizations", "match_insertion_deletion"]

FADING = ("insertion", "deletion")
"""The scores that are measured of some samples only."""


@dataclass(frozen=True, slots=True, eq=False)
class LocalizationRun:
    """The scores of one recipe.

    Args:
        facts: What one must know of it.
        samples: Of each seed, in the order of `facts.seeds`; the same ones in one order for all runs.
    """

    facts: RunFacts
    samples: tuple[LocalizationSamples, ...]


def load_localizations(paths: Sequence[Path | str]) -> list[LocalizationScores]:
    """Read files of scores, folders of such and evaluation folders, each file once.

    Raises:
        DataError: If a path holds no scores, samples are missing, or a file is damaged.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        for file in _find_files(path):
            found.setdefault(file.resolve(), file)
    missing = [file for file in found.values() if file.is_file() and not _find_samples(file).is_file()]
    if missing:
        raise DataError(
            f"no samples at {', '.join(str(_find_samples(file)) for file in missing)}; differences need "
            "them, and they are not kept with the code: `passerby evaluate-localization BUNDLE --data "
            f"MANIFEST --result {missing[0]}` writes them beside the scores"
        )
    return [LocalizationScores.load(file) for file in found.values()]


def _find_files(path: Path) -> list[Path]:
    refuse_comparisons(path)
    files = sorted(path.rglob(f"*{LOCALIZATION_SUFFIX}")) if path.is_dir() else [path]
    if not files or not files[0].name.endswith(LOCALIZATION_SUFFIX):
        raise DataError(
            f"no scores of localisation at {path}: expected a file whose name ends in {LOCALIZATION_SUFFIX}, "
            "or a folder of such; `passerby evaluate-localization … --result` writes them"
        )
    return files


def _find_samples(file: Path) -> Path:
    return file.with_suffix(".parquet")


# ---------------------------------------------------------------------- seeds


def collect_runs(scores: Sequence[LocalizationScores]) -> list[LocalizationRun]:
    """Put the seeds of each recipe together, in the order in which recipes come first.

    Raises:
        DataError: If they are not of the same people, names and samples, the same recipe has the same seed
            twice, or a bundle does not record what tells runs apart.
        ConfigError: If the rules of boxes or truth differ.
    """
    groups: dict[str, list[tuple[RunFacts, LocalizationSamples]]] = {}
    for each in scores:
        _check_rules(scores[0], each)
        facts = _describe_provenance(each)
        samples = _put_in_order(each, as_in=scores[0])
        groups.setdefault(_identify_recipe(facts), []).append((facts, samples))
    return [_join_seeds(group) for group in groups.values()]


def _describe_provenance(scores: LocalizationScores) -> RunFacts:
    """What one must know of a single seed."""
    known = scores.metadata
    for name in ("model", "variant", "backbone", "pretraining", "seed", "epochs"):
        try:
            check_field(name, known.get(name))
        except DataError as error:
            raise DataError(
                f"a score of {known.get('model')} on {scores.dataset}: {error}; the metadata of its bundle "
                "must have it, as that of `passerby train` has"
            ) from error
    origin = " ".join(str(known[name]) for name in ("dataset", "partition") if known.get(name))
    return RunFacts(
        model=known["model"],
        backbone=known["backbone"],
        variant=known["variant"],
        pretraining=known["pretraining"],
        dataset=scores.dataset,
        partition=scores.partition,
        split=scores.split,
        input_size=scores.input_size,
        epochs=known["epochs"],
        protocol={
            "trained": f"trained on {origin}" if origin else "",
            "selection": known.get("selection"),
            "ema": known.get("ema"),
            **scores.protocol.in_words(),
        },
        seeds=(known["seed"],),
        commits=((known.get("environment") or {}).get("commit"),),
    )


def _identify_recipe(facts: RunFacts) -> str:
    """What the seeds of one recipe agree in."""
    return json.dumps(asdict(replace(facts, seeds=(), commits=())), sort_keys=True)


def _join_seeds(group: Sequence[tuple[RunFacts, LocalizationSamples]]) -> LocalizationRun:
    group = sorted(group, key=lambda pair: pair[0].seeds)
    seeds = tuple(seed for facts, _ in group for seed in facts.seeds)
    first = group[0][0]
    if len(set(seeds)) < len(seeds):
        raise DataError(
            f"{name_run(first)}: the same recipe has seeds {list(seeds)}; expected each seed once"
        )
    commits = tuple(commit for facts, _ in group for commit in facts.commits)
    return LocalizationRun(
        replace(first, seeds=seeds, commits=commits), tuple(samples for _, samples in group)
    )


# ---------------------------------------------------------------------- the same samples


def _check_rules(a: LocalizationScores, b: LocalizationScores) -> None:
    for what in ("dataset", "partition", "split"):
        if getattr(a, what) != getattr(b, what):
            raise DataError(
                f"expected scores on the same people, got {what} {getattr(a, what)!r} and "
                f"{getattr(b, what)!r}; give those of one"
            )
    for rule in ("truth", "boxes"):
        ours, theirs = getattr(a.protocol, rule), getattr(b.protocol, rule)
        if ours != theirs:
            raise ConfigError(f"expected one rule for {rule}, got {ours!r} and {theirs!r}; evaluate anew")
    for name in a.names:
        if set(a.names[name]) != set(b.names.get(name, a.names[name])):
            raise DataError(
                f"expected {name} to be looked for in the same classes, got {', '.join(a.names[name])} and "
                f"{', '.join(b.names[name])}; evaluate all with the same names (--names)"
            )


def _put_in_order(scores: LocalizationScores, *, as_in: LocalizationScores) -> LocalizationSamples:
    """The same samples in the order of others."""
    ours, theirs = scores.samples, as_in.samples
    wanted, found = _identify(theirs), {key: i for i, key in enumerate(_identify(ours))}
    alone = sorted(set(wanted) ^ set(found))
    if alone:
        raise DataError(
            f"{_name_model(as_in)} and {_name_model(scores)}: expected the same samples, got {len(wanted):,} "
            f"and {len(found):,}, of which {len(alone):,} are in one only, such as {alone[0][2]} of "
            f"{alone[0][0]}; evaluate both on the same manifest and names at the same input size, with the "
            "same min_area_px and only_predicted"
        )
    order = np.array([found[key] for key in wanted])
    measures = {name: each[order] for name, each in ours.measures.items()}
    return replace(theirs, probs=ours.probs[order], measures=measures)


def match_insertion_deletion(runs: Sequence[LocalizationRun], scores: Sequence[str]) -> list[LocalizationRun]:
    """Have insertion and deletion, if they are among the scores, of the same samples in all runs.

    A sample leaves all of them if its heat map is empty in one, which has neither.

    Raises:
        DataError: If they were measured of other samples.
    """
    every = [samples for run in runs for samples in run.samples]
    known = {
        name: np.stack([np.isfinite(each.measures[name]) for each in every])  # (models, S)
        for name in FADING
        if name in scores
    }
    hot = np.all([each.measures["empty"] == 0 for each in every], axis=0)
    for name, masks in known.items():
        for other in masks:
            if alone := int((masks[0] != other)[hot].sum()):
                raise DataError(
                    f"expected {name} of the same samples, got {int(masks[0].sum()):,} and "
                    f"{int(other.sum()):,}, of which {alone:,} are in one only; evaluate all with the same "
                    "--insertion-deletion and --seed"
                )

    def match(samples: LocalizationSamples) -> LocalizationSamples:
        cut = {n: np.where(masks.all(axis=0), samples.measures[n], np.nan) for n, masks in known.items()}
        return replace(samples, measures={**samples.measures, **cut})

    return [replace(run, samples=tuple(map(match, run.samples))) for run in runs]


def _identify(samples: LocalizationSamples) -> list[tuple[str, int, str]]:
    names = (samples.attributes[number] for number in samples.attribute)
    return list(zip(samples.images, samples.rows.tolist(), names, strict=True))


def _name_model(scores: LocalizationScores) -> str:
    height, width = scores.input_size
    return f"{scores.metadata.get('model')} {scores.metadata.get('variant')} at {height}×{width}"
