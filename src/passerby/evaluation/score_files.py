"""The score files below a folder of results, and the names of the other files there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from passerby.errors import DataError
from passerby.evaluation.results import EVALUATION_FILE, PREDICTIONS_FILE, Result

__all__ = [
    "BENCHMARK_SUFFIX",
    "CASES_FILE",
    "COMPARISON_SUFFIX",
    "LOCALIZATION_COMPARISON_SUFFIX",
    "LOCALIZATION_SUFFIX",
    "find_score_files",
    "find_unique_files",
    "load_results",
    "locate_predictions",
    "refuse_comparisons",
]

COMPARISON_SUFFIX = ".comparison.json"
"""Suffix of the files of `passerby compare --out`."""
BENCHMARK_SUFFIX = ".benchmark.json"
"""Suffix of the files of the scripts in `benchmarks/`."""
LOCALIZATION_SUFFIX = "localization.json"
"""Suffix of the files of `passerby evaluate-localization`."""
LOCALIZATION_COMPARISON_SUFFIX = ".localization-comparison.json"
"""Suffix of the files of `passerby compare-localization --out`."""
CASES_FILE = "cases.json"
"""File of the best and worst samples in an evaluation of localization."""

_COMPARISONS = {COMPARISON_SUFFIX: "compare", LOCALIZATION_COMPARISON_SUFFIX: "compare-localization"}
_OTHERS = (*_COMPARISONS, BENCHMARK_SUFFIX, LOCALIZATION_SUFFIX, CASES_FILE)


def load_results(paths: Iterable[Path]) -> list[Result]:
    """Read score files, folders of them and evaluation folders, in the order of their names.

    Raises:
        DataError: If a path does not exist or contains no score, or a file is damaged or lacks provenance.
    """
    return [Result.load(file) for path in paths for file in find_score_files(path)]


def find_score_files(path: Path) -> list[Path]:
    """Find the score files of a path: the file itself, that of an evaluation folder, or all below a folder.

    Raises:
        DataError: If there is none.
    """
    path = Path(path)
    refuse_comparisons(path)
    if path.is_dir() and (path / EVALUATION_FILE).is_file():
        return [path / EVALUATION_FILE]
    candidates = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    files = [file for file in candidates if not file.name.endswith(_OTHERS)]
    if not files:
        raise DataError(f"no score files below {path}; `passerby evaluate … --result` writes them")
    return files


def find_unique_files(paths: Iterable[Path | str], find: Callable[[Path], list[Path]]) -> list[Path]:
    """The files that `find` returns for each path, each file once."""
    files: dict[Path, Path] = {}
    for path in paths:
        for file in find(Path(path)):
            files.setdefault(file.resolve(), file)
    return list(files.values())


def locate_predictions(file: Path) -> Path:
    """The path of the predictions of a score file, which need not exist."""
    return file.with_name(PREDICTIONS_FILE) if file.name == EVALUATION_FILE else file.with_suffix(".parquet")


def refuse_comparisons(path: Path) -> None:
    """Raise DataError if a path that should contain scores is a stored comparison."""
    for suffix, command in _COMPARISONS.items():
        if path.name.endswith(suffix):
            raise DataError(
                f"{path} is a stored comparison, not a score file; `passerby {command} {path}` prints it"
            )
