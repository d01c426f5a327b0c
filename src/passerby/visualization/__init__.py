"""Figures: overlays, panel grids, attention and localisation figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from passerby.lazy import load_lazily

if TYPE_CHECKING:
    from passerby.visualization.attention_figure import draw_attention
    from passerby.visualization.figure_file import check_figure, save_figure
    from passerby.visualization.localization_figure import (
        check_grid_size,
        draw_localization,
        draw_localizations,
    )
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

__getattr__ = load_lazily(
    __name__,
    {
        "check_figure": "figure_file",
        "check_grid_size": "localization_figure",
        "compute_scale": "overlay",
        "draw_attention": "attention_figure",
        "draw_bar": "overlay",
        "draw_boxes": "overlay",
        "draw_localization": "localization_figure",
        "draw_localizations": "localization_figure",
        "draw_overlay": "overlay",
        "save_figure": "figure_file",
    },
)
