"""Trained models with everything that prediction needs: folders, zips, or on the Hugging Face Hub."""

from passerby.bundle.bundle import Bundle, load
from passerby.bundle.pictures import Picture, open_picture, source_of

__all__ = ["Bundle", "Picture", "load", "open_picture", "source_of"]
