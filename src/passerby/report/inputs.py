"""What a report is made of: folders of runs, of evaluations and of scores of localisation."""

from __future__ import annotations

import csv
import json
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
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.evaluation.score_files import COMPARISON_SUFFIX, LOCALIZATION_COMPARISON_SUFFIX
from passerby.io import read_json

__all__ = ["Run", "Sources", "load_sources"]

EVALUATION, LOCALIZATION = "evaluation.json", "localization.json"


@dataclass(frozen=True)
class Run:
    """What a training run left behind.

    Args:
        name: Name of the folder.
        history: One mapping an epoch, the columns of `logs/metrics.csv`; epochs count from 1.
        recipe: The resolved recipe as text, empty if there is none.
        environment: Versions and machine.
        best_epoch: The epoch that was chosen, from 1, None while the run is not finished.
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
        """Epochs (from 1) and values of a column, without the epochs where it is empty or not finite."""
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
        raise DataError(
            f"no training log at {path}; a run folder has one once its first epoch is done"
        ) from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}); expected one row of numbers an epoch") from error
    if not rows or any("epoch" not in row for row in rows):
        raise DataError(f"{path}: expected a column 'epoch' and at least one row")
    return rows


class Sources(NamedTuple):
    """What a report is made of."""

    runs: list[Run]
    evaluations: list[Evaluation]
    localizations: list[LocalizationScores]
    comparisons: list[Comparison | LocalizationComparison]


def load_sources(paths: Sequence[Path], *, images: Path | None = None) -> Sources:
    """Read folders of runs, of evaluations and of localisation; those below a run folder are found.

    Args:
        paths: Such folders, or folders of several; stored comparisons.
        images: Where the pictures lie, if not where the files note.

    Raises:
        DataError: If a path is none of them, or is damaged.
    """
    runs: list[Run] = []
    scored: dict[str, list[Path]] = {EVALUATION: [], LOCALIZATION: []}
    suffixes = (COMPARISON_SUFFIX, LOCALIZATION_COMPARISON_SUFFIX)
    stored = [Path(path) for path in paths if str(path).endswith(suffixes)]
    for path in (Path(path) for path in paths if Path(path) not in stored):
        alone = any((path / name).is_file() for name in scored)
        logs = [] if alone else sorted(path.rglob("logs/metrics.csv"))
        found = {name: [path / name] if alone else sorted(path.rglob(name)) for name in scored}
        if not logs and not any(file.is_file() for files in found.values() for file in files):
            raise DataError(
                f"{path} is neither a run folder (logs/metrics.csv) nor an evaluation (evaluation.json) nor "
                "scores of localisation (localization.json); `passerby train` makes the first, `passerby "
                "evaluate … --out` and `passerby evaluate-localization … --out` the others"
            )
        runs += [Run.load(log.parent.parent) for log in logs]
        for name, files in found.items():
            scored[name] += [file.parent.resolve() for file in files if file.is_file()]
    evaluations, localizations = (list(dict.fromkeys(scored[name])) for name in scored)
    return Sources(
        runs,
        [Evaluation.load(folder, root=images) for folder in evaluations],
        [LocalizationScores.load(folder, root=images) for folder in localizations],
        [load_comparison(path) for path in stored],
    )


def describe_model(metadata: Mapping[str, Any]) -> str:
    """Model, backbone and variant of a model in one line."""
    words = [str(metadata[key]) for key in ("model", "backbone", "variant") if metadata.get(key)]
    return " · ".join(words) or "model"


def format_plain(value: object) -> str:
    """A value of a bundle's metadata or an environment for people: no braces, no quotes."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(format_plain, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
