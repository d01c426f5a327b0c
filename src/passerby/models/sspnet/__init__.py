"""SSPNet (2023): each group of attributes is classified at its own scale and location."""

from passerby.models.sspnet.model import SSPNet

__all__ = ["SSPNet"]
