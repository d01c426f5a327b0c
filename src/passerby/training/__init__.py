"""Train a model by a recipe.

`train` loads when first used, so that a command can check paths before it imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from passerby.training.engine import train
    from passerby.training.run_folder import TrainingOutcome

__all__ = ["TrainingOutcome", "train"]

_MODULES = {"TrainingOutcome": "run_folder", "train": "engine"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'passerby.training' has no attribute {name!r}")
    return getattr(import_module(f"passerby.training.{_MODULES[name]}"), name)
