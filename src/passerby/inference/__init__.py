"""Predicting for many pictures: finding, decoding, scoring in batches, writing, drawing, attention."""

from passerby.inference.attention import (
    AttentionMaps,
    combine_maps,
    compute_maps,
    save_maps,
    stream_maps,
)
from passerby.inference.attention_figure import draw_attention
from passerby.inference.draw import draw_prediction
from passerby.inference.figure_file import check_figure, save_figure
from passerby.inference.guiding import Guide
from passerby.inference.overlay import draw_overlay
from passerby.inference.predictor import PredictionResult, Predictor, Skipped
from passerby.inference.sources import IMAGE_SUFFIXES, find_images
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
    "AttentionMaps",
    "Guide",
    "PredictionResult",
    "Predictor",
    "Skipped",
    "check_figure",
    "combine_maps",
    "compute_maps",
    "draw_attention",
    "draw_overlay",
    "draw_prediction",
    "find_images",
    "open_output",
    "save_figure",
    "save_maps",
    "stream_maps",
    "write_class_names",
    "write_csv",
    "write_jsonl",
    "write_parsing",
    "write_table",
]
