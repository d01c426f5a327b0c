"""`passerby annotate`: masks, parsing maps and keypoints for a manifest, and how good they are."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.options import DeviceOption
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
    """What becomes of rows without a good mask."""

    ones = "ones"
    drop = "drop"
    hull = "hull"


def annotate(
    manifest: Annotated[Path, typer.Argument(help="A manifest, as from `passerby prepare`.", dir_okay=False)],
    masks: Annotated[bool, typer.Option("--masks", help="Find masks.")] = False,
    parsing: Annotated[bool, typer.Option("--parsing", help="Find parsing maps.")] = False,
    keypoints: Annotated[bool, typer.Option("--keypoints", help="Find keypoints.")] = False,
    masks_from: Annotated[
        str | None,
        typer.Option(
            metavar="mask-rcnn|parsing|files",
            help="Of masks; files takes masks/NAME.png below the root.",
            show_default="mask-rcnn",
        ),
    ] = None,
    parsing_from: Annotated[
        str | None,
        typer.Option(
            metavar="segformer|geometric|relabel|files",
            help="Of parsing maps; geometric needs masks and keypoints only, relabel brings the manifest's "
            "own to --parsing-classes, files takes parsing/NAME.png.",
            show_default="segformer",
        ),
    ] = None,
    keypoints_from: Annotated[
        str | None,
        typer.Option(
            metavar="keypoint-rcnn|vitpose|files",
            help="Of keypoints; files takes keypoints_coco17.json.",
            show_default="keypoint-rcnn",
        ),
    ] = None,
    masks_weights: Annotated[
        str | None, typer.Option(help="Weights file.", show_default="torchvision's, fetched")
    ] = None,
    parsing_weights: Annotated[
        str | None, typer.Option(help="Folder, or name on the Hugging Face Hub.", show_default="from the Hub")
    ] = None,
    keypoints_weights: Annotated[
        str | None, typer.Option(help="Weights file, folder, or name on the Hub.", show_default="fetched")
    ] = None,
    parsing_classes: Annotated[
        Classes | None,
        typer.Option(help="Twenty classes of Look-Into-Person, or six coarse ones.", show_default="lip"),
    ] = None,
    missing: Annotated[
        Missing | None,
        typer.Option(
            help="Rows without a good mask: as without mask (ones), left out, or the keypoints' hull.",
            show_default="ones, if masks are searched for",
        ),
    ] = None,
    into: Annotated[str, typer.Option(help="Folder for what is found, below the manifest's root.")] = (
        "annotations"
    ),
    out: Annotated[
        Path | None,
        typer.Option(
            help="Manifest to write.",
            dir_okay=False,
            show_default="MANIFEST-annotated.parquet; with --limit N, MANIFEST-annotated-firstN.parquet",
        ),
    ] = None,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Contact sheet of 48 random rows: .png, .jpg …", dir_okay=False)
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first rows only, to try it.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Persons looked at at a time.")] = 16,
    device: DeviceOption = "auto",
    redo: Annotated[
        bool, typer.Option("--redo", help="Make anew what earlier runs left in the folder.")
    ] = False,
) -> None:
    """Find masks, parsing maps and keypoints for the rows of a manifest.

    An interrupted run goes on where it stopped. Numbers about the quality of what was found are printed and
    written beside the new manifest.
    """
    from passerby.cli.annotation_plan import add_existing_files, check_classes, create_annotators, create_plan

    plan = create_plan(
        {
            "masks": (masks, masks_from, masks_weights),
            "parsing": (parsing, parsing_from, parsing_weights),
            "keypoints": (keypoints, keypoints_from, keypoints_weights),
        }
    )
    check_classes(plan, parsing_classes)
    from passerby.annotators.annotate import annotate as find
    from passerby.data.manifest import Manifest

    if contact_sheet is not None:
        from passerby.visualization.figure_file import check_figure

        check_figure(
            contact_sheet, count=1, height_px=64
        )  # a wrong name is better known before the work than after
    rows = Manifest.load(manifest)
    rows = rows if limit is None else rows.take(range(min(limit, len(rows))))
    rows = add_existing_files(rows, plan, parsing_classes)
    annotators = create_annotators(rows, plan, parsing_classes, device)
    with show_progress("annotating", hidden=not annotators) as progress:
        rows = find(rows, annotators, into=into, batch_size=batch_size, redo=redo, progress=progress)
    # Masks that were given are somebody's word: none is taken away unless that is asked for.
    found = any(annotator.kind == "masks" for annotator in annotators)
    policy = missing or (Missing.ones if found else None)
    # A trial of the first rows must not take the place of the whole.
    name = f"{manifest.stem}-annotated{'' if limit is None else f'-first{limit}'}.parquet"
    _finish(
        rows, policy, annotators, into=into, out=out or manifest.with_name(name), contact_sheet=contact_sheet
    )


# ---------------------------------------------------------------------- what came of it


def _finish(
    rows: Manifest,
    policy: Missing | None,
    annotators: Sequence[Annotator],
    *,
    into: str,
    out: Path,
    contact_sheet: Path | None,
) -> None:
    """Measure, apply the policy, write and print."""
    import json

    from rich.console import Console
    from rich.markup import escape

    from passerby.annotators.annotate import describe_annotators, order_annotators
    from passerby.annotators.policy import apply_policy
    from passerby.annotators.quality import measure_quality
    from passerby.cli.quality import print_quality
    from passerby.io import replace_file
    from passerby.visualization.contact_sheet import draw_contact_sheet

    with show_progress("measuring") as progress:
        quality = measure_quality(rows, progress=progress)
    counts: dict[str, int] = {}
    if policy is not None:
        rows, counts = apply_policy(rows, policy.value, quality, into=into)
    rows.write(out)
    ordered = order_annotators(annotators, ready=("masks", "parsing", "keypoints"))
    content = {
        "quality": quality.to_dict(),
        "policy": {"missing": policy.value, **counts} if policy else None,
        "annotators": describe_annotators(ordered),
    }
    report = out.with_suffix(".quality.json")
    with replace_file(report) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    written = [f"{out} ({len(rows):,} rows)", str(report)]
    if any(annotator.kind != "keypoints" for annotator in annotators) or counts.get("hull"):
        written.append(f"maps in {rows.root / into}")
    if contact_sheet is not None:
        from passerby.visualization.figure_file import save_figure

        save_figure(contact_sheet, draw_contact_sheet(rows))
        written.append(str(contact_sheet))
    console = Console()
    print_quality(quality, policy, counts, console)
    for line in written:
        console.print(f"Wrote {escape(line)}", highlight=False, soft_wrap=True)
