"""`passerby compare-localization`: localisation of runs, with intervals of their differences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.compare import (
    BaselineOption,
    MarkdownOption,
    ResamplesOption,
    SeedOption,
    check_alone,
)
from passerby.cli.progress import show_progress

if TYPE_CHECKING:
    from passerby.comparison.localization_comparison import LocalizationComparison

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
    out: Annotated[
        Path | None, typer.Option(help="File to write; its name must end in .localization-comparison.json.")
    ] = None,
) -> None:
    """Compare the localisation of runs with a baseline, with confidence intervals.

    Prints means over attributes, and scores by attribute (SSPNet, Table 10). Averages over seeds and
    computes paired bootstrap intervals of the differences.
    """
    from passerby.comparison.comparison_file import check_comparison_path
    from passerby.comparison.localization_comparison import LocalizationComparison
    from passerby.comparison.localization_runs import load_localizations
    from passerby.comparison.paired_localization import compare_localization as run_comparison
    from passerby.errors import ConfigError
    from passerby.evaluation.score_files import LOCALIZATION_COMPARISON_SUFFIX

    if any(path.name.endswith(LOCALIZATION_COMPARISON_SUFFIX) for path in paths):
        check_alone(context, paths)
        _print(LocalizationComparison.load(paths[0]), markdown)
        return
    if baseline is None:
        raise ConfigError(
            "expected --baseline, got none; give the variant or model of the run to compare with"
        )
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
    _print(comparison, markdown)


def _print(comparison: LocalizationComparison, markdown: bool) -> None:
    if markdown:
        from passerby.comparison.localization_tables import format_markdown

        typer.echo(format_markdown(comparison), nl=False)
        return
    from passerby.cli.tables import print_table
    from passerby.comparison.localization_tables import (
        create_attribute_table,
        create_mean_table,
        describe,
        name_runs,
        name_score,
    )
    from passerby.evaluation.localization.estimates import LEVEL

    shared, names = name_runs(comparison)
    numbers = [str(i) for i in range(1, len(names) + 1)]
    numbered = [f"{number} · {name}" for number, name in zip(numbers, names, strict=True)]
    print_table(create_mean_table(comparison, numbered), above=(shared, describe(comparison)), level=LEVEL)
    for score in comparison.scores:
        above = (f"{name_score(score)} by attribute of the runs above:",)
        print_table(create_attribute_table(comparison, score, numbers), above=above, level=LEVEL)
