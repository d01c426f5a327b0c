"""Values that the shell proposes for arguments whose names the package knows."""

from __future__ import annotations

__all__ = ["complete_datasets", "complete_label_maps", "complete_recipes", "complete_suites"]


def complete_datasets(incomplete: str) -> list[str]:
    """Data sets of `passerby prepare`."""
    from passerby.data.formats import list_formats

    return [name for name in list_formats() if name.startswith(incomplete)]


def complete_label_maps(incomplete: str) -> list[str]:
    """Label maps between data sets."""
    from passerby.data.label_map_tables import list_label_maps

    return [name for name in list_label_maps() if name.startswith(incomplete)]


def complete_recipes(incomplete: str) -> list[str]:
    """Packaged recipes."""
    return _list_packaged("recipe", incomplete)


def complete_suites(incomplete: str) -> list[str]:
    """Packaged suites."""
    return _list_packaged("suite", incomplete)


def _list_packaged(kind: str, incomplete: str) -> list[str]:
    from passerby.config.packaged import list_recipes

    return [
        name for name, each in list_recipes().items() if each.kind == kind and name.startswith(incomplete)
    ]
