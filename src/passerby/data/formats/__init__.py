"""Readers of data sets, one module per data set; each converts files to a `Manifest`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from passerby.data.formats import ccp, market1501, mars, pa100k, peta, rap1, rap2, table, upar, wider
from passerby.data.manifest import Manifest

__all__ = ["FORMATS", "list_formats"]

FORMATS: Mapping[str, Callable[..., Manifest]] = MappingProxyType(
    {
        "peta": peta.read,
        "pa100k": pa100k.read,
        "rap1": rap1.read,
        "rap2": rap2.read,
        "wider": wider.read,
        "market1501": market1501.read,
        "mars": mars.read,
        "upar": upar.read,
        "ccp": ccp.read,
        "table": table.read,
    }
)
"""Readers by name: `read(root, *, allow_missing=False, …) -> Manifest`."""


def list_formats() -> list[str]:
    """Names of the data sets that `passerby prepare` reads.

    Example:
        >>> list_formats()[:3]
        ['peta', 'pa100k', 'rap1']
    """
    return list(FORMATS)
