"""Train a model by a recipe."""

from passerby.training.engine import train
from passerby.training.run_folder import TrainingOutcome

__all__ = ["TrainingOutcome", "train"]
