"""A trained model with all it takes to predict: as a folder, as one zip, or on the Hugging Face Hub."""

from passerby.bundle.bundle import Bundle, Picture, load, source_of
from passerby.bundle.five_crops import FiveCrops

__all__ = ["Bundle", "FiveCrops", "Picture", "load", "source_of"]
