"""The inputs of a report: run folders, evaluation folders, score files and stored comparisons."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.run_comparison import Comparison
from passerby.comparison.stored import load_comparison
from passerby.errors import DataError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.localization.scores import LOCALIZATION_FILE, LocalizationScores
from passerby.evaluation.results import EVALUATION_FILE, Result, identify_evaluation, read_score_file
from passerby.evaluation.score_files import (
    COMPARISON_SUFFIX,
    LOCALIZATION_COMPARISON_SUFFIX,
    LOCALIZATION_SUFFIX,
    TEACHER_PREDICTIONS,
    is_score_file,
    read_results,
)
from passerby.io import read_json

__all__ = ["Run", "Sources", "load_sources"]

logger = logging.getLogger(__name__)

_Kind = Literal["run", "evaluation", "localization", "comparison", "score"]
_EXPECTED = (
    "expected a folder of `passerby train` (logs/metrics.csv), `passerby evaluate --out` (evaluation.json) "
    "or `passerby evaluate-localization --out` (localization.json), a score file, a stored comparison, or a "
    "folder with some of these below it"
)


@dataclass(frozen=True)
class Run:
    """The files of a training run.

    Args:
        name: Name of the folder.
        history: The rows of `logs/metrics.csv`, one per epoch, numbered from 0.
        recipe: The resolved recipe as text, empty if the file is missing.
        environment: Versions of the software, and the machine.
        best_epoch: Number of the selected epoch, counted from 1; None for an unfinished run.
    """

    name: str
    history: Sequence[Mapping[str, float]]
    recipe: str
    environment: Mapping[str, Any]
    best_epoch: int | None

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Read a run folder.

        Raises:
            DataError: If its log is missing or damaged.
        """
        recipe, environment, outcome = (
            folder / n for n in ("recipe.yaml", "environment.json", "outcome.json")
        )
        return cls(
            folder.resolve().name,
            _read_history(folder / "logs" / "metrics.csv"),
            recipe.read_text(encoding="utf-8") if recipe.is_file() else "",
            read_json(environment) if environment.is_file() else {},
            int(read_json(outcome)["best_epoch"]) if outcome.is_file() else None,
        )

    def column(self, name: str) -> tuple[list[float], list[float]]:
        """Epochs, counted from 1, and values of a column; epochs without a finite value are left out."""
        pairs = [
            (row["epoch"] + 1, row[name]) for row in self.history if math.isfinite(row.get(name, math.nan))
        ]
        return [x for x, _ in pairs], [y for _, y in pairs]


def _read_history(path: Path) -> list[dict[str, float]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [
                {k: float(v) for k, v in row.items() if v not in ("", None)} for row in csv.DictReader(file)
            ]
    except FileNotFoundError:
        raise DataError(f"no training log at {path}; a run writes one after its first epoch") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}); expected one row of numbers per epoch") from error
    if not rows or any("epoch" not in row for row in rows):
        raise DataError(f"{path}: expected a column 'epoch' and at least one row")
    return rows


class Sources(NamedTuple):
    """The inputs of a report."""

    runs: list[Run]
    evaluations: list[Evaluation]
    localizations: list[LocalizationScores]
    comparisons: list[Comparison | LocalizationComparison]
    results: list[Result]
    """Score files of other evaluations, which have no predictions to show."""


def load_sources(paths: Sequence[Path], *, images: Path | None = None) -> Sources:
    """Read everything that a report shows, each evaluation once; folders are searched recursively.

    Args:
        paths: Run folders, folders of `passerby evaluate` and `passerby evaluate-localization`, score files,
            stored comparisons, and folders that contain them. Other files in a folder are skipped; those
            among the paths, and files that have only the name of a comparison, are skipped with a warning.
        images: Folder of the images, if not the stored one.

    Raises:
        DataError: If a path does not exist, there is nothing to report, or a file is damaged.
    """
    found: dict[Path, _Kind] = {}
    foreign: list[str] = []
    for path in map(Path, paths):
        below = _search(path)
        found |= {file.resolve(): kind for file, kind in below if file.resolve() not in found}
        foreign += [] if below else [f"{path}: {_EXPECTED}"]
    if not found:
        raise DataError("; ".join(foreign) or "a report needs at least one path, got none")
    for reason in foreign:
        logger.warning("left out: %s", reason)
    files = {each: [file for file, kind in found.items() if kind == each] for each in get_args(_Kind)}
    evaluations: dict[str, Path] = {}
    for file in files["evaluation"]:
        evaluations.setdefault(_identify(file), file.parent)
    results = read_results(files["score"]) if files["score"] else {}
    named = {Path(path).resolve() for path in paths}
    if set(found.values()) == {"comparison"}:
        named |= set(found)  # there is nothing else to report
    comparisons = _load_comparisons(files["comparison"], named=named)
    return Sources(
        [Run.load(log.parent.parent) for log in files["run"]],
        [Evaluation.load(folder, root=images) for folder in evaluations.values()],
        [LocalizationScores.load(file, root=images) for file in files["localization"]],
        comparisons,
        [result for file, result in results.items() if _identify(file) not in evaluations],
    )


def _load_comparisons(
    files: Sequence[Path], *, named: Collection[Path]
) -> list[Comparison | LocalizationComparison]:
    """Read comparisons; unless the user named it, a file that is none is left out with a warning."""
    found = []
    for file in files:
        try:
            found.append(load_comparison(file))
        except DataError as error:
            if file in named:
                raise
            logger.warning("left out: %s", error)
    return found


def _identify(file: Path) -> str:
    return identify_evaluation(read_score_file(file))


def _search(path: Path) -> list[tuple[Path, _Kind]]:
    """The files to report: the path itself, those of an evaluation folder, or else all below a folder.

    Raises:
        DataError: If there is no such path, or a JSON file is damaged.
    """
    if not path.exists():
        raise DataError(f"no file or folder at {path}; {_EXPECTED}")
    if not path.is_dir():
        kind = _classify(path, named=True)
        return [(path, kind)] if kind else []
    direct = [path / name for name in (EVALUATION_FILE, LOCALIZATION_FILE) if (path / name).is_file()]
    files = direct or sorted(
        file
        for pattern in ("*.json", "metrics.csv")
        for file in path.rglob(pattern)
        if TEACHER_PREDICTIONS not in file.relative_to(path).parts and file.is_file()
    )
    kinds = ((file, _classify(file, named=False)) for file in files)
    return [(file, kind) for file, kind in kinds if kind]


def _classify(file: Path, *, named: bool) -> _Kind | None:
    """The kind of a file; None if a report does not show it."""
    if file.name.endswith((COMPARISON_SUFFIX, LOCALIZATION_COMPARISON_SUFFIX)):
        return "comparison"
    if file.name.endswith(LOCALIZATION_SUFFIX):
        with_samples = named or file.name == LOCALIZATION_FILE or file.with_suffix(".parquet").is_file()
        return "localization" if with_samples else None
    if file.parts[-2:] == ("logs", "metrics.csv"):
        return "run"
    if file.name == EVALUATION_FILE:
        return "evaluation"
    return "score" if is_score_file(file, named=named) else None
