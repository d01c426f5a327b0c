"""Recognise attributes of persons in images: sex, age, hair, clothing, what they carry.

    import passerby

    bundle = passerby.load("path/to/bundle")
    print(bundle("photo.jpg").present)

Names load when first used, so importing the package is fast and imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from passerby._version import __version__
from passerby.errors import PasserbyError

if TYPE_CHECKING:
    from passerby import losses, metrics
    from passerby.bundle import Bundle, load
    from passerby.comparison import compare, compare_localization
    from passerby.config import load_recipe
    from passerby.data.formats import list_formats
    from passerby.data.label_map import LabelMap, list_label_maps
    from passerby.data.manifest import Manifest
    from passerby.evaluation import evaluate
    from passerby.evaluation.localization import evaluate_localization
    from passerby.explain import localize
    from passerby.inference import Predictor
    from passerby.losses import create_loss, list_losses
    from passerby.models import create_model, list_models
    from passerby.schema import Attribute, AttributeSchema
    from passerby.training import train
    from passerby.types import Box, Prediction, Preprocess

_MODULES = {
    "Attribute": "schema",
    "AttributeSchema": "schema",
    "Box": "types",
    "Bundle": "bundle",
    "LabelMap": "data.label_map",
    "Manifest": "data.manifest",
    "Prediction": "types",
    "Predictor": "inference",
    "Preprocess": "types",
    "compare": "comparison",
    "compare_localization": "comparison",
    "create_loss": "losses",
    "create_model": "models",
    "evaluate": "evaluation",
    "evaluate_localization": "evaluation.localization",
    "list_formats": "data.formats",
    "list_label_maps": "data.label_map",
    "list_losses": "losses",
    "list_models": "models",
    "load": "bundle",
    "load_recipe": "config",
    "localize": "explain",
    "train": "training",
}
"""The module that defines each public name."""

__all__ = [
    "Attribute",
    "AttributeSchema",
    "Box",
    "Bundle",
    "LabelMap",
    "Manifest",
    "PasserbyError",
    "Prediction",
    "Predictor",
    "Preprocess",
    "__version__",
    "compare",
    "compare_localization",
    "create_loss",
    "create_model",
    "evaluate",
    "evaluate_localization",
    "list_formats",
    "list_label_maps",
    "list_losses",
    "list_models",
    "load",
    "load_recipe",
    "localize",
    "losses",
    "metrics",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in ("losses", "metrics"):
        return import_module(f"passerby.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module 'passerby' has no attribute {name!r}")
    return getattr(import_module(f"passerby.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
