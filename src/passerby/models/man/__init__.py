"""MAN (2020): multi-task attribute network with hard attention on the person."""

from passerby.models.man.model import MAN

__all__ = ["MAN"]
