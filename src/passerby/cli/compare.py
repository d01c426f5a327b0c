"""`passerby compare`: runs in one table, with intervals of their differences to a baseline."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from passerby.cli.comparisons import print_comparison
from passerby.cli.output import JsonOption
from passerby.cli.progress import show_progress

__all__ = [
    "BaselineOption",
    "MarkdownOption",
    "ResamplesOption",
    "SeedOption",
    "check_alone",
    "check_form",
    "compare",
    "refuse_missing_baseline",
]

BaselineOption = Annotated[
    str | None, typer.Option(help="Variant, model or full name of the run to compare with.")
]
ResamplesOption = Annotated[int, typer.Option(min=1, help="Number of resamples.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Random seed.")]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print Markdown.")]


class Metric(StrEnum):
    """An overall metric."""

    mA = "mA"  # noqa: N815 - the metric's name
    accuracy = "accuracy"
    precision = "precision"
    recall = "recall"
    f1 = "f1"
    mAP = "mAP"  # noqa: N815


class Unit(StrEnum):
    """Unit of resampling."""

    image = "image"
    identity = "identity"


def compare(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Score files, evaluation folders, run folders, or folders of these; or a stored comparison."
        ),
    ],
    baseline: BaselineOption = None,
    metric: Annotated[
        list[Metric] | None,
        typer.Option(help="Metric with an interval; may be repeated [default: mA, f1, mAP]."),
    ] = None,
    resamples: ResamplesOption = 1000,
    level: Annotated[float, typer.Option(help="Confidence level of the intervals.")] = 0.95,
    by: Annotated[
        Unit, typer.Option(help="Resample images, or identities with all their images.")
    ] = Unit.image,
    seed: SeedOption = 0,
    markdown: MarkdownOption = False,
    as_json: JsonOption = False,
    out: Annotated[
        Path | None, typer.Option(help="File to write; its name must end in .comparison.json.")
    ] = None,
) -> None:
    """Compare runs with a baseline, with confidence intervals.

    Averages over seeds and computes paired bootstrap intervals of the differences.
    """
    check_form(markdown, as_json)
    check_exist(paths)

    from passerby.comparison.comparison_file import check_comparison_path
    from passerby.comparison.paired_scores import DEFAULT_METRICS
    from passerby.comparison.paired_scores import compare as run_comparison
    from passerby.comparison.run_comparison import Comparison
    from passerby.evaluation.score_files import COMPARISON_SUFFIX

    stored = any(path.name.endswith(COMPARISON_SUFFIX) for path in paths)
    if stored and (len(paths) == 1 or baseline is None):
        check_alone(context, paths)
        print_comparison(Comparison.load(paths[0]), markdown=markdown, as_json=as_json)
        return
    if baseline is None:
        refuse_missing_baseline()
    if out is not None:
        check_comparison_path(out)
    with show_progress("resampling") as progress:
        comparison = run_comparison(
            paths,
            baseline=baseline,
            metrics=[one.value for one in metric] if metric else DEFAULT_METRICS,
            resamples=resamples,
            level=level,
            by=by.value,
            seed=seed,
            progress=progress,
            skip_missing=True,
        )
    if out is not None:
        comparison.write(out)
    print_comparison(comparison, markdown=markdown, as_json=as_json)


def check_alone(context: typer.Context, paths: list[Path]) -> None:
    """Refuse options that would change a stored comparison."""
    from passerby.errors import ConfigError

    names = [name for name in context.params if name not in ("paths", "markdown", "as_json")]
    given = [
        f"--{name}"
        for name in names
        if (source := context.get_parameter_source(name)) is not None and source.name != "DEFAULT"
    ]
    if len(paths) > 1 or given:
        extra = ", ".join(given) or f"{len(paths)} paths"
        raise ConfigError(
            f"expected one stored comparison and no option but --markdown or --json, got {extra}"
        )


def check_exist(paths: list[Path]) -> None:
    """Refuse a path that does not exist, before anything slow is imported."""
    from passerby.errors import DataError

    for path in paths:
        if not path.exists():
            raise DataError(f"no file or folder at {path}; correct the path")


def refuse_missing_baseline() -> NoReturn:
    """Raise the error of a comparison without a baseline."""
    from passerby.errors import ConfigError

    raise ConfigError("expected --baseline, got none; give the variant or model of the run to compare with")


def check_form(markdown: bool, as_json: bool) -> None:
    """Refuse two forms of the result."""
    if markdown and as_json:
        raise typer.BadParameter("give either --markdown or --json, not both")
