"""Paths of output files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from passerby.inference.sources import Source

__all__ = ["check_manifest_name", "check_outputs", "place_below"]


def place_below(folder: Path, sources: Sequence[Source], suffix: str, *, keep_suffix: bool) -> list[Path]:
    """The output file of each person: below `folder`, at the image's path below the common folder of all.

    Persons of a table have the name of the image with `_row<row>`.

    Args:
        suffix: Suffix of the files.
        keep_suffix: Append it to the suffix of the image instead of replacing that.

    Raises:
        ConfigError: If two persons would have the same file.

    Example:
        >>> from passerby.inference.sources import Source
        >>> sources = [Source(Path("a/x.jpg")), Source(Path("a/b/y.png"), row=2)]
        >>> place_below(Path("out"), sources, ".npz", keep_suffix=True)
        [PosixPath('out/x.jpg.npz'), PosixPath('out/b/y_row2.png.npz')]
    """
    from passerby.errors import ConfigError

    pictures = [
        each.path if each.row is None else each.path.with_stem(f"{each.path.stem}_row{each.row}")
        for each in sources
    ]
    full = [os.path.abspath(path) for path in pictures]  # noqa: PTH100  (removes .., keeps links)
    common = os.path.commonpath([os.path.dirname(path) for path in full])  # noqa: PTH120
    below = [Path(os.path.relpath(path, common)) for path in full]
    files = [folder / (f"{path}{suffix}" if keep_suffix else path.with_suffix(suffix)) for path in below]
    if doubles := [file for file, count in Counter(files).items() if count > 1]:
        raise ConfigError(
            f"several images have the same output file {doubles[0]}; rename all but one of them"
        )
    return files


def check_outputs(files: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to overwrite input files.

    Raises:
        ConfigError: If one of the files is one of the inputs, possibly under another name.
    """
    from passerby.errors import ConfigError

    taken = {(stat.st_dev, stat.st_ino): path for path in inputs if (stat := _stat(path)) is not None}
    for file in files:
        stat = _stat(file)
        if stat is not None and (stat.st_dev, stat.st_ino) in taken:
            raise ConfigError(f"{file} is one of the input files; choose another output path")


def check_manifest_name(file: Path) -> None:
    """Refuse a manifest whose name is not that of a Parquet file, such as `data.csv`.

    Raises:
        ConfigError: If the suffix is not `.parquet`.
    """
    from passerby.errors import ConfigError

    if file.suffix.lower() != ".parquet":
        raise ConfigError(
            f"--out: a manifest is a Parquet file, got {file.name!r}; name it {file.stem}.parquet"
        )


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # missing or not accessible: writing reports it
        return None
