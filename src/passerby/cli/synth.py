"""Placeholder, replaced within the hour."""


def synth() -> None:
    """Not there yet."""
