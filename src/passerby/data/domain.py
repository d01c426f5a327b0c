"""The domain of a data set and of the models trained on it: what its images show, in a few words."""

from __future__ import annotations

import json
from pathlib import Path

from passerby.errors import FormatError

__all__ = ["ABOUT_FILE", "SYNTHETIC_LIMIT", "SYNTHETIC_PEOPLE", "is_synthetic", "read_domain"]

SYNTHETIC_PEOPLE = "synthetic people"
"""The domain of the data sets that `passerby synth` draws."""

SYNTHETIC_LIMIT = (
    "was trained on synthetic people only; its predictions for photos of real people are not meaningful"
)
"""What the card and the commands say of a model of a synthetic domain; begin with "this model"."""

ABOUT_FILE = "synth.json"
"""File in a data set of `passerby synth` with its seed, options and domain."""


def is_synthetic(domain: str | None) -> bool:
    """Whether a domain begins with "synthetic".

    Example:
        >>> is_synthetic("synthetic people"), is_synthetic("shop cameras"), is_synthetic(None)
        (True, False, False)
    """
    return domain is not None and domain.lower().startswith("synthetic")


def read_domain(*folders: Path) -> str | None:
    """The domain of the data set in one of some folders; None if `passerby synth` wrote none of them.

    Raises:
        FormatError: If the file that `synth` wrote is damaged.
    """
    for folder in folders:
        path = folder / ABOUT_FILE
        if not path.is_file():
            continue
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            if "generator" in about:
                return str(about.get("domain", SYNTHETIC_PEOPLE))  # passerby 0.2 wrote no domain
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise FormatError(
                f"{path} is damaged ({error}); draw the data set again, or remove the file and give the "
                "domain with --domain"
            ) from error
    return None
