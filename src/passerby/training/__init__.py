"""Training: recipe in, run folder out."""

from passerby.training.engine import TrainingOutcome, train

__all__ = ["TrainingOutcome", "train"]
