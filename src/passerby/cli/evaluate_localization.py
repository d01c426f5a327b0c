"""`passerby evaluate-localization`: score the heat maps of a bundle against the ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.completion import complete_label_maps
from passerby.cli.option_groups import expand_option_groups
from passerby.cli.options import (
    BundleArgument,
    HeatMapOptions,
    LoadingOptions,
    PartitionOption,
    Split,
    SplitOption,
    split_list,
)
from passerby.cli.output import JsonOption, print_json, print_note
from passerby.cli.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from passerby.evaluation.localization.estimates import Estimate
    from passerby.evaluation.localization.scores import LocalizationScores
    from passerby.evaluation.localization.settings import HeatMapSettings, SamplingSettings
    from passerby.evaluation.localization.true_region import TruthKind

__all__ = ["evaluate_localization"]

_COLUMNS = {
    "box_iou": "IoU",
    "interval": "95 %",
    "box_share": "uniform",
    "mask_iou": "mask",
    "pcc": "PCC",
    "pointing": "point",
    "box_energy": "energy",
    "empty": "none",
}
"""Columns of the printed table; a column that no attribute has is left out."""
_CURVE_COLUMNS = {"insertion": "insertion", "deletion": "deletion"}

_LEGEND = (
    "IoU of boxes with its interval, and that of a uniform map (uniform); IoU of pixels (mask); PCC of box "
    "IoU and probability, from -1 to 1; pointing game; energy in the box; none: empty heat maps, whose IoU "
    "is 0."
)


class TruthSource(StrEnum):
    """Source of the ground truth."""

    parsing = "parsing"
    boxes = "boxes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingOptions:
    """Samples that count, and their means and intervals."""

    min_area_px: Annotated[
        int, typer.Option(min=1, help="Minimum ground-truth area of a sample, in input pixels.")
    ] = 9
    min_samples: Annotated[
        int,
        typer.Option(
            min=2, help="Attributes with fewer samples get no interval and are excluded from means."
        ),
    ] = 10
    only_predicted: Annotated[
        bool, typer.Option("--only-predicted", help="Count only samples whose attribute the model predicts.")
    ] = False
    exclude_from_mean: Annotated[
        str | None,
        typer.Option(
            help="Attributes to exclude from the means, such as Female,Front.",
            show_default="for synthetic images, attributes of the whole person",
        ),
    ] = None
    insertion_deletion: Annotated[
        int, typer.Option(min=0, help="Samples per attribute for insertion and deletion (slow); 0 for none.")
    ] = 0
    resamples: Annotated[int, typer.Option(min=1, help="Number of resamples for the intervals.")] = 1000
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0

    def create(self) -> SamplingSettings:
        """The settings of the library."""
        from passerby.evaluation.localization.settings import SamplingSettings

        return SamplingSettings(
            min_area_px=self.min_area_px,
            min_samples=self.min_samples,
            only_predicted=self.only_predicted,
            insertion_deletion=self.insertion_deletion,
            exclude_from_mean=split_list(self.exclude_from_mean),
            resamples=self.resamples,
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Files to write."""

    out: Annotated[
        Path | None, typer.Option(help="Folder for scores, samples, and cases for `passerby report`.")
    ] = None
    result: Annotated[
        Path | None,
        typer.Option(help="Score file to write; its name must end in .localization.json."),
    ] = None

    def check(self) -> None:
        """Refuse names that scores cannot have."""
        from passerby.evaluation.localization.scores import check_localization_path

        if self.result is not None:
            check_localization_path(self.result)
        if self.out is not None and (self.out.suffix == ".json" or self.out.is_file()):
            check_localization_path(self.out)


