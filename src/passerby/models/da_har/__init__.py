"""Da-HAR (AAAI 2020): self-masks between the stages, and a side branch with masked attention."""

from passerby.models.da_har.model import DaHAR

__all__ = ["DaHAR"]
