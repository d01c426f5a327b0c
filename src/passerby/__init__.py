"""Recognise what a person in a picture looks like, show where, and find such people again.

    import passerby

    bundle = passerby.load("path/to/bundle")
    print(bundle("photo.jpg").present)

Importing this package loads neither torch nor anything else heavy; names are resolved when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from passerby.errors import PasserbyError

if TYPE_CHECKING:
    from passerby.bundle import Bundle, load
    from passerby.data.manifest import Manifest
    from passerby.models import create_model
    from passerby.schema import Attribute, AttributeSchema
    from passerby.types import Box, Prediction, Preprocess

__version__ = "0.1.0"

_HOME = {
    "Attribute": "passerby.schema",
    "AttributeSchema": "passerby.schema",
    "Box": "passerby.types",
    "Bundle": "passerby.bundle",
    "Manifest": "passerby.data.manifest",
    "Prediction": "passerby.types",
    "Preprocess": "passerby.types",
    "create_model": "passerby.models",
    "load": "passerby.bundle",
}

__all__ = [
    "Attribute",
    "AttributeSchema",
    "Box",
    "Bundle",
    "Manifest",
    "PasserbyError",
    "Prediction",
    "Preprocess",
    "__version__",
    "create_model",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'passerby' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
