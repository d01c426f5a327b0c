"""Predicting for many pictures: finding, decoding, scoring in batches, writing, drawing, showing where."""

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
from passerby.inference.localize import Localization, Region, localize_picture, localize_pictures
from passerby.inference.localize_figure import check_sheet, draw_localization, draw_localizations
from passerby.inference.predictor import PredictionResult, Predictor, Skipped
from passerby.inference.sources import IMAGE_SUFFIXES, find_images
from passerby.inference.writers import (
    open_output,
    write_boxes,
    write_class_names,
    write_csv,
    write_jsonl,
    write_parsing,
    write_table,
)
from passerby.localization import draw_boxes, draw_overlay

__all__ = [
    "IMAGE_SUFFIXES",
    "AttentionMaps",
    "Guide",
    "Localization",
    "PredictionResult",
    "Predictor",
    "Region",
    "Skipped",
    "check_figure",
    "check_sheet",
    "combine_maps",
    "compute_maps",
    "draw_attention",
    "draw_boxes",
    "draw_localization",
    "draw_localizations",
    "draw_overlay",
    "draw_prediction",
    "find_images",
    "localize_picture",
    "localize_pictures",
    "open_output",
    "save_figure",
    "save_maps",
    "stream_maps",
    "write_boxes",
    "write_class_names",
    "write_csv",
    "write_jsonl",
    "write_parsing",
    "write_table",
]
