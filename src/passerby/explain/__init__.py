"""Heat maps, boxes and localisation of attributes in images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from passerby.lazy import load_lazily

if TYPE_CHECKING:
    from passerby.explain.attention_maps import AttentionMaps, compute_maps, save_maps, stream_maps
    from passerby.explain.boxes import RULES, Binarization, BoxMode, Rule, enclose, find_boxes
    from passerby.explain.heat import METHODS, HeatMaps, Method, compute_heat_maps
    from passerby.explain.localization import Localization, Region, localize, localize_many
    from passerby.explain.scores import (
        compute_box_iou,
        compute_correlation,
        compute_energy_pointing,
        compute_insertion_deletion,
        compute_mask_iou,
        hits_peak,
    )

__all__ = [
    "METHODS",
    "RULES",
    "AttentionMaps",
    "Binarization",
    "BoxMode",
    "HeatMaps",
    "Localization",
    "Method",
    "Region",
    "Rule",
    "compute_box_iou",
    "compute_correlation",
    "compute_energy_pointing",
    "compute_heat_maps",
    "compute_insertion_deletion",
    "compute_maps",
    "compute_mask_iou",
    "enclose",
    "find_boxes",
    "hits_peak",
    "localize",
    "localize_many",
    "save_maps",
    "stream_maps",
]

__getattr__ = load_lazily(
    __name__,
    {
        "METHODS": "heat",
        "RULES": "boxes",
        "AttentionMaps": "attention_maps",
        "Binarization": "boxes",
        "BoxMode": "boxes",
        "HeatMaps": "heat",
        "Localization": "localization",
        "Method": "heat",
        "Region": "localization",
        "Rule": "boxes",
        "compute_box_iou": "scores",
        "compute_correlation": "scores",
        "compute_energy_pointing": "scores",
        "compute_heat_maps": "heat",
        "compute_insertion_deletion": "scores",
        "compute_maps": "attention_maps",
        "compute_mask_iou": "scores",
        "enclose": "boxes",
        "find_boxes": "boxes",
        "hits_peak": "scores",
        "localize": "localization",
        "localize_many": "localization",
        "save_maps": "attention_maps",
        "stream_maps": "attention_maps",
    },
)
