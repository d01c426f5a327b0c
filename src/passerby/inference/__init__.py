"""Prediction for many images: find files, decode, run batches, write results."""

from __future__ import annotations

from passerby.inference.auxiliary import AuxiliaryInputs
from passerby.inference.batches import Skipped
from passerby.inference.predictor import PredictionResult, Predictor
from passerby.inference.sources import IMAGE_SUFFIXES, Source, find_images, read_sources
from passerby.inference.tta import TTA
from passerby.inference.writers import (
    open_output,
    write_class_names,
    write_csv,
    write_jsonl,
    write_parsing,
    write_table,
)

__all__ = [
    "IMAGE_SUFFIXES",
    "TTA",
    "AuxiliaryInputs",
    "PredictionResult",
    "Predictor",
    "Skipped",
    "Source",
    "find_images",
    "open_output",
    "read_sources",
    "write_class_names",
    "write_csv",
    "write_jsonl",
    "write_parsing",
    "write_table",
]
