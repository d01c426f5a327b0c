"""`passerby evaluate-localization`: score where a bundle sees attributes."""

from __future__ import annotations

from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.evaluate import choose_partition
from passerby.cli.options import (
    BinarizeOption,
    BoxChoice,
    BundleArgument,
    CacheOption,
    DeviceOption,
    MethodOption,
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
    from collections.abc import Mapping

    from rich.console import Console
    from rich.table import Table

    from passerby.evaluation.localization.scores import Estimate, LocalizationScores

__all__ = ["evaluate_localization"]

_COLUMNS = {
    "box_iou": "IoU",
    "interval": "95 %",
    "box_share": "even",
    "mask_iou": "mask",
    "pcc": "PCC",
    "pointing": "point",
    "box_energy": "energy",
    "empty": "none",
}
"""The columns on the screen; what no attribute has is left out."""
_FADING_COLUMNS = {"insertion": "insertion", "deletion": "deletion"}

_LEGEND = (
    "IoU of boxes, with its interval and that of a map that is the same everywhere (even); of pixels (mask); "
    "PCC of box IoU and probability, from -1 to 1; pointing game; energy in the box; none: maps without any "
    "heat, whose IoU is 0."
)


class TruthSource(StrEnum):
    """Where the truth is from."""

    parsing = "parsing"
    boxes = "boxes"


def evaluate_localization(
    bundle: BundleArgument,
    data: Annotated[Path, typer.Option(help="Manifest with parsing maps, or of drawn people.")],
    partition: PartitionOption = None,
    split: SplitOption = Split.test,
    names: Annotated[
        str | None,
        typer.Option(
            help="What attributes are called in the truth: pa100k-to-ccp, peta-to-ccp, rap1-to-ccp, "
            "rap2-to-ccp, or a JSON file.",
            show_default="the same as in the model",
        ),
    ] = None,
    truth: Annotated[
        TruthSource | None,
        typer.Option(help="What is true.", show_default="boxes where boxes.json lies, else parsing"),
    ] = None,
    method: MethodOption = None,
    binarize: BinarizeOption = "max:0.5",
    boxes: Annotated[
        BoxChoice, typer.Option(help="One outer box, or the union of one around each piece.")
    ] = BoxChoice.outer,
    min_area_px: Annotated[int, typer.Option(min=1, help="Least true pixels of a sample, at the input.")] = 9,
    min_samples: Annotated[
        int, typer.Option(min=2, help="Attributes with fewer have no interval and no part in a mean.")
    ] = 10,
    only_predicted: Annotated[
        bool, typer.Option("--only-predicted", help="Count only samples that the model says yes to.")
    ] = False,
    exclude_from_mean: Annotated[
        str | None,
        typer.Option(
            help="Attributes to leave out of the means, such as Female,Front.",
            show_default="of drawn people, those of the whole person",
        ),
    ] = None,
    insertion_deletion: Annotated[
        int, typer.Option(min=0, help="Insertion and deletion for so many samples an attribute: slow.")
    ] = 0,
    resamples: Annotated[int, typer.Option(min=1, help="Number of resamples behind the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for scores, samples, and cases for `passerby report`.")
    ] = None,
    result: Annotated[
        Path | None,
        typer.Option(help="The scores and samples as files whose name ends in .localization.json."),
    ] = None,
    root: RootOption = None,
    cache: CacheOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 16,
    workers: WorkersOption = 2,
    device: DeviceOption = "auto",
    on_unreadable: OnUnreadableOption = OnUnreadable.raise_,
) -> None:
    """Score where a bundle sees attributes.

    Boxes and foreground of its heat maps against true boxes and pixels (SSPNet, Table 10), with intervals.
    """
    from rich.console import Console

    from passerby.bundle import Bundle
    from passerby.data.manifest import Manifest
    from passerby.evaluation.localization.evaluator import evaluate_localization as run_evaluation
    from passerby.evaluation.localization.names import load_names
    from passerby.evaluation.localization.scores import check_localization_path
    from passerby.explain.boxes import Binarization

    rule = Binarization.parse(binarize)  # what is wrong is told before the work
    if result is not None:
        check_localization_path(result)
    if out is not None and (out.suffix == ".json" or out.is_file()):
        check_localization_path(out)
    manifest = Manifest.load(data, root=root)
    name, chosen = choose_partition(manifest, partition, split.value)
    loaded = Bundle.load(bundle, device=device)
    with show_progress("looking") as progress:
        scores = run_evaluation(
            loaded,
            manifest,
            partition=name,
            split=chosen,
            names=None if names is None else load_names(names, loaded.schema),
            truth=None if truth is None else truth.value,
            method=None if method is None else method.value,
            binarization=rule,
            boxes=boxes.value,
            min_area_px=min_area_px,
            min_samples=min_samples,
            only_predicted=only_predicted,
            insertion_deletion=insertion_deletion,
            exclude_from_mean=None
            if exclude_from_mean is None
            else [each.strip() for each in exclude_from_mean.split(",")],
            batch_size=batch_size,
            cache=cache,
            on_unreadable=on_unreadable.value,
            workers=workers,
            resamples=resamples,
            seed=seed,
            progress=progress,
        )
    console = Console()
    _print_scores(console, scores)
    for target in (out, result):
        if target is not None:
            console.print(f"Scores in {scores.write(target)}", highlight=False)


def _print_scores(console: Console, scores: LocalizationScores) -> None:
    from rich.markup import escape

    where = f"{scores.dataset}, {scores.partition}, {scores.split}"
    title = f"{where}: {len(scores.samples):,} samples, in per cent"
    console.print(escape(title), highlight=False)
    console.print(_draw_table(scores, _COLUMNS))
    if count := scores.protocol.insertion_deletion:
        title = f"Areas under the curves, at most {count:,} samples an attribute, in per cent"
        console.print(title, highlight=False)
        console.print(_draw_table(scores, _FADING_COLUMNS))
    console.print(escape(f"Rules: {scores.protocol.describe()}."), highlight=False)
    console.print(_LEGEND, highlight=False)
    height, width = scores.input_size
    drawn = "identities or pictures" if any(scores.samples.identities) else "pictures"
    console.print(
        f"Input {height}×{width}; {scores.resamples:,} resamples of {scores.n_clusters:,} {drawn}.",
        highlight=False,
    )
    if scores.exclude_from_mean:
        console.print(escape(f"Not in the mean: {', '.join(scores.exclude_from_mean)}."), highlight=False)
    if small := sum(scores.too_small.values()):
        console.print(f"{small:,} samples are too small to count.", highlight=False)
    if none := [name for name, count in scores.counts.items() if not count]:
        console.print(escape(f"Without samples: {', '.join(none)}."), highlight=False)
    for image, reason in scores.skipped:
        console.print(escape(f"skipped {image}: {reason}"), highlight=False, style="yellow")


def _draw_table(scores: LocalizationScores, columns: Mapping[str, str]) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from passerby.evaluation.localization.samples import SCORES

    every = scores.per_attribute
    missing = {key for key in SCORES if all(isnan(found[key].value) for found in every.values())}
    shown = [key for key in columns if key not in missing]
    counts = dict(zip(scores.counts, scores.samples.count_known(next(iter(columns))).tolist(), strict=True))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("attribute", overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    for key in shown:
        style = "bold" if key == "box_iou" else None
        table.add_column(columns[key], justify="right", no_wrap=True, style=style)
    last = list(every)[-1]
    for name, found in every.items():
        mark = " (excluded)" if name in scores.exclude_from_mean else ""
        cells = (_format(found, key) for key in shown)
        table.add_row(escape(name + mark), f"{counts[name]:,}", *cells, end_section=name == last)
    means = {f"mean of {len(scores.mean_of)}": scores.mean}
    if scores.mean_of_paper is not None:
        means[f"{len(set(scores.mean_of) & set(scores.of_paper))} of SSPNet's"] = scores.mean_of_paper
    for name, mean in means.items():
        table.add_row(name, "", *(_format(mean, key) for key in shown))
    return table


def _format(found: Mapping[str, Estimate], key: str) -> str:
    """A cell: per cent, a correlation from −1 to 1, or the interval of the box IoU."""
    from passerby.evaluation.localization.scores import get_factor

    if key == "interval":
        low, high = found["box_iou"].low, found["box_iou"].high
        return "–" if isnan(low) else f"{100 * low:.1f}–{100 * high:.1f}"
    value, factor = found[key].value, get_factor(key)
    return "–" if isnan(value) else f"{factor * value:.{2 if factor == 1 else 1}f}"
