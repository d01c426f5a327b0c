"""SSPNet: each group of attributes at a scale and a place of its own."""

from passerby.models.sspnet.model import SSPNet

__all__ = ["SSPNet"]
