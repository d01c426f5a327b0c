"""Training: recipe in, run folder out."""

from passerby.training.engine import train
from passerby.training.run_folder import TrainingOutcome

__all__ = ["TrainingOutcome", "train"]
