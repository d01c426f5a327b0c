"""The columns of a table: which one is the image, the box, the identity, the camera and the split.

Names of columns are compared without case, blanks, `_` and `-`, except for `mask`, `parsing` and `keypoints`,
which are also plausible names of attributes in another spelling.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from passerby.data.formats.split_names import is_trainval, parse_split
from passerby.data.formats.table.files import Table, is_image_name, normalise_cell
from passerby.data.formats.table.values import UNKNOWN, is_binary, propose, suggest
from passerby.errors import FormatError

__all__ = ["OWN_SPLIT", "Columns", "find_columns", "find_split_column", "read_splits"]

IMAGE = (
    *("image", "imagepath", "imagefile", "imagefilename", "imagename", "imageid"),
    *("img", "imgpath", "imgfile", "imgname", "imgid"),
    *("filename", "filepath", "file", "path"),
    *("photo", "photopath", "photoname", "photoid", "picture", "picturepath", "picturename", "pic"),
)
IDENTITY = ("identity", "identityid", "personid", "pid", "subjectid")
CAMERA = ("camera", "cameraid", "cam", "camid", "camname", "cameraname")
SPLIT = ("split", "subset", "partition", "set")
EXACT = ("mask", "parsing", "keypoints")
OWN_SPLIT = "split:own"
"""Name of a column of the partition `own` that is always read as such."""

CORNERS = (
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("left", "top", "right", "bottom"),
)
SIZES = (
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("left", "top", "width", "height"),
    ("xmin", "ymin", "width", "height"),
)
ONE_CELL = ("bbox", "box", "boundingbox")
"""Names of a column with a whole box, which may be corners or position and size."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Columns:
    """The names of the columns with a meaning; None or empty if the table has none.

    Args:
        image: Column of the paths.
        box: The four columns of the box.
        box_has_size: Whether the last two columns of the box are its width and height.
        partitions: Column of the splits by name of the partition.
        mask, parsing, keypoints: Columns of the auxiliary inputs.
        others: All other columns, in order: labels, or not.
    """

    image: str
    box: tuple[str, ...] = ()
    box_has_size: bool = False
    identity: str | None = None
    camera: str | None = None
    partitions: dict[str, str] = field(default_factory=dict)
    mask: str | None = None
    parsing: str | None = None
    keypoints: str | None = None
    others: tuple[str, ...] = ()


def find_columns(
    table: Table, *, image: str | None = None, ignore: Sequence[str] = (), labels: Sequence[str] = ()
) -> Columns:
    """Find the columns with a meaning; those taken under another name than the documented one are logged.

    Args:
        table: The table.
        image: Name of the column of the paths.
        ignore: Names of columns to leave out.
        labels: Names of columns that are labels, even if they have the name of another column.

    Raises:
        FormatError: If there is no column of paths or several, a given name is no column, or a box is
            incomplete.
    """
    names = list(table.columns)
    _check_exist(names, [] if image is None else [image], "--image-column")
    _check_exist(names, ignore, "--ignore")
    rest = [name for name in names if name not in ignore]
    found = image or _find_image(table, rest)
    numbering = [name for name in rest if name in table.numbering and name not in (found, *labels)]
    rest = [name for name in rest if name not in numbering]
    unused = [name for name in rest if _normalise(name) in IMAGE and name not in (found, *labels)]
    rest = [name for name in rest if name not in (found, *unused)]
    free = [name for name in rest if name not in labels]
    box, has_size = _find_box(table.name, free)
    identity, camera = _find_one(free, IDENTITY), _find_one(free, CAMERA)
    partitions = {name.removeprefix("split:"): name for name in free if name.startswith("split:")}
    if OWN_SPLIT not in free and (split := find_split_column(table, free)):
        partitions = {"own": split, **partitions}
    auxiliary = {name: name for name in EXACT if name in free and not _has_labels(table, name)}
    taken = {*box, identity, camera, *partitions.values(), *auxiliary}
    columns = Columns(
        image=found,
        box=box,
        box_has_size=has_size,
        identity=identity,
        camera=camera,
        partitions=partitions,
        **auxiliary,
        others=tuple(name for name in rest if name not in taken),
    )
    _log_names(columns, unused=unused, numbering=numbering)
    if camera is not None and _has_labels(table, camera, at_least=2):
        logger.warning(
            "the column %r was read as the number of the camera, but has only labels; if it is an attribute, "
            "name all columns of labels with --attributes",
            camera,
        )
    return columns


