"""`passerby report`: runs, evaluations and comparisons as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.compare import check_exist
from passerby.cli.output import print_note
from passerby.io import count_of

__all__ = ["report"]


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders, evaluation folders (of `evaluate --out` and `evaluate-localization --out`), "
            "score files, comparison files (of `compare --out` and `compare-localization --out`), and "
            "folders that contain them."
        ),
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    title: Annotated[
        str | None, typer.Option(help="Heading of the page [default: name of the model].")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder of the images, if they have moved since the evaluation.")
    ] = None,
    samples: Annotated[int, typer.Option(min=0, max=200, help="Number of samples in each gallery.")] = 12,
    no_images: Annotated[bool, typer.Option("--no-images", help="Leave out images of people.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random samples.")] = 0,
) -> None:
    """Create one self-contained HTML page about runs, evaluations and comparisons.

    It shows scores, scores by attribute, training curves, correct and wrong predictions, and heat maps.
    """
    check_exist(paths)

    from passerby.report.inputs import load_sources

    sources = load_sources(paths, images=root)
    from passerby.report.page import create_report, write_report

    html = create_report(
        sources.runs,
        sources.evaluations,
        sources.localizations,
        comparisons=sources.comparisons,
        results=sources.results,
        title=title,
        pictures=0 if no_images else samples,
        seed=seed,
    )
    write_report(out, html)
    size = len(html.encode()) / 1e6
    numbers = {
        "evaluation": len(sources.evaluations),
        "run": len(sources.runs),
        "localisation": len(sources.localizations),
        "comparison": len(sources.comparisons),
        "score file": len(sources.results),
    }
    counts = ", ".join(count_of(number, noun) for noun, number in numbers.items() if number)
    print_note(f"{out} ({size:.1f} MB): {counts}")
