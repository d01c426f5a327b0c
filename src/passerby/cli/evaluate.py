"""`passerby evaluate`: score a bundle on one split."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.completion import complete_label_maps
from passerby.cli.option_groups import expand_option_groups
from passerby.cli.options import (
    BundleArgument,
    FiveCropsOption,
    LoadingOptions,
    PartitionOption,
    Split,
    SplitOption,
)
from passerby.cli.output import JsonOption, print_json, print_note
from passerby.cli.progress import show_progress
from passerby.cli.tables import Line, print_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from passerby.evaluation.evaluation import Evaluation

__all__ = ["evaluate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Files to write."""

    out: Annotated[Path | None, typer.Option(help="Folder for scores (JSON) and predictions (Parquet).")] = (
        None
    )
    result: Annotated[
        Path | None, typer.Option(help="Score file for `results` and `compare`: a .json path, or a folder.")
    ] = None
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed for the score file, if the bundle has none.")
    ] = None
    variant: Annotated[
        str | None,
        typer.Option(
            help="Variant in the score file, instead of the bundle's; --five-crops appends -five-crops, "
            "--limit -limit-<number>."
        ),
    ] = None

    def write(self, evaluation: Evaluation) -> list[str]:
        """Write the files; a line about each."""
        lines = []
        if self.out is not None:
            evaluation.write(self.out)
            lines.append(f"Predictions and scores in {self.out}")
        if self.result is not None:
            facts = {"seed": self.seed, "variant": self.variant}
            chosen = {name: value for name, value in facts.items() if value is not None}
            lines.append(f"Score file {evaluation.write_result(self.result, **chosen)}")
        return lines


@expand_option_groups
def evaluate(
    bundle: BundleArgument,
    data: Annotated[Path, typer.Option(help="Manifest that `passerby prepare` wrote.")],
    output: OutputOptions,
    loading: LoadingOptions,
    partition: PartitionOption = None,
    split: SplitOption = Split.test,
    five_crops: FiveCropsOption = False,
    label_map: Annotated[
        str | None,
        typer.Option(
            help="For a model trained on another data set: <its data set>-to-<this data set>, such as "
            "peta-to-pa100k (peta, pa100k, rap1, rap2, upar, market1501, wider, ccp); or a JSON or YAML "
            "file.",
            show_default="attributes of the same name",
            autocompletion=complete_label_maps,
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="Scoring rules: default, threshold-0.45, unknown-negative, count-unmeasurable; combine "
            "with '+'."
        ),
    ] = "default",
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 128,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Score at most this many samples, drawn at random with a fixed seed."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a bundle on one split.

    Prints a table; --out writes scores as JSON and predictions as Parquet.
    """
    from passerby.data.label_map import LabelMap
    from passerby.evaluation.evaluate import evaluate as run_evaluation
    from passerby.evaluation.evaluate import match_attributes
    from passerby.evaluation.protocols import load_protocol

    load_protocol(protocol)  # errors come before the long work
    labels = None if label_map is None else LabelMap.load(label_map)
    inputs = loading.check(bundle, data, partition, split.value)
    match_attributes(inputs.bundle.schema.names, inputs.manifest, labels)
    loaded = inputs.bundle.load()
    with show_progress("evaluating") as progress:
        evaluation = run_evaluation(
            loaded,
            inputs.manifest,
            partition=inputs.partition,
            split=split.value,
            protocol=protocol,
            tta=("five-crops",) if five_crops else (),
            label_map=labels,
            limit=limit,
            loading=loading.create(batch_size, progress),
        )
    if as_json:
        print_json(evaluation.to_dict())
    else:
        _print_scores(evaluation)
    classes = loaded.model.parsing_classes
    if classes and not evaluation.parsing:
        print_note(
            f"The parsing maps are not scored: these rows have no maps of {', '.join(classes)} to compare "
            "with."
        )
    for image, reason in evaluation.skipped:
        typer.echo(f"passerby: skipped {image}: {reason}", err=True)
    for line in output.write(evaluation):
        print_note(line)


def _print_scores(evaluation: Evaluation) -> None:
    lines, heads = _list_attributes(evaluation)
    print_lines(lines, heads, above=("Attributes (n: positives), in per cent",))
    height, width = evaluation.input_size
    where = f"{evaluation.dataset}, {evaluation.partition}, {evaluation.split}"
    body_parts = ", ".join(
        f"{name} {_format(value, 2)}" for name, value in evaluation.mean_accuracy_per_body_part.items()
    )
    summary = evaluation.summary()
    print_lines(
        [Line.of("all attributes", [_format(value, 2) for value in summary.values()])],
        ("", *summary),
        above=(f"{where}: {len(evaluation):,} samples, input {height}×{width}, in per cent",),
        below=(f"mA by body part: {body_parts}", *_list_remarks(evaluation)),
    )


def _list_remarks(evaluation: Evaluation) -> Iterator[str]:
    """Lines below the scores."""
    if evaluation.parsing:
        from passerby.parsing import MASK_CLASSES

        masks = all(tuple(scores.iou) == MASK_CLASSES for scores in evaluation.parsing.values())
        title = "IoU of the person mask" if masks else "Mean IoU of the parsing maps"
        each = (f"{stage} {100 * scores.score:.2f}" for stage, scores in evaluation.parsing.items())
        yield f"{title}: {', '.join(each)} per cent."
    yield f"Protocol {evaluation.protocol_line}."
    yield from evaluation.list_remarks()


def _list_attributes(evaluation: Evaluation) -> tuple[list[Line], tuple[str, ...]]:
    """The scores of each attribute, and their headings."""
    names = ("mA", "tpr", "tnr", "f1", "precision", "recall", "AP")
    headings = ("attribute", "n", "mA", "TPR", "TNR", "F1", "prec", "rec", "AP")
    lines = [
        Line.of(name, [f"{scores['positives']:,}", *(_format(scores[each], 1) for each in names)])
        for name, scores in evaluation.metrics()["per_attribute"].items()
    ]
    return lines, headings


def _format(share: float | None, digits: int) -> str:
    return "–" if share is None or isnan(share) else f"{100 * share:.{digits}f}"
