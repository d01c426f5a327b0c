"""Packages whose public names load when they are first used, so that importing the package loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["load_lazily"]


def load_lazily(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package that imports a module when one of its names is first used.

    Args:
        package: Name of the package.
        modules: For each public name, the module below the package that defines it. The module must have
            another name, because importing it sets that attribute of the package.

    Example:
        >>> load_lazily("passerby", {"Attribute": "schema"})("Attribute").__name__
        'Attribute'
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 - the name that Python calls
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return __getattr__
