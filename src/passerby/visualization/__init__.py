"""Figures: overlays, panel grids, attention and localisation figures."""

from __future__ import annotations

from passerby.visualization.attention_figure import draw_attention
from passerby.visualization.figure_file import check_figure, save_figure
from passerby.visualization.localization_figure import check_grid_size, draw_localization, draw_localizations
from passerby.visualization.overlay import compute_scale, draw_bar, draw_boxes, draw_overlay

__all__ = [
    "check_figure",
    "check_grid_size",
    "compute_scale",
    "draw_attention",
    "draw_bar",
    "draw_boxes",
    "draw_localization",
    "draw_localizations",
    "draw_overlay",
    "save_figure",
]
