"""`passerby calibrate`: choose a threshold for each attribute of a bundle."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from passerby.cli.option_groups import expand_option_groups
from passerby.cli.options import BundleArgument, LoadingOptions, PartitionOption, Split, SplitOption
from passerby.cli.output import JsonOption, print_json, print_note
from passerby.cli.progress import show_progress

if TYPE_CHECKING:
    from passerby.bundle import Bundle
    from passerby.evaluation.evaluation import Evaluation

__all__ = ["calibrate"]


class GoalChoice(StrEnum):
    """Goals of the thresholds, see `passerby.evaluation.calibration.GOALS`."""

    mA = "mA"  # noqa: N815 - the metric's name
    f1 = "f1"


@expand_option_groups
def calibrate(
    bundle: BundleArgument,
    data: Annotated[Path, typer.Option(help="Manifest with the calibration samples.")],
    out: Annotated[Path, typer.Option(help="New bundle: a folder, or a file that ends in .zip.")],
    goal: Annotated[GoalChoice, typer.Option(help="Metric that each attribute's threshold maximises.")],
    loading: LoadingOptions,
    partition: PartitionOption = None,
    split: SplitOption = Split.val,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 128,
    as_json: JsonOption = False,
) -> None:
    """Choose a threshold for each attribute on samples outside the training and test splits.

    `passerby evaluate` and `passerby predict` use the thresholds of the new bundle.
    """
    from passerby.evaluation.calibration import calibrate as run_calibration
    from passerby.evaluation.calibration import check_calibration, describe_uncalibrated
    from passerby.evaluation.evaluate import evaluate, match_attributes

    inputs = loading.check(bundle, data, partition, split.value)  # errors come before the long work
    check_calibration(inputs.bundle.metadata, inputs.manifest.dataset, inputs.partition, split.value)
    match_attributes(inputs.bundle.schema.names, inputs.manifest, None)
    loaded = inputs.bundle.load()
    with show_progress("predicting") as progress:
        evaluation = evaluate(
            loaded,
            inputs.manifest,
            partition=inputs.partition,
            split=split.value,
            loading=loading.create(batch_size, progress),
        )
    new = run_calibration(loaded, evaluation, goal=goal.value, rename=True)
    new.save(out)
    if as_json:
        print_json(_describe(evaluation, new))
    else:
        _print_thresholds(evaluation, new.thresholds)
    if line := describe_uncalibrated(evaluation):
        print_note(line)
    print_note(f"{new.metadata['calibration']}; saved in {out}")


def _describe(evaluation: Evaluation, new: Bundle) -> dict[str, Any]:
    """The new and the former threshold of each attribute, as plain values for JSON."""
    scores = evaluation.metrics()["per_attribute"]
    thresholds = zip(evaluation.schema.names, new.thresholds, evaluation.thresholds, strict=True)
    return {
        "calibration": new.metadata["calibration"],
        "per_attribute": {
            name: {"positives": scores[name]["positives"], "threshold": after, "before": before}
            for name, after, before in thresholds
        },
    }


def _print_thresholds(evaluation: Evaluation, thresholds: tuple[float, ...]) -> None:
    from passerby.cli.tables import Line, print_lines

    scores = evaluation.metrics()["per_attribute"]
    lines = [
        Line.of(name, (f"{scores[name]['positives']:,}", f"{after:.3f}", f"{before:.3f}"))
        for name, after, before in zip(
            evaluation.schema.names, thresholds, evaluation.thresholds, strict=True
        )
    ]
    print_lines(lines, ("attribute", "positives", "threshold", "before"))
