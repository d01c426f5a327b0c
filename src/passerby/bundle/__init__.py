"""A trained model with all it takes to predict: as a folder, as one zip, or on the Hugging Face Hub."""

from passerby.bundle.bundle import Bundle, Picture, load, source_of

__all__ = ["Bundle", "Picture", "load", "source_of"]
