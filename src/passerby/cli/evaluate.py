"""`passerby evaluate`: score a bundle on one split."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.options import (
    BundleArgument,
    CacheOption,
    DeviceOption,
    FiveCropsOption,
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
    from rich.console import Console
    from rich.table import Table

    from passerby.data.manifest import Manifest
    from passerby.evaluation.evaluation import Evaluation

__all__ = ["choose_partition", "evaluate"]


def evaluate(
    bundle: BundleArgument,
    data: Annotated[Path, typer.Option(help="Manifest that `passerby prepare` wrote.")],
    partition: PartitionOption = None,
    split: SplitOption = Split.test,
    five_crops: FiveCropsOption = False,
    names: Annotated[
        str | None,
        typer.Option(
            help="For a model of another data set, what is called how: peta-to-pa100k, pa100k-to-peta, or a "
            "JSON file.",
            show_default="the same in both",
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(help="Rules of the score: honest, threshold-0.45, unknown-negative; join with '+'."),
    ] = "default",
    out: Annotated[
        Path | None, typer.Option(help="Folder for scores (JSON) and predictions (Parquet).")
    ] = None,
    result: Annotated[
        Path | None, typer.Option(help="Score file (.json) to write, or the folder of results.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed for the score file, if the bundle has none.")] = None,
    variant: Annotated[
        str | None,
        typer.Option(help="Variant for the score file, if not the bundle's (with -five-crops after it)."),
    ] = None,
    root: RootOption = None,
    cache: CacheOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 128,
    workers: WorkersOption = 2,
    device: DeviceOption = "auto",
    on_unreadable: OnUnreadableOption = OnUnreadable.raise_,
) -> None:
    """Score a bundle on one split.

    A table on the screen; scores as JSON and predictions as Parquet with --out.
    """
    from rich.console import Console

    from passerby.bundle import Bundle
    from passerby.data.manifest import Manifest
    from passerby.evaluation import evaluate as run_evaluation
    from passerby.evaluation.protocols import load_protocol
    from passerby.evaluation.translation import load_translation

    load_protocol(protocol)  # a wrong name is told before the work
    manifest = Manifest.load(data, root=root)
    name, chosen = choose_partition(manifest, partition, split.value)
    loaded = Bundle.load(bundle, device=device)
    translation = None if names is None else load_translation(names, model=loaded.schema.names)
    with show_progress("evaluating") as progress:
        evaluation = run_evaluation(
            loaded,
            manifest,
            partition=name,
            split=chosen,
            protocol=protocol,
            five_crops=five_crops,
            translation=translation,
            batch_size=batch_size,
            cache=cache,
            on_unreadable=on_unreadable.value,
            workers=workers,
            progress=progress,
        )
    console = Console()
    _print_scores(console, evaluation)
    classes = loaded.model.parsing_classes
    if classes and not evaluation.parsing:
        console.print(
            f"The parsing maps are not scored: these rows have none of {', '.join(classes)} to compare with.",
            highlight=False,
        )
    if out is not None:
        evaluation.write(out)
        console.print(f"Predictions and scores in {out}", highlight=False)
    if result is not None:
        facts = {k: v for k, v in {"seed": seed, "variant": variant}.items() if v is not None}
        console.print(f"Score file {evaluation.write_result(result, **facts)}", highlight=False)


def choose_partition(manifest: Manifest, partition: str | None, split: str) -> tuple[str, str]:
    """The partition and its split; `--partition test` means the split where no partition has that name."""
    from passerby.errors import ManifestError

    is_split = partition in ("train", "val", "test") and partition not in manifest.partition_names
    if partition is not None and not is_split:
        return partition, split
    if len(manifest.partition_names) != 1:
        have = ", ".join(manifest.partition_names) or "none"
        raise ManifestError(f"say which partition with --partition; the manifest has {have}")
    return manifest.partition_names[0], partition or split


def _print_scores(console: Console, evaluation: Evaluation) -> None:
    from rich.markup import escape

    console.print(_draw_attributes(evaluation))
    console.print(_draw_summary(evaluation))
    if evaluation.parsing:
        from passerby.parsing import MASK_CLASSES

        masks = all(tuple(scores.iou) == MASK_CLASSES for scores in evaluation.parsing.values())
        what = "IoU of the person in the mask" if masks else "Mean IoU of the parsing maps"
        each = (f"{stage} {100 * scores.score:.2f}" for stage, scores in evaluation.parsing.items())
        console.print(f"{what}: {', '.join(each)} per cent.", highlight=False)
    console.print(escape(f"Protocol {evaluation.protocol_line}."), highlight=False)
    if evaluation.scores.degenerate:
        console.print(
            f"{evaluation.scores.degenerate} of {len(evaluation.schema)} attributes lack positives or "
            "negatives; the half of mA that cannot be measured counts as 0.",
            highlight=False,
        )
    for image, reason in evaluation.skipped:
        console.print(escape(f"skipped {image}: {reason}"), highlight=False, style="yellow")


def _draw_summary(evaluation: Evaluation) -> Table:
    from rich.table import Table

    height, width = evaluation.input_size
    where = f"{evaluation.dataset}, {evaluation.partition}, {evaluation.split}"
    table = Table(
        title=f"{where}: {len(evaluation):,} people, input {height}×{width}, in per cent",
        title_justify="left",
    )
    summary = evaluation.summary()
    for name in summary:
        table.add_column(name, justify="right", style="bold" if name in ("mA", "f1") else None)
    table.add_row(*("–" if isnan(value) else f"{100 * value:.2f}" for value in summary.values()))
    body_parts = (
        f"{name} {100 * value:.2f}" for name, value in evaluation.mean_accuracy_per_body_part.items()
    )
    table.caption, table.caption_justify = f"mA by body part: {', '.join(body_parts)}", "left"
    return table


def _draw_attributes(evaluation: Evaluation) -> Table:
    from rich.markup import escape
    from rich.table import Table

    columns = ("mA", "tpr", "tnr", "f1", "precision", "recall", "AP")
    table = Table(title="Attributes, in per cent", title_justify="left")
    table.add_column("attribute", no_wrap=True)
    table.add_column("positives", justify="right")
    for name in columns:
        table.add_column(name, justify="right", style="bold" if name == "mA" else None)
    for name, scores in evaluation.metrics()["per_attribute"].items():
        cells = ("–" if scores[c] is None else f"{100 * scores[c]:.1f}" for c in columns)
        table.add_row(escape(name), f"{scores['positives']:,}", *cells)
    return table
