"""Data sets that their authors withdrew, which passerby does not read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from passerby.errors import DataError

__all__ = ["check_not_withdrawn"]

_NAME = re.compile(r"duke", re.IGNORECASE)
_PATH = re.compile(r"(?:^|[/\\])duke[-_]?(?:mtmc|reid|video)|(?:^|[/\\])\d{4}_c\d_f\d{7}\.", re.IGNORECASE)


def check_not_withdrawn(*, dataset: str = "", root: Path | None = None, images: Iterable[str] = ()) -> None:
    """Refuse DukeMTMC and the data sets made from it (DukeMTMC-reID, DukeMTMC-VideoReID).

    Its authors withdrew it in 2019, because the persons in it had not agreed to its distribution.

    Args:
        dataset: Name of the data set that the user asked for.
        root: Its folder; only the name of the folder is checked.
        images: Paths of images; those of DukeMTMC contain its name or look like `0001_c2_f0046182.jpg`.

    Raises:
        DataError: If one of them names DukeMTMC.

    Example:
        >>> check_not_withdrawn(dataset="peta", images=["images/00001.png"])
    """
    if _NAME.match(dataset):
        found: str | None = f"the data set {dataset!r}"
    elif root is not None and _PATH.search(root.name):
        found = f"the folder {root.name}"
    else:
        found = next((f"the image {image}" for image in images if _PATH.search(image)), None)
    if found:
        raise DataError(
            f"{found} belongs to DukeMTMC, which its authors withdrew in 2019 because the persons in it had "
            f"not agreed to its distribution; passerby does not support it. Use another data set, such as "
            f"market1501"
        )
