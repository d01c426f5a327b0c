"""The score files below a folder of results, and the names of the other files there."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from passerby.errors import DataError
from passerby.evaluation.results import EVALUATION_FILE, PREDICTIONS_FILE, Result, identify_evaluation
from passerby.io import read_json

__all__ = [
    "BENCHMARK_SUFFIX",
    "CASES_FILE",
    "COMPARISON_SUFFIX",
    "LOCALIZATION_COMPARISON_SUFFIX",
    "LOCALIZATION_SUFFIX",
    "TEACHER_PREDICTIONS",
    "find_score_files",
    "find_unique_files",
    "is_score_file",
    "list_score_files",
    "load_results",
    "locate_predictions",
    "read_results",
    "refuse_comparisons",
]

logger = logging.getLogger(__name__)

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

TEACHER_PREDICTIONS = "teacher-predictions"
"""Folder of a suite's run with predictions for students."""

_STANDARD_NAME = re.compile(r"-seed\d+\.json$")
_COMPARISONS = {COMPARISON_SUFFIX: "compare", LOCALIZATION_COMPARISON_SUFFIX: "compare-localization"}
_OTHERS = (*_COMPARISONS, BENCHMARK_SUFFIX, LOCALIZATION_SUFFIX, CASES_FILE)


def load_results(paths: Iterable[Path]) -> list[Result]:
    """Read the score files and evaluation folders of some paths, each evaluation once.

    Args:
        paths: Score files, evaluation folders, run folders, and folders of these. Other files in a folder are
            skipped; those among the paths are skipped with a warning.

    Raises:
        DataError: If a path does not exist, there is no score, or a file is damaged or lacks provenance.
    """
    return list(read_results(paths).values())


def read_results(paths: Iterable[Path]) -> dict[Path, Result]:
    """As `load_results`, by file. Of several files of one evaluation, one with predictions is taken.

    Two files are of one evaluation if `identify_evaluation` gives the same.
    """
    found: dict[str, tuple[Path, Result]] = {}
    for file in find_score_files(paths):
        result = Result.load(file)
        key = identify_evaluation(asdict(result))
        known = found.get(key)
        if known is None or (_has_predictions(file) and not _has_predictions(known[0])):
            found[key] = file, result
    return dict(found.values())


def find_score_files(paths: Iterable[Path]) -> list[Path]:
    """Find the score files of some paths, each file once; logs a warning about paths without any.

    Raises:
        DataError: If a path does not exist, or there is no score file at all.
    """
    foreign: list[str] = []
    found = find_unique_files(paths, lambda path: _find_below(path, foreign))
    if not found:
        raise DataError("; ".join(foreign) or "expected at least one path, got none")
    for reason in foreign:
        logger.warning("left out: %s", reason)
    return found


def _find_below(path: Path, foreign: list[str]) -> list[Path]:
    """The score file, that of an evaluation folder, or all below a folder; if none, the reason is added."""
    if not path.exists():
        raise DataError(
            f"no file or folder at {path}; `passerby evaluate … --result` and `passerby train … --test` "
            "write score files"
        )
    if path.is_dir():
        found = list_score_files(path)
        reason = (
            f"no score files below {path}; `passerby evaluate … --result` and `passerby train … --test` "
            "write them"
        )
    else:
        found = [path] if is_score_file(path, named=True) else []
        reason = _describe_foreign(path)
    foreign += [] if found else [reason]
    return found


def list_score_files(folder: Path) -> list[Path]:
    """The `evaluation.json` of an evaluation folder, or else all score files below the folder.

    Predictions that a suite makes for students are left out: they are of training samples.
    """
    if (folder / EVALUATION_FILE).is_file():
        return [folder / EVALUATION_FILE]
    return [
        file
        for file in sorted(folder.rglob("*.json"))
        if TEACHER_PREDICTIONS not in file.relative_to(folder).parts and is_score_file(file)
    ]


def is_score_file(file: Path, *, named: bool = False) -> bool:
    """Whether a file is a score file or an `evaluation.json`, by its name and its content.

    Args:
        file: The file.
        named: The user named the file, so that it is an error if it is damaged. A damaged file of a folder is
            a score file if it has the name of one.

    Raises:
        DataError: If the user named a JSON file that is damaged.
    """
    if file.suffix != ".json" or file.name.endswith(_OTHERS):
        return False
    if file.name == EVALUATION_FILE:
        return True
    try:
        values = read_json(file)
    except DataError:
        if named:
            raise
        return _STANDARD_NAME.search(file.name) is not None
    return {"dataset", "metrics"} <= set(values)


def _describe_foreign(path: Path) -> str:
    for suffix, command in _COMPARISONS.items():
        if path.name.endswith(suffix):
            return f"{path} is a stored comparison, not a score file; `passerby {command} {path}` prints it"
    return f"{path} is not a score file, which `passerby evaluate … --result` writes"


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


def _has_predictions(file: Path) -> bool:
    return locate_predictions(file).is_file()


def refuse_comparisons(path: Path) -> None:
    """Raise DataError if a path that should contain scores is a stored comparison."""
    if path.name.endswith(tuple(_COMPARISONS)):
        raise DataError(_describe_foreign(path))
