"""`passerby report`: runs and evaluations as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Folders of runs and scores, also those above them; stored comparisons."),
    ],
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="Heading [default: the model].")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Where the pictures lie, if not where the evaluation says.")
    ] = None,
    pictures: Annotated[int, typer.Option(min=0, max=200, help="People on each wall of pictures.")] = 12,
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Leave pictures of people out.")] = False,
    seed: Annotated[int, typer.Option(help="Draws the people who are shown at random.")] = 0,
) -> None:
    """Write a self-contained HTML page about runs and scores.

    Scores, attributes, training curves, predictions right and wrong, where attributes are seen.
    """
    from passerby.report.inputs import load_sources
    from passerby.report.page import create_report, write_report

    found = load_sources(paths, images=images)
    html = create_report(
        found.runs,
        found.evaluations,
        found.localizations,
        comparisons=found.comparisons,
        title=title,
        pictures=0 if no_pictures else pictures,
        seed=seed,
    )
    write_report(out, html)
    size = len(html.encode()) / 1e6
    words = f"{len(found.evaluations)} evaluation(s), {len(found.runs)} run(s)"
    words += f", {len(found.localizations)} localisation(s)" if found.localizations else ""
    words += f", {len(found.comparisons)} comparison(s)" if found.comparisons else ""
    typer.echo(f"{out} ({size:.1f} MB): {words}")
