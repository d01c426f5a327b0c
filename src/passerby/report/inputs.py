"""The inputs of a report: run folders, evaluation folders and stored comparisons."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.run_comparison import Comparison
from passerby.comparison.stored import load_comparison
from passerby.errors import DataError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.localization.scores import LOCALIZATION_FILE, LocalizationScores
from passerby.evaluation.results import EVALUATION_FILE
from passerby.evaluation.score_files import COMPARISON_SUFFIX, LOCALIZATION_COMPARISON_SUFFIX
from passerby.io import read_json

__all__ = ["Run", "Sources", "load_sources"]


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


def load_sources(paths: Sequence[Path], *, images: Path | None = None) -> Sources:
    """Read run folders, evaluation folders and comparison files; folders are searched recursively.

    Args:
        paths: Run folders, folders of `passerby evaluate` and `passerby evaluate-localization`, folders that
            contain them, and stored comparisons.
        images: Folder of the images, if not the stored one.

    Raises:
        DataError: If a path is none of these, or is damaged.
    """
    runs: list[Run] = []
    scored: dict[str, list[Path]] = {EVALUATION_FILE: [], LOCALIZATION_FILE: []}
    suffixes = (COMPARISON_SUFFIX, LOCALIZATION_COMPARISON_SUFFIX)
    stored = [Path(path) for path in paths if str(path).endswith(suffixes)]
    for path in (Path(path) for path in paths if Path(path) not in stored):
        logs, found = _search(path)
        if not logs and not any(found.values()):
            raise DataError(
                "expected a folder of `passerby train` (logs/metrics.csv), `passerby evaluate --out` "
                "(evaluation.json) or `passerby evaluate-localization --out` (localization.json), but found "
                f"none of these files below {path}"
            )
        runs += [Run.load(log.parent.parent) for log in logs]
        for name, files in found.items():
            scored[name] += [file.parent.resolve() for file in files]
    evaluations, localizations = (list(dict.fromkeys(folders)) for folders in scored.values())
    return Sources(
        runs,
        [Evaluation.load(folder, root=images) for folder in evaluations],
        [LocalizationScores.load(folder, root=images) for folder in localizations],
        [load_comparison(path) for path in stored],
    )


def _search(path: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    """Logs of runs, and files of evaluations by name: those in the folder, or else all below it."""
    names = (EVALUATION_FILE, LOCALIZATION_FILE)
    direct = {name: [path / name] if (path / name).is_file() else [] for name in names}
    if any(direct.values()):
        return [], direct
    below = {name: [file for file in sorted(path.rglob(name)) if file.is_file()] for name in names}
    return sorted(path.rglob("logs/metrics.csv")), below
