"""`passerby annotate`: create masks, parsing maps and keypoints for a manifest, and measure their quality."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.option_groups import expand_option_groups
from passerby.cli.options import DeviceOption
from passerby.cli.output import JsonOption, print_json, print_note
from passerby.cli.output_paths import check_manifest_name
from passerby.cli.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from passerby.annotators.base import Annotator
    from passerby.data.manifest import Manifest

__all__ = ["annotate"]


class Classes(StrEnum):
    """Lists of parsing classes."""

    lip = "lip"
    coarse = "coarse"


class Missing(StrEnum):
    """Policies for rows without a good mask."""

    ones = "ones"
    drop = "drop"
    hull = "hull"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskOptions:
    """Creation of masks."""

    masks: Annotated[bool, typer.Option("--masks", help="Create masks.")] = False
    masks_from: Annotated[
        str | None,
        typer.Option(
            metavar="mask-rcnn|parsing|files",
            help="Method for masks; files reads masks/NAME.png below the root.",
            show_default="mask-rcnn",
        ),
    ] = None
    masks_weights: Annotated[
        str | None, typer.Option(help="Weights file.", show_default="from torchvision, downloaded")
    ] = None
    missing: Annotated[
        Missing | None,
        typer.Option(
            help="Policy for rows without a good mask: no mask (ones), remove the row (drop), or the convex "
            "hull of the keypoints (hull).",
            show_default="ones, if masks are created",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsingOptions:
    """Creation of parsing maps."""

    parsing: Annotated[bool, typer.Option("--parsing", help="Create parsing maps.")] = False
    parsing_from: Annotated[
        str | None,
        typer.Option(
            metavar="segformer|geometric|relabel|files",
            help="Method for parsing maps; geometric needs masks and keypoints only, relabel converts the "
            "parsing maps of the manifest to --parsing-classes, files reads parsing/NAME.png.",
            show_default="segformer",
        ),
    ] = None
    parsing_weights: Annotated[
        str | None, typer.Option(help="Folder, or name on the Hugging Face Hub.", show_default="from the Hub")
    ] = None
    parsing_classes: Annotated[
        Classes | None,
        typer.Option(help="The 20 classes of Look-Into-Person, or 6 coarse ones.", show_default="lip"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypointOptions:
    """Creation of keypoints."""

    keypoints: Annotated[bool, typer.Option("--keypoints", help="Create keypoints.")] = False
    keypoints_from: Annotated[
        str | None,
        typer.Option(
            metavar="keypoint-rcnn|vitpose|files",
            help="Method for keypoints; files reads keypoints_coco17.json.",
            show_default="keypoint-rcnn",
        ),
    ] = None
    keypoints_weights: Annotated[
        str | None, typer.Option(help="Weights file, folder, or name on the Hub.", show_default="downloaded")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Files to write."""

    into: Annotated[str, typer.Option(help="Folder for masks and maps, below the root of the manifest.")] = (
        "annotations"
    )
    out: Annotated[
        Path | None,
        typer.Option(
            help="Manifest to write.",
            dir_okay=False,
            show_default="MANIFEST-annotated.parquet; with --limit N, MANIFEST-annotated-firstN.parquet",
        ),
    ] = None
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Contact sheet of 48 random rows: .png, .jpg …", dir_okay=False)
    ] = None
    redo: Annotated[
        bool, typer.Option("--redo", help="Discard the results of earlier runs in the folder.")
    ] = False
    as_json: JsonOption = False


@expand_option_groups
def annotate(
    manifest: Annotated[Path, typer.Argument(help="A manifest from `passerby prepare`.", dir_okay=False)],
    mask_options: MaskOptions,
    parsing_options: ParsingOptions,
    keypoint_options: KeypointOptions,
    output: OutputOptions,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Process only the first N rows, as a trial.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Persons per batch.")] = 16,
    device: DeviceOption = "auto",
) -> None:
    """Create masks, parsing maps and keypoints for the rows of a manifest.

    An interrupted run resumes where it stopped. Quality figures are printed and written next to the new
    manifest.
    """
    from passerby.cli.annotation_plan import add_existing_files, check_classes, create_annotators, create_plan

    masks, parsing, keypoints = mask_options, parsing_options, keypoint_options
    plan = create_plan(
        {
            "masks": (masks.masks, masks.masks_from, masks.masks_weights),
            "parsing": (parsing.parsing, parsing.parsing_from, parsing.parsing_weights),
            "keypoints": (keypoints.keypoints, keypoints.keypoints_from, keypoints.keypoints_weights),
        }
    )
    check_classes(plan, parsing.parsing_classes)
    if output.out is not None:
        check_manifest_name(output.out)
    from passerby.annotators.annotate import annotate as run_annotators
    from passerby.data.manifest import Manifest
    from passerby.devices import check_device

    check_device(device)
    if output.contact_sheet is not None:
        from passerby.visualization.figure_file import check_figure

        check_figure(output.contact_sheet, count=1, height_px=64)  # report a wrong file name before the work
    rows = Manifest.load(manifest)
    rows = rows if limit is None else rows.take(range(min(limit, len(rows))))
    rows = add_existing_files(rows, plan, parsing.parsing_classes)
    annotators = create_annotators(rows, plan, parsing.parsing_classes, device)
    with show_progress("annotating", hidden=not annotators) as progress:
        rows = run_annotators(
            rows, annotators, into=output.into, batch_size=batch_size, redo=output.redo, progress=progress
        )
    # Masks from files are only removed if --missing asks for it.
    created_masks = any(annotator.kind == "masks" for annotator in annotators)
    policy = masks.missing or (Missing.ones if created_masks else None)
    # A trial of the first rows must not overwrite the complete result.
    name = f"{manifest.stem}-annotated{'' if limit is None else f'-first{limit}'}.parquet"
    _finish(rows, policy, annotators, output, output.out or manifest.with_name(name))


def _finish(
    rows: Manifest,
    policy: Missing | None,
    annotators: Sequence[Annotator],
    output: OutputOptions,
    out: Path,
) -> None:
    """Measure the quality, apply the policy, write and print the results."""
    from passerby.annotators.annotate import describe_annotators, order_annotators
    from passerby.annotators.policy import apply_policy
    from passerby.annotators.quality import measure_quality
    from passerby.cli.quality import print_quality
    from passerby.io import write_json

    with show_progress("measuring") as progress:
        quality = measure_quality(rows, progress=progress)
    counts: dict[str, int] = {}
    if policy is not None:
        rows, counts = apply_policy(rows, policy.value, quality, into=output.into)
    rows.write(out)
    ordered = order_annotators(annotators, available=("masks", "parsing", "keypoints"))
    content = {
        "quality": quality.to_dict(),
        "policy": {"missing": policy.value, **counts} if policy else None,
        "annotators": describe_annotators(ordered),
    }
    report = out.with_suffix(".quality.json")
    write_json(report, content)
    written = [f"{out} ({len(rows):,} rows)", str(report)]
    if any(annotator.kind != "keypoints" for annotator in annotators) or counts.get("hull"):
        written.append(f"maps in {rows.root / output.into}")
    if output.contact_sheet is not None:
        from passerby.visualization.contact_sheet import draw_contact_sheet
        from passerby.visualization.figure_file import save_figure

        save_figure(output.contact_sheet, draw_contact_sheet(rows))
        written.append(str(output.contact_sheet))
    if output.as_json:
        print_json({"manifest": str(out), **content})
    else:
        print_quality(quality, policy, counts)
    for line in written:
        print_note(f"Wrote {line}")
