"""`passerby calibrate`: give a bundle thresholds of its own."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.evaluate import choose_partition
from passerby.cli.options import (
    BundleArgument,
    CacheOption,
    DeviceOption,
    OnUnreadable,
    OnUnreadableOption,
    PartitionOption,
    RootOption,
    Split,
    SplitOption,
    WorkersOption,
)
from passerby.cli.progress import show_progress

if TYPE_CHECKING:
    from passerby.evaluation.evaluation import Evaluation

__all__ = ["calibrate"]


class GoalChoice(StrEnum):
    """What thresholds are best for: `passerby.evaluation.calibration.GOALS`."""

    mA = "mA"  # noqa: N815 - the metric's name
    f1 = "f1"


def calibrate(
    bundle: BundleArgument,
    data: Annotated[Path, typer.Option(help="Manifest with the people to choose on.")],
    out: Annotated[Path, typer.Option(help="The new bundle: a folder, or a file that ends in .zip.")],
    goal: Annotated[GoalChoice, typer.Option(help="What each attribute's threshold is best for.")],
    partition: PartitionOption = None,
    split: SplitOption = Split.val,
    root: RootOption = None,
    cache: CacheOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 128,
    workers: WorkersOption = 2,
    device: DeviceOption = "auto",
    on_unreadable: OnUnreadableOption = OnUnreadable.raise_,
) -> None:
    """Choose each attribute's threshold on people that neither taught nor will test the bundle.

    `passerby evaluate` and `predict` then say yes above these thresholds.
    """
    from passerby.bundle import Bundle
    from passerby.data.manifest import Manifest
    from passerby.evaluation import evaluate
    from passerby.evaluation.calibration import calibrate as run_calibration
    from passerby.evaluation.calibration import check_calibration, name_calibrated

    manifest = Manifest.load(data, root=root)
    name, chosen = choose_partition(manifest, partition, split.value)
    loaded = Bundle.load(bundle, device=device)
    check_calibration(loaded, manifest.dataset, name, chosen)  # before the work
    with show_progress("predicting") as progress:
        evaluation = evaluate(
            loaded,
            manifest,
            partition=name,
            split=chosen,
            batch_size=batch_size,
            cache=cache,
            on_unreadable=on_unreadable.value,
            workers=workers,
            progress=progress,
        )
    new = run_calibration(loaded, evaluation, goal=goal.value)
    if variant := new.metadata.get("variant"):
        new.metadata["variant"] = name_calibrated(variant, goal.value)
    new.save(out)
    _print_thresholds(evaluation, new.thresholds)
    typer.echo(f"{new.metadata['calibration']}; the bundle with them is {out}")


def _print_thresholds(evaluation: Evaluation, thresholds: tuple[float, ...]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("attribute", no_wrap=True)
    for heading in ("positives", "threshold", "before"):
        table.add_column(heading, justify="right")
    scores = evaluation.metrics()["per_attribute"]
    for name, after, before in zip(evaluation.schema.names, thresholds, evaluation.thresholds, strict=True):
        table.add_row(escape(name), f"{scores[name]['positives']:,}", f"{after:.3f}", f"{before:.3f}")
    Console().print(table)
