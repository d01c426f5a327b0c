"""Read custom data: a table with one row per person and one column per attribute.

It may be a CSV file in the variants that spreadsheets write, an Excel or ODS spreadsheet, a Parquet file, or
a list without header; several files are the splits of one data set.

| column | meaning |
|---|---|
| `image` | path relative to the root; the only required column |
| `x0`, `y0`, `x1`, `y1` | crop in pixels, right and bottom exclusive; empty for the full image |
| `identity`, `camera` | any text |
| `split` | `train`, `val`, `test` or empty; becomes the partition `own` (`split:<name>`: `<name>`) |
| `mask`, `parsing` | path relative to the root, or empty; `classes.txt` in the folder names the classes |
| `keypoints` | 17 × (x px, y px, score) in COCO order: 51 numbers separated by blanks, or a list |
| any other | an attribute: 1 present, 0 absent, empty or −1 unknown; or several values, exclusive |

`columns` lists other names of these columns, `labels` other forms of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from passerby.data.domain import read_domain
from passerby.data.formats.dataset_files import (
    find_images,
    keep_present,
    load_classes,
    load_schema,
)
from passerby.data.formats.table.cells import Cells
from passerby.data.formats.table.columns import Columns, find_columns, read_splits
from passerby.data.formats.table.files import Table, load_table, read_names
from passerby.data.formats.table.labels import Labels, read_labels
from passerby.data.formats.table.sources import find_tables, join_tables
from passerby.data.formats.table.values import propose
from passerby.data.formats.withdrawn import check_not_withdrawn
from passerby.data.manifest import Manifest
from passerby.errors import DataError, FormatError
from passerby.images.limits import IMAGE_SUFFIXES
from passerby.schema import AttributeSchema
from passerby.types import Box

__all__ = ["read", "read_persons"]

KNOWN_SCHEMAS = ("pa100k", "peta", "rap1", "rap2", "wider", "market1501", "upar", "ccp", "mars")


def read(
    root: Path,
    *,
    allow_missing: bool = False,
    table: Path | Sequence[Path] | None = None,
    schema: Path | None = None,
    attributes: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    name: str | None = None,
    image_column: str | None = None,
    attribute_names: Path | None = None,
    worksheet: str | None = None,
    unknown: Sequence[str] = (),
    absent: Sequence[str] = (),
    categorical: Sequence[str] = (),
) -> Manifest:
    """Read a custom table.

    Args:
        root: Folder that the paths in the table are relative to, or the table itself.
        allow_missing: Continue without missing images.
        table: The file, or several files with the same columns, whose names contain their split
            (`train.csv`, `labels_val.csv`); by default the only CSV file or spreadsheet (or else Parquet
            file) in the root, or all of them if each is named after a split.
        schema: CSV file with the fields of `passerby.schema.Attribute`, which describes the attributes.
        attributes: Names of the label columns; by default those of the schema, or else all columns that
            have no other meaning.
        ignore: Names of columns to leave out.
        name: Name of the data set; by default the stem of the table, or the root's name for several.
        image_column: Name of the column of the paths, if it is not found by default.
        attribute_names: File with the names of the labels, one per line, of a list without header:
            rows of a path and its labels, separated by blanks or as a CSV file.
        worksheet: Name of the sheet of a spreadsheet; by default the first one.
        unknown: Cells that mean an unknown label, in addition to empty ones, −1, `nan`, `?` and the like.
        absent: Cells that mean an absent label, such as `none`; the empty text stands for empty cells.
        categorical: Columns that become one attribute for each of their values, such as `age` = 0, 1, 2.

    Returns:
        A manifest whose schema is the given one, or that of a known data set if it contains all attributes,
        or created from the names of the columns.

    Raises:
        FormatError: If a column is missing or a cell is invalid; the message names the row.
        ManifestError: If a path is not below the root.
        SchemaError: If the schema lacks an attribute or the table has none.
        DataError: If the images are those of a data set that was withdrawn.
    """
    root = Path(root)
    files = find_tables(root, table or None, other=[Path(p) for p in (schema, attribute_names) if p])
    root = root.parent if root.is_file() else root
    names = read_names(attribute_names) if attribute_names else None
    dataset = name or (files[0].stem if len(files) == 1 else root.resolve().name)
    given = AttributeSchema.from_csv(Path(schema), name=dataset) if schema else None
    wanted = tuple(attributes or (given.names if given else ()))
    tables = [load_table(file, names=names, worksheet=worksheet) for file in files]
    content = join_tables(tables, files, other=[*ignore, *wanted])
    columns = find_columns(content, image=image_column, ignore=ignore, labels=wanted)
    cells = Cells(content, root)
    images = _resolve_stems(root, cells.map(columns.image, cells.to_image))
    check_not_withdrawn(root=root.resolve(), images=images)
    chosen = _choose_columns(content, columns.others, wanted)
    labels = read_labels(content, chosen, unknown=unknown, absent=absent, categorical=categorical)
    if given:
        labels = _apply_schema(labels, given.select(attributes or given.names))
    else:
        labels = _recognise(labels.select(attributes) if attributes else labels)
    rows = keep_present(
        [image if (root / image).is_file() else None for image in images],
        expected=images,
        dataset=dataset,
        where=root,
        allow_missing=allow_missing,
    )
    cells = Cells(content.take(rows), root)
    parsing = cells.read_files(columns.parsing)
    manifest = Manifest.create(
        dataset,
        AttributeSchema(dataset, labels.attributes),
        root=root,
        images=[images[row] for row in rows],
        labels=labels.values[rows],
        partitions={key: read_splits(cells.table, column) for key, column in columns.partitions.items()},
        boxes=[None if box is None else box.as_xyxy() for box in _read_boxes(cells, columns)],
        identities=cells.map(columns.identity, cells.to_text),
        cameras=cells.map(columns.camera, cells.to_text),
        masks=cells.read_files(columns.mask),
        parsing=parsing,
        keypoints=cells.map(columns.keypoints, cells.to_keypoints),
    )
    manifest = manifest.with_guidance(parsing_classes=load_classes(root, parsing))
    return replace(manifest, domain=read_domain(root, files[0].parent))


def read_persons(
    file: Path,
    root: Path,
    *,
    image_column: str | None = None,
    ignore: Sequence[str] = (),
    attribute_names: Path | None = None,
    worksheet: str | None = None,
) -> list[tuple[int, str, Box | None]]:
    """Read the row number, the image and the box of each row of a table, for prediction.

    Columns are found as by `read`; labels and others are ignored. Paths of images may be absolute.

    Args:
        file: The table.
        root: Folder that the paths are relative to.
        image_column, ignore, attribute_names, worksheet: As in `read`.

    Raises:
        FormatError: If there is no row, a column is missing or a box is impossible; the message names the
            row.
        ManifestError: If an absolute path of Windows, read elsewhere, is not below the root.
    """
    names = read_names(attribute_names) if attribute_names else None
    content = load_table(file, names=names, worksheet=worksheet)
    columns = find_columns(content, image=image_column, ignore=ignore)
    cells = Cells(content, root)
    images = _resolve_stems(root, cells.map(columns.image, cells.to_source))
    return list(zip(content.rows, images, _read_boxes(cells, columns), strict=True))


def _resolve_stems(root: Path, images: Sequence[str]) -> list[str]:
    """Add the extension to names without one, such as the numbers of a column `image_id`."""
    by_folder: dict[str, dict[str, str]] = {}
    resolved = []
    for image in images:
        path = PurePosixPath(image)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            resolved.append(image)
            continue
        folder = path.parent.as_posix()
        if folder not in by_folder:
            by_folder[folder] = find_images(root, folder)
        resolved.append(by_folder[folder].get(path.name, image))
    return resolved


def _choose_columns(table: Table, others: Sequence[str], names: Sequence[str]) -> list[str]:
    """The columns of the named attributes, such as `colour` for `colour=red`; by default all."""
    chosen: dict[str, None] = {}
    missing = []
    for name in names or others:
        column = name if name in others else next((o for o in others if name.startswith(f"{o}=")), None)
        if column is None:
            missing.append(name)
        else:
            chosen[column] = None
    if missing or not chosen:
        wanted = f"columns for {', '.join(missing)}" if missing else "attribute columns"
        raise FormatError(
            f"{table.name}: expected {wanted}; it has {', '.join(others) or 'none'}{propose(missing, others)}"
        )
    return list(chosen)


def _apply_schema(labels: Labels, schema: AttributeSchema) -> Labels:
    """The labels of the attributes of a schema; a value that does not occur in its column is absent."""
    positions = {attribute.name: i for i, attribute in enumerate(labels.attributes)}
    values = []
    for name in schema.names:
        same = [
            i for i, a in enumerate(labels.attributes) if a.category and name.startswith(f"{a.category}=")
        ]
        if name in positions:
            values.append(labels.values[:, positions[name]])
        elif same:
            values.append(np.where(labels.values[:, same[0]] < 0, -1, 0).astype(np.int8))
        else:
            found = ", ".join(a.name for a in labels.attributes if a.category == name)
            raise FormatError(f"the column {name!r} has several values: describe {found} in the schema")
    return Labels(schema.attributes, np.stack(values, axis=1))


def _recognise(labels: Labels) -> Labels:
    """The labels with the descriptions of a known data set, if it has all the attributes."""
    names = [attribute.name for attribute in labels.attributes]
    for known in map(load_schema, KNOWN_SCHEMAS):
        if set(names) <= set(known.names):
            return Labels(known.select(names).attributes, labels.values)
    return labels


def _read_boxes(cells: Cells, columns: Columns) -> list[Box | None]:
    if not columns.box:
        return [None] * len(cells.table.places)
    boxes: list[Box | None] = []
    sides = zip(*(cells.map(name, cells.to_side) for name in columns.box), strict=True)
    for place, box in zip(cells.table.places, sides, strict=True):
        known = [side for side in box if side is not None]
        if not known:
            boxes.append(None)
            continue
        if len(known) < 4:
            lacking = [name for name, side in zip(columns.box, box, strict=True) if side is None]
            raise FormatError(
                f"{place}: a box without {', '.join(lacking)}; fill in these cells, or empty all of "
                f"{', '.join(columns.box)} for the full image"
            )
        if columns.box_has_size:
            box = (*box[:2], box[0] + box[2], box[1] + box[3])
        if not (box[2] > box[0] and box[3] > box[1]):
            wanted = "a width and height above 0" if columns.box_has_size else "x1 > x0 and y1 > y0"
            raise FormatError(f"{place}: expected {wanted}, or empty cells, got {box}")
        try:
            boxes.append(Box.from_xyxy(box))
        except DataError as error:
            raise FormatError(f"{place}: {error}") from error
    return boxes
