"""Where the files that belong to pictures go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

__all__ = ["check_outputs", "place_below"]


def place_below(folder: Path, pictures: list[Path], suffix: str, *, keep_suffix: bool) -> list[Path]:
    """A file for each picture below a folder, as the pictures lie below the folder that has them all.

    Args:
        suffix: Of the files.
        keep_suffix: Put it behind the picture's own, which it replaces otherwise.

    Raises:
        ConfigError: If two pictures would have the same file.

    Example:
        >>> place_below(Path("out"), [Path("a/x.jpg"), Path("a/b/y.png")], ".npz", keep_suffix=True)
        [PosixPath('out/x.jpg.npz'), PosixPath('out/b/y.png.npz')]
    """
    from passerby.errors import ConfigError

    full = [os.path.abspath(path) for path in pictures]  # noqa: PTH100  (takes .. out, leaves links alone)
    common = os.path.commonpath([os.path.dirname(path) for path in full])  # noqa: PTH120
    below = [Path(os.path.relpath(path, common)) for path in full]
    files = [folder / (f"{path}{suffix}" if keep_suffix else path.with_suffix(suffix)) for path in below]
    if doubles := [file for file, count in Counter(files).items() if count > 1]:
        raise ConfigError(f"several pictures would have the file {doubles[0]}; rename all but one of them")
    return files


def check_outputs(files: Iterable[Path], pictures: Iterable[Path]) -> None:
    """Refuse to write over the pictures that are to be read.

    Raises:
        ConfigError: If one of the files is one of the pictures, by whatever name.
    """
    from passerby.errors import ConfigError

    taken = {(stat.st_dev, stat.st_ino): path for path in pictures if (stat := _look(path)) is not None}
    for file in files:
        stat = _look(file)
        if stat is not None and (stat.st_dev, stat.st_ino) in taken:
            raise ConfigError(f"{file} is one of the pictures to read; give another path to write to")


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # not there, or not to be seen: writing will say so
        return None
