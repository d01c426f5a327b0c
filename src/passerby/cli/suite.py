"""`passerby suite`: a grid of models, data and seeds, trained, tested and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.completion import complete_suites
from passerby.cli.output import JsonOption, print_json, print_note

__all__ = ["suite"]


def suite(
    path: Annotated[
        Path,
        typer.Argument(
            help="YAML file, or name of a packaged suite such as suites/peta.",
            autocompletion=complete_suites,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the runs [default: runs/suites/<name>].")
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder of the score files.")] = Path("results"),
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a value in every recipe, e.g. --set training.epochs=2."),
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Number of runs in parallel.")] = 1,
    timing_s: Annotated[
        float, typer.Option(min=0, help="Seconds to time each model at the end; 0 for none.")
    ] = 4.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and list the runs.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train, test and compare models under one protocol, with several seeds.

    Finished runs are not repeated: the same command resumes an interrupted suite.
    """
    from passerby.cli.comparisons import print_comparison
    from passerby.cli.logs import show_logs
    from passerby.comparison.stored import load_comparison
    from passerby.config import load_suite

    loaded = load_suite(path, overrides or [])
    from passerby.suite import plan_suite, run_suite

    folder = out or Path("runs") / "suites" / loaded.name
    if dry_run:
        jobs = plan_suite(loaded, folder, results=results)
        if as_json:
            print_json([{"run": job.name, "done": job.is_done} for job in jobs])
        else:
            for job in jobs:
                typer.echo(f"{job.name}: {'done' if job.is_done else 'to do'}")
        return
    with show_logs():
        stored = run_suite(loaded, folder, results=results, at_once=at_once, timing_s=timing_s)
    comparisons = {str(each): load_comparison(each) for each in stored}
    if as_json:
        print_json({name: comparison.to_dict() for name, comparison in comparisons.items()})
    else:
        for name, comparison in comparisons.items():
            typer.echo(f"\n{name}\n")
            print_comparison(comparison)
    print_note(f"Report in {folder / 'report.html'}")
