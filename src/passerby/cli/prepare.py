"""Placeholder, replaced within the hour."""


def prepare() -> None:
    """Not there yet."""
