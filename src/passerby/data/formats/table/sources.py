"""Which files are the tables of a data set: a single one, or one for each split."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from passerby.data.columns import SPLITS
from passerby.data.formats.dataset_files import find_pickle, refuse_pickle
from passerby.data.formats.split_names import find_split, parse_split
from passerby.data.formats.table.columns import OWN_SPLIT, find_split_column
from passerby.data.formats.table.files import SPREADSHEETS, Table
from passerby.errors import FormatError

__all__ = ["find_tables", "join_tables"]

logger = logging.getLogger(__name__)


def find_tables(
    root: Path, table: Path | Sequence[Path] | None = None, *, other: Sequence[Path] = ()
) -> list[Path]:
    """The files of the tables, in the order train, val, test.

    By default, the CSV files and spreadsheets in the root, or else the Parquet files: there must be only one,
    or one for each split. A spreadsheet next to a CSV file of the same name is left out, with a note.

    Args:
        root: Folder of the data set, or a table.
        table: The files, if they are given.
        other: Files in the root that are no tables of labels.

    Raises:
        FormatError: If a file is given twice; or if none is given, and the root has none, or several that are
            not one for each split.
    """
    if table is not None:
        files = [Path(table)] if isinstance(table, str | Path) else [Path(file) for file in table]
        if repeated := [file for file, count in Counter(map(Path.resolve, files)).items() if count > 1]:
            raise FormatError(f"--table: {repeated[0]} is given twice; name each file once")
        return _order_files(files)
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise FormatError(f"expected a folder with a table at {root}, which does not exist; check --root")
    skip = {path.resolve() for path in other}
    paths = sorted(path for path in root.iterdir() if path.name[0] not in ".~" and path.resolve() not in skip)
    texts = [path for path in paths if path.suffix.lower() in (".csv", ".tsv")]
    stems = {path.stem for path in texts}
    sheets = [path for path in paths if path.suffix.lower() in SPREADSHEETS]
    if copies := [path.name for path in sheets if path.stem in stems]:
        logger.warning("left out %s, because there is a CSV file of the same name", ", ".join(copies))
    found = [*texts, *(path for path in sheets if path.stem not in stems)]
    found = found or [path for path in paths if path.suffix.lower() == ".parquet"]
    if len(found) == 1 or (found and all(find_split(path.stem) for path in found)):
        return _order_files(found)
    if found:
        names = ", ".join(path.name for path in found[:5])
        raise FormatError(
            f"expected one table in {root}, or one for each split (train, val, test), found {names}; "
            f"choose with --table, which may be repeated"
        )
    if pickle := find_pickle(root):
        refuse_pickle(pickle)
    raise FormatError(
        f"expected a CSV, Excel, ODS or Parquet table in {root}, found none; give its path with --table"
    )


def _order_files(files: Sequence[Path]) -> list[Path]:
    """The files in the order train, val, test."""
    order = {split: number for number, split in enumerate(SPLITS)}
    return sorted(
        files, key=lambda file: order.get(parse_split(find_split(file.stem) or "") or "", len(order))
    )


def join_tables(tables: Sequence[Table], files: Sequence[Path], *, other: Sequence[str] = ()) -> Table:
    """The rows of all tables; if there are several without a column of splits, the names of the files are it.

    Args:
        tables: The tables.
        files: Their files.
        other: Names of columns that are no splits: labels, and columns to leave out.

    Raises:
        FormatError: If the columns of the tables differ, or the split of one is not known.
    """
    if len(tables) == 1:
        return tables[0]
    first = list(tables[0].columns)
    for file, table in zip(files[1:], tables[1:], strict=True):
        lacking = [name for name in first if name not in table.columns]
        further = [name for name in table.columns if name not in first]
        if lacking or further:
            parts = [f"lacks {', '.join(lacking)}"] * bool(lacking)
            parts += [f"has also {', '.join(further)}"] * bool(further)
            raise FormatError(
                f"{file.name}: expected the columns of {files[0].name}; it {' and '.join(parts)}; add, "
                f"rename or remove columns so that all tables agree"
            )
    columns = {name: [cell for table in tables for cell in table.columns[name]] for name in first}
    places = [place for table in tables for place in table.places]
    decimals = {table.decimal for table in tables} - {""}
    joined = Table(
        columns,
        places,
        decimals.pop() if len(decimals) == 1 else "",
        frozenset.intersection(*(table.numbering for table in tables)),
    )
    if find_split_column(joined, [name for name in columns if name not in other]) is None:
        splits = [find_split(file.stem) for file in files]
        if unnamed := [file.name for file, split in zip(files, splits, strict=True) if split is None]:
            raise FormatError(
                f"cannot tell the split of {', '.join(unnamed)} by its name; rename it to train…, val… or "
                f"test…, or add a column `split` to all tables"
            )
        own = [split for split, table in zip(splits, tables, strict=True) for _ in table.places]
        return replace(joined, columns={**columns, OWN_SPLIT: own})
    return joined
