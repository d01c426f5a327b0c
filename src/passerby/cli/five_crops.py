"""The option by which a command looks at each picture five times."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["FiveCropsOption"]

FiveCropsOption = Annotated[
    bool,
    typer.Option(
        "--five-crops",
        help="Average over the four corners and the centre of the picture, each 7/8 of its height and width: "
        "five times the work.",
    ),
]
