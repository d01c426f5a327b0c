"""Runs of a comparison of localisation: the seeds of each recipe, all with the same samples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from passerby.comparison.run_names import RunFacts, name_run
from passerby.errors import ConfigError, DataError
from passerby.evaluation.localization.samples import LocalizationSamples
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.evaluation.results import check_field
from passerby.evaluation.score_files import LOCALIZATION_SUFFIX, find_unique_files, refuse_comparisons

__all__ = ["LocalizationRun", "collect_runs", "load_localizations", "match_insertion_deletion"]

PARTIAL_SCORES = ("insertion", "deletion")
"""Scores that are measured for some samples only."""


@dataclass(frozen=True, slots=True, eq=False)
class LocalizationRun:
    """The scores of one recipe.

    Args:
        facts: The facts of the recipe.
        samples: Samples of each seed, in the order of `facts.seeds`; the same in one order for all runs.
    """

    facts: RunFacts
    samples: tuple[LocalizationSamples, ...]


def load_localizations(paths: Sequence[Path | str]) -> list[LocalizationScores]:
    """Read score files, folders of them and evaluation folders, each file once.

    Raises:
        DataError: If a path contains no scores, samples are missing, or a file is damaged.
    """
    found = find_unique_files(paths, _find_files)
    missing = [file for file in found if file.is_file() and not _find_samples(file).is_file()]
    if missing:
        raise DataError(
            f"no samples at {', '.join(str(_find_samples(file)) for file in missing)}; intervals need them, "
            "and git ignores them: `passerby evaluate-localization BUNDLE --data MANIFEST --result "
            f"{missing[0]}` writes them next to the scores"
        )
    return [LocalizationScores.load(file) for file in found]


def _find_files(path: Path) -> list[Path]:
    refuse_comparisons(path)
    files = sorted(path.rglob(f"*{LOCALIZATION_SUFFIX}")) if path.is_dir() else [path]
    if not files or not files[0].name.endswith(LOCALIZATION_SUFFIX):
        raise DataError(
            f"no scores of localisation at {path}: expected a file whose name ends in {LOCALIZATION_SUFFIX}, "
            "or a folder of them; `passerby evaluate-localization … --result` writes them"
        )
    return files


def _find_samples(file: Path) -> Path:
    return file.with_suffix(".parquet")


# ---------------------------------------------------------------------- seeds


def collect_runs(scores: Sequence[LocalizationScores]) -> list[LocalizationRun]:
    """Group the seeds of each recipe, in the order of their first results.

    Raises:
        DataError: If data, names or samples differ, a recipe has the same seed twice, or a bundle lacks a
            field of its provenance.
        ConfigError: If the rules of boxes or truth differ.
    """
    recipes: dict[str, list[tuple[RunFacts, LocalizationSamples]]] = {}
    for each in scores:
        _check_rules(scores[0], each)
        facts = _describe_provenance(each)
        samples = _put_in_order(each, as_in=scores[0])
        recipes.setdefault(_identify_recipe(facts), []).append((facts, samples))
    return [_join_seeds(group) for group in recipes.values()]


def _describe_provenance(scores: LocalizationScores) -> RunFacts:
    """The facts of a single seed."""
    metadata = scores.metadata
    for name in ("model", "variant", "backbone", "pretraining", "seed", "epochs"):
        try:
            check_field(name, metadata.get(name))
        except DataError as error:
            raise DataError(
                f"a score of {metadata.get('model')} on {scores.dataset}: {error}; the metadata of its "
                "bundle must have this field, as that of `passerby train` has"
            ) from error
    source = " ".join(str(metadata[name]) for name in ("dataset", "partition") if metadata.get(name))
    return RunFacts(
        model=metadata["model"],
        backbone=metadata["backbone"],
        variant=metadata["variant"],
        pretraining=metadata["pretraining"],
        dataset=scores.dataset,
        partition=scores.partition,
        split=scores.split,
        input_size=scores.input_size,
        epochs=metadata["epochs"],
        protocol={
            "trained": f"trained on {source}" if source else "",
            "selection": metadata.get("selection"),
            "ema": metadata.get("ema"),
            **scores.protocol.in_words(),
        },
        seeds=(metadata["seed"],),
        commits=((metadata.get("environment") or {}).get("commit"),),
    )


def _identify_recipe(facts: RunFacts) -> str:
    """The facts that the seeds of one recipe have in common."""
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
    for name in ("dataset", "partition", "split"):
        one, other = getattr(a, name), getattr(b, name)
        if one != other:
            raise DataError(
                f"expected scores on the same data, got {name} {one!r} and {other!r}; pass those of one"
            )
    for rule in ("truth", "boxes"):
        one, other = getattr(a.protocol, rule), getattr(b.protocol, rule)
        if one != other:
            raise ConfigError(f"expected one rule for {rule}, got {one!r} and {other!r}; evaluate again")
    for name in a.names:
        if set(a.names[name]) != set(b.names.get(name, a.names[name])):
            raise DataError(
                f"expected the same classes for {name}, got {', '.join(a.names[name])} and "
                f"{', '.join(b.names[name])}; evaluate all with the same label map (--label-map)"
            )


def _put_in_order(scores: LocalizationScores, *, as_in: LocalizationScores) -> LocalizationSamples:
    """The samples in the order of others."""
    samples, reference = scores.samples, as_in.samples
    wanted, found = _identify(reference), {key: i for i, key in enumerate(_identify(samples))}
    different = sorted(set(wanted) ^ set(found))
    if different:
        raise DataError(
            f"{_name_model(as_in)} and {_name_model(scores)}: expected the same samples, got {len(wanted):,} "
            f"and {len(found):,}, of which {len(different):,} are in one only, such as {different[0][2]} of "
            f"{different[0][0]}; evaluate both on the same manifest with the same label map, input size, "
            "min_area_px and only_predicted"
        )
    order = np.array([found[key] for key in wanted])
    measures = {name: each[order] for name, each in samples.measures.items()}
    return replace(reference, probs=samples.probs[order], measures=measures)


def match_insertion_deletion(runs: Sequence[LocalizationRun], scores: Sequence[str]) -> list[LocalizationRun]:
    """Restrict insertion and deletion, if they are among the scores, to the same samples in all runs.

    An empty heat map has neither: its sample is left out of all runs.

    Raises:
        DataError: If they were measured for different samples.
    """
    models = [samples for run in runs for samples in run.samples]
    known = {
        name: np.stack([np.isfinite(each.measures[name]) for each in models])  # (models, S)
        for name in PARTIAL_SCORES
        if name in scores
    }
    not_empty = np.all([each.measures["empty"] == 0 for each in models], axis=0)
    for name, masks in known.items():
        for other in masks:
            if different := int((masks[0] != other)[not_empty].sum()):
                raise DataError(
                    f"expected {name} of the same samples, got {int(masks[0].sum()):,} and "
                    f"{int(other.sum()):,}, of which {different:,} are in one only; evaluate all with the "
                    "same --insertion-deletion and --seed"
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
