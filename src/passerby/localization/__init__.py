"""Where in a picture an attribute is seen: heat maps, boxes from them, how right they are, how they look."""

from __future__ import annotations

from passerby.localization.boxes import RULES, Binarization, BoxMode, Rule, enclose, find_boxes
from passerby.localization.heat import METHODS, HeatMaps, Method, compute_heat_maps
from passerby.localization.overlay import compute_scale, draw_bar, draw_boxes, draw_overlay
from passerby.localization.own import combine_maps, enlarge_maps
from passerby.localization.scores import (
    compute_box_iou,
    compute_correlation,
    compute_energy,
    compute_fading,
    compute_mask_iou,
    hits_peak,
)

__all__ = [
    "METHODS",
    "RULES",
    "Binarization",
    "BoxMode",
    "HeatMaps",
    "Method",
    "Rule",
    "combine_maps",
    "compute_box_iou",
    "compute_correlation",
    "compute_energy",
    "compute_fading",
    "compute_heat_maps",
    "compute_mask_iou",
    "compute_scale",
    "draw_bar",
    "draw_boxes",
    "draw_overlay",
    "enclose",
    "enlarge_maps",
    "find_boxes",
    "hits_peak",
]
