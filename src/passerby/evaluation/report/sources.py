"""What a report is made of: run folders and evaluation folders."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passerby.errors import DataError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.files import read_json

__all__ = ["Run", "load_sources"]


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


def load_sources(paths: Sequence[Path], *, images: Path | None = None) -> tuple[list[Run], list[Evaluation]]:
    """Read folders of runs and of evaluations; an evaluation below a run folder is found by itself.

    Args:
        paths: Run folders, evaluation folders, or folders of several seeds.
        images: Where the pictures lie, if not where the evaluation notes.

    Raises:
        DataError: If a path is neither, or is damaged.
    """
    runs: list[Run] = []
    folders: list[Path] = []
    for path in map(Path, paths):
        if (path / "evaluation.json").is_file():
            folders.append(path)
            continue
        found = sorted(p.parent.parent for p in path.rglob("logs/metrics.csv"))
        scored = sorted(p.parent for p in path.rglob("evaluation.json"))
        if not found and not scored:
            raise DataError(
                f"{path} is neither a run folder (logs/metrics.csv) nor an evaluation (evaluation.json); "
                "`passerby train` makes the one, `passerby evaluate … --out` the other"
            )
        runs += [Run.load(folder) for folder in found]
        folders += scored
    unique = list({folder.resolve(): folder for folder in folders}.values())
    return runs, [Evaluation.load(folder, root=images) for folder in unique]


def format_plain(value: object) -> str:
    """A value of a bundle's metadata or an environment for people: no braces, no quotes."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(format_plain, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
