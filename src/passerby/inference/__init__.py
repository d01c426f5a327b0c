"""Predicting for many pictures: finding, decoding, scoring in batches, writing, drawing."""

from passerby.inference.draw import draw_prediction
from passerby.inference.predictor import PredictionResult, Predictor, Skipped
from passerby.inference.sources import IMAGE_SUFFIXES, find_images
from passerby.inference.writers import open_output, write_csv, write_jsonl, write_table

__all__ = [
    "IMAGE_SUFFIXES",
    "PredictionResult",
    "Predictor",
    "Skipped",
    "draw_prediction",
    "find_images",
    "open_output",
    "write_csv",
    "write_jsonl",
    "write_table",
]
