"""`passerby compare-localization`: localisation of runs, with intervals of their differences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.compare import (
    BaselineOption,
    MarkdownOption,
    ResamplesOption,
    SeedOption,
    check_alone,
    check_exist,
    check_form,
    refuse_missing_baseline,
)
from passerby.cli.comparisons import print_comparison
from passerby.cli.output import JsonOption
from passerby.cli.progress import show_progress

__all__ = ["compare_localization"]


def compare_localization(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Files of evaluate-localization, folders of them, evaluation folders; or one stored "
            "comparison."
        ),
    ],
    baseline: BaselineOption = None,
    scores: Annotated[
        str,
        typer.Option(
            help="Scores with an interval and a table by attribute: box_iou, mask_iou, pcc, pointing, "
            "box_energy, mask_energy, insertion, deletion, empty."
        ),
    ] = "box_iou,pcc",
    resamples: ResamplesOption = 1000,
    seed: SeedOption = 0,
    markdown: MarkdownOption = False,
    as_json: JsonOption = False,
    out: Annotated[
        Path | None, typer.Option(help="File to write; its name must end in .localization-comparison.json.")
    ] = None,
) -> None:
    """Compare the localisation of runs with a baseline, with confidence intervals.

    Prints means over attributes, and scores by attribute (SSPNet, Table 10). Averages over seeds and
    computes paired bootstrap intervals of the differences.
    """
    check_form(markdown, as_json)
    check_exist(paths)

    from passerby.comparison.comparison_file import check_comparison_path
    from passerby.comparison.localization_comparison import LocalizationComparison
    from passerby.comparison.localization_runs import load_localizations
    from passerby.comparison.paired_localization import compare_localization as run_comparison
    from passerby.evaluation.score_files import LOCALIZATION_COMPARISON_SUFFIX

    if any(path.name.endswith(LOCALIZATION_COMPARISON_SUFFIX) for path in paths):
        check_alone(context, paths)
        print_comparison(LocalizationComparison.load(paths[0]), markdown=markdown, as_json=as_json)
        return
    if baseline is None:
        refuse_missing_baseline()
    if out is not None:
        check_comparison_path(out, LOCALIZATION_COMPARISON_SUFFIX)
    with show_progress("resampling") as progress:
        comparison = run_comparison(
            load_localizations(paths),
            baseline=baseline,
            scores=[each.strip() for each in scores.split(",")],
            resamples=resamples,
            seed=seed,
            progress=progress,
        )
    if out is not None:
        comparison.write(out)
    print_comparison(comparison, markdown=markdown, as_json=as_json)
