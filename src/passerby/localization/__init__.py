"""Where in a picture an attribute is seen: heat maps, boxes from them, and how right they are."""

from __future__ import annotations

from passerby.localization.heat import METHODS, HeatMaps, Method, compute_heat_maps
from passerby.localization.own import combine_maps, enlarge_maps

__all__ = ["METHODS", "HeatMaps", "Method", "combine_maps", "compute_heat_maps", "enlarge_maps"]