@expand_option_groups
def evaluate_localization(
    bundle: BundleArgument,
    data: Annotated[Path, typer.Option(help="Manifest with parsing maps, or of a synthetic data set.")],
    heat_maps: HeatMapOptions,
    sampling: SamplingOptions,
    output: OutputOptions,
    loading: LoadingOptions,
    partition: PartitionOption = None,
    split: SplitOption = Split.test,
    label_map: Annotated[
        str | None,
        typer.Option(
            help="Classes of the ground truth for each attribute: <model's data set>-to-<this data set>, "
            "such as peta-to-ccp, or a JSON or YAML file.",
            show_default="classes of the same name",
            autocompletion=complete_label_maps,
        ),
    ] = None,
    truth: Annotated[
        TruthSource | None,
        typer.Option(
            help="Source of the ground truth.", show_default="boxes if there is a boxes.json, else parsing"
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 16,
    as_json: JsonOption = False,
) -> None:
    """Score how well heat maps locate attributes.

    Compares boxes and masks with the ground truth (SSPNet, Table 10), with confidence intervals.
    """
    from passerby.data.label_map import LabelMap
    from passerby.evaluation.localization.sample_selection import check_truth

    settings, chosen = _create_settings(heat_maps), sampling.create()  # errors come before the long work
    output.check()
    labels = None if label_map is None else LabelMap.load_truth(label_map)
    kind: TruthKind | None = None if truth is None else truth.value
    inputs = loading.check(bundle, data, partition, split.value)
    check_truth(
        inputs.manifest.select_split(inputs.partition, split.value),
        inputs.bundle.preprocess,
        attributes=inputs.bundle.schema.names,
        label_map=labels,
        kind=kind,
        boxes=settings.boxes,
        exclude_from_mean=chosen.exclude_from_mean,
    )
    from passerby.evaluation.localization.evaluator import evaluate_localization as run_evaluation

    with show_progress("evaluating") as progress:
        scores = run_evaluation(
            inputs.bundle.load(),
            inputs.manifest,
            partition=inputs.partition,
            split=split.value,
            label_map=labels,
            truth=kind,
            heat_maps=settings,
            sampling=chosen,
            loading=loading.create(batch_size, progress),
        )
    if as_json:
        print_json(scores.to_dict())
    else:
        _print_scores(scores)
    for image, reason in scores.skipped:
        typer.echo(f"passerby: skipped {image}: {reason}", err=True)
    for target in (output.out, output.result):
        if target is not None:
            print_note(f"Scores in {scores.write(target)}")


def _create_settings(options: HeatMapOptions) -> HeatMapSettings:
    from passerby.evaluation.localization.settings import HeatMapSettings
    from passerby.explain.boxes import Binarization

    return HeatMapSettings(
        method=None if options.method is None else options.method.value,
        binarization=Binarization.parse(options.binarize),
        boxes=options.boxes.value,
    )


def _print_scores(scores: LocalizationScores) -> None:
    where = f"{scores.dataset}, {scores.partition}, {scores.split}"
    height, width = scores.input_size
    drawn = "identities or images" if any(scores.samples.identities) else "images"
    remarks = [
        f"Rules: {scores.protocol.describe()}.",
        _LEGEND,
        f"Input {height}×{width}; {scores.resamples:,} resamples of {scores.n_clusters:,} {drawn}.",
    ]
    if scores.exclude_from_mean:
        remarks.append(f"Not in the mean: {', '.join(scores.exclude_from_mean)}.")
    if small := sum(scores.too_small.values()):
        remarks.append(f"{small:,} samples are too small to count.")
    if none := [name for name, number in scores.counts.items() if not number]:
        remarks.append(f"Without samples: {', '.join(none)}.")
    count = scores.protocol.insertion_deletion
    _print_columns(
        scores,
        _COLUMNS,
        above=f"{where}: {len(scores.samples):,} samples, in per cent",
        below=() if count else remarks,
    )
    if count:
        _print_columns(
            scores,
            _CURVE_COLUMNS,
            above=f"Areas under the curves, at most {count:,} samples per attribute, in per cent",
            below=remarks,
        )


def _print_columns(
    scores: LocalizationScores, columns: Mapping[str, str], *, above: str, below: Sequence[str]
) -> None:
    """Print some scores of each attribute and their means, without those that no attribute has."""
    from passerby.cli.tables import Line, print_lines
    from passerby.evaluation.localization.samples import SCORES

    every = scores.per_attribute
    missing = {key for key in SCORES if all(isnan(found[key].value) for found in every.values())}
    shown = [key for key in columns if key not in missing]
    counts = dict(zip(scores.counts, scores.samples.count_known(next(iter(columns))).tolist(), strict=True))
    last = list(every)[-1]
    lines = []
    for name, found in every.items():
        mark = " (excluded)" if name in scores.exclude_from_mean else ""
        cells = (f"{counts[name]:,}", *(_format(found, key) for key in shown))
        lines.append(Line.of(name + mark, cells, ends_section=name == last))
    means = {f"mean of {len(scores.mean_of)}": scores.mean}
    if scores.mean_of_paper is not None:
        means[f"{len(set(scores.mean_of) & set(scores.of_paper))} of SSPNet's"] = scores.mean_of_paper
    lines += [Line.of(name, ("", *(_format(mean, key) for key in shown))) for name, mean in means.items()]
    print_lines(lines, ("attribute", "n", *(columns[key] for key in shown)), above=(above,), below=below)


def _format(found: Mapping[str, Estimate], key: str) -> str:
    """Format a cell: per cent, a correlation from −1 to 1, or the interval of the box IoU."""
    from passerby.evaluation.localization.estimates import get_factor

    if key == "interval":
        low, high = found["box_iou"].low, found["box_iou"].high
        return "–" if isnan(low) else f"{100 * low:.1f}–{100 * high:.1f}"
    value, factor = found[key].value, get_factor(key)
    return "–" if isnan(value) else f"{factor * value:.{2 if factor == 1 else 1}f}"
