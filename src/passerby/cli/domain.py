"""Loading a bundle for images of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from passerby.bundle import Bundle
    from passerby.cli.inputs import BundleFacts

__all__ = ["load_for_images"]


def load_for_images(facts: BundleFacts) -> Bundle:
    """Load a bundle; state on stderr if it was trained on synthetic people only."""
    from passerby.data.domain import SYNTHETIC_LIMIT, is_synthetic

    loaded = facts.load()
    if is_synthetic(loaded.domain):
        typer.echo(f"passerby: this model {SYNTHETIC_LIMIT}", err=True)
    return loaded