def read_splits(table: Table, column: str) -> list[str | None]:
    """The splits in a column: `train`, `val`, `test`, or None for an empty cell.

    Raises:
        FormatError: If a cell is not the name of a split.
    """
    splits: list[str | None] = []
    merged = 0
    for place, cell in zip(table.places, table.columns[column], strict=True):
        text = normalise_cell(cell)
        split = parse_split(text)
        if text and split is None:
            raise FormatError(
                f"{place}, column {column!r}: expected train, val, test or nothing (also Training, valid, "
                f"dev, trainval and the like), got {text!r}"
            )
        merged += is_trainval(text)
        splits.append(split)
    if merged:
        hint = "" if "val" in splits else "; there is no val split: add one with --partition random"
        logger.warning("rows of trainval are in the split train (%s)%s", f"{merged:,}", hint)
    return splits


def _find_image(table: Table, names: Sequence[str]) -> str:
    if "image" in names:
        return "image"
    candidates = [name for name in names if _normalise(name) in IMAGE]
    with_names = [name for name in candidates if any(map(is_image_name, table.columns[name]))]
    found = with_names or candidates
    if len(found) == 1:
        return found[0]
    if found:
        raise FormatError(
            f"{table.name}: the columns {', '.join(found)} may all be the image; choose one with "
            f"{suggest('--image-column', found[0])}"
        )
    likely = next((name for name in names if any(map(is_image_name, table.columns[name]))), None)
    raise FormatError(
        f"{table.name}: expected a column `image` with the paths of the images (also filename, path, "
        f"photo and the like), got {', '.join(names) or 'nothing'}; name it with "
        f"{suggest('--image-column', likely or 'NAME')}"
    )


def _find_box(file: str, names: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    by_key = {_normalise(name).removeprefix("bbox").removeprefix("box"): name for name in names}
    for families, has_size in ((CORNERS, False), (SIZES, True)):
        for family in families:
            if all(key in by_key for key in family):
                return tuple(by_key[key] for key in family), has_size
    if sides := [name for name in CORNERS[0] if name in names]:
        raise FormatError(f"{file}: a box needs the columns x0, y0, x1, y1; got only {', '.join(sides)}")
    if whole := [name for name in names if _normalise(name) in ONE_CELL]:
        raise FormatError(
            f"{file}: column {whole[0]!r}: four numbers in a cell may be corners or position and size; "
            f"divide it into the columns x0, y0, x1, y1 or x, y, w, h, or leave it out with "
            f"{suggest('--ignore', whole[0])}"
        )
    return (), False


def _find_one(names: Sequence[str], aliases: Sequence[str]) -> str | None:
    """The column with the first of the aliases that occurs."""
    by_key = {_normalise(name): name for name in reversed(names)}
    return next((by_key[alias] for alias in aliases if alias in by_key), None)


def find_split_column(table: Table, names: Sequence[str]) -> str | None:
    """The column of the splits: `split`, or one of another name if all its cells are names of splits.

    Args:
        table: The table.
        names: The columns to search.
    """
    for name in (OWN_SPLIT, _find_one(names, SPLIT[:1])):
        if name in names:
            return name
    for alias in SPLIT[1:]:
        found = _find_one(names, [alias])
        if found is not None:
            cells = {normalise_cell(cell) for cell in table.columns[found]} - {""}
            if cells and all(map(parse_split, cells)):
                return found
    return None


def _has_labels(table: Table, name: str, *, at_least: int = 1) -> bool:
    """Whether all known cells of a column are labels such as 1 and 0, not paths or names."""
    values = {normalise_cell(cell).lower() for cell in table.columns[name]} - UNKNOWN
    return len(values) >= at_least and is_binary(values)


def _log_names(columns: Columns, *, unused: Sequence[str], numbering: Sequence[str]) -> None:
    roles = {
        "image": columns.image,
        "identity": columns.identity,
        "camera": columns.camera,
        "split": columns.partitions.get("own"),
    }
    taken = [f"{name!r} as {role}" for role, name in roles.items() if name not in (None, role, OWN_SPLIT)]
    if taken:
        logger.warning("read the column%s %s", "s" * (len(taken) > 1), ", ".join(taken))
    if columns.box and columns.box != CORNERS[0]:
        kind = "left, top, width, height" if columns.box_has_size else "left, top, right, bottom"
        logger.warning(
            "read the columns %s as the box (%s, in pixels)", ", ".join(map(repr, columns.box)), kind
        )
    if unused:
        logger.warning(
            "left out the column%s %s: another column has the images",
            "s" * (len(unused) > 1),
            ", ".join(unused),
        )
    for name in numbering:
        logger.warning("left out the column %r, which only numbers the rows", name)


def _check_exist(names: Sequence[str], given: Sequence[str], option: str) -> None:
    if missing := [name for name in given if name not in names]:
        raise FormatError(
            f"{option}: no column {', '.join(missing)}; the table has {', '.join(names)}"
            f"{propose(missing, names)}"
        )


def _normalise(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()
