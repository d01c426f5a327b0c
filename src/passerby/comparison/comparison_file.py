"""Reading and writing of stored comparisons of both kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from passerby.errors import ConfigError, DataError
from passerby.evaluation.score_files import COMPARISON_SUFFIX
from passerby.io import read_json, write_json
from passerby.migration import upgrade

__all__ = [
    "VERSION",
    "ComparisonKind",
    "check_comparison_path",
    "load_comparison_file",
    "write_comparison_file",
]

VERSION = 1
T = TypeVar("T")


@dataclass(frozen=True)
class ComparisonKind:
    """A kind of stored comparison.

    Args:
        title: Name of the kind in errors.
        command: Command of passerby that writes such files.
        suffix: Suffix of their names.
    """

    title: str
    command: str
    suffix: str


def check_comparison_path(path: Path, suffix: str = COMPARISON_SUFFIX) -> None:
    """Raise ConfigError unless the name ends in the suffix, unlike those of score files."""
    if not Path(path).name.endswith(suffix):
        raise ConfigError(f"expected a file name that ends in {suffix}, got {path}")


def write_comparison_file(path: Path, values: Mapping[str, Any], kind: ComparisonKind) -> None:
    """Write a comparison as JSON, through a temporary name.

    Raises:
        ConfigError: If the name does not end in the suffix of the kind.
    """
    check_comparison_path(path, kind.suffix)
    write_json(Path(path), values)


def load_comparison_file(
    path: Path, kind: ComparisonKind, cls: type[T], create: Callable[[dict[str, Any]], T]
) -> T:
    """Read a file that `write_comparison_file` wrote.

    Args:
        path: The file.
        kind: Its kind.
        cls: The dataclass of the comparison.
        create: Creates it from the values of its fields; errors become a DataError.

    Raises:
        DataError: If the file is missing, damaged or of another kind.
    """
    values = upgrade(read_json(path))
    try:
        _check_fields(values, cls)
        return create(values)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is no {kind.title}, or is damaged ({error}); create it again with "
            f"`passerby {kind.command} … --out`"
        ) from error


def _check_fields(values: dict[str, Any], cls: type) -> None:
    """Remove the version and complete older files; raise ValueError unless the fields are as expected."""
    names = [field.name for field in fields(cls)]
    if values.pop("version") != VERSION:
        raise ValueError(f"expected version {VERSION}")
    for field in fields(cls):
        if field.default is not MISSING:  # added after passerby 0.2
            values.setdefault(field.name, field.default)
    if set(values) != set(names):
        raise ValueError(f"expected the fields {', '.join(names)}")
