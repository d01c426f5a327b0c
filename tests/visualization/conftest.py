from __future__ import annotations

from annotator_fixtures import crowd, make_toy, people

__all__ = ["crowd", "make_toy", "people"]
