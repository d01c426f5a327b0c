"""`passerby annotate`: masks, parsing maps and keypoints for a manifest, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from passerby.cli.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from passerby.annotators.base import Annotator, Kind
    from passerby.data.manifest import Manifest

__all__ = ["annotate"]


class MaskMethod(StrEnum):
    """Where masks come from."""

    mask_rcnn = "mask-rcnn"
    parsing = "parsing"
    given = "given"


class ParsingMethod(StrEnum):
    """Where parsing maps come from."""

    segformer = "segformer"
    geometric = "geometric"
    given = "given"


class KeypointMethod(StrEnum):
    """Where keypoints come from."""

    keypoint_rcnn = "keypoint-rcnn"
    vitpose = "vitpose"
    given = "given"


class Classes(StrEnum):
    """Lists of parsing classes."""

    lip = "lip"
    coarse = "coarse"


class Missing(StrEnum):
    """What becomes of rows without a good mask."""

    ones = "ones"
    drop = "drop"
    hull = "hull"


_WITHOUT_NETWORK = ("parsing", "geometric", "given")


@dataclass(frozen=True, slots=True)
class _Wish:
    """A kind that is asked for, the method that is to find it, and the weights, if not the usual ones."""

    kind: Kind
    method: str
    weights: str | None


def annotate(
    manifest: Annotated[Path, typer.Argument(help="A manifest, as from `passerby prepare`.", dir_okay=False)],
    masks: Annotated[bool, typer.Option("--masks", help="Find masks.")] = False,
    parsing: Annotated[bool, typer.Option("--parsing", help="Find parsing maps.")] = False,
    keypoints: Annotated[bool, typer.Option("--keypoints", help="Find keypoints.")] = False,
    masks_from: Annotated[
        MaskMethod | None,
        typer.Option(help="Of masks; given takes masks/NAME.png below the root.", show_default="mask-rcnn"),
    ] = None,
    parsing_from: Annotated[
        ParsingMethod | None,
        typer.Option(
            help="Of parsing maps; geometric needs masks and keypoints only, given takes parsing/NAME.png.",
            show_default="segformer",
        ),
    ] = None,
    keypoints_from: Annotated[
        KeypointMethod | None,
        typer.Option(help="Of keypoints; given takes keypoints_coco17.json.", show_default="keypoint-rcnn"),
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
            show_default="ones",
        ),
    ] = None,
    into: Annotated[str, typer.Option(help="Folder for what is found, below the manifest's root.")] = (
        "annotations"
    ),
    out: Annotated[
        Path | None,
        typer.Option(help="Manifest to write.", dir_okay=False, show_default="MANIFEST-annotated.parquet"),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="A sheet with 48 random rows to look at: .png, .jpg …", dir_okay=False)
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first rows only, to try it.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Persons looked at at a time.")] = 16,
    device: Annotated[
        str, typer.Option(help="Such as cpu or cuda:0; auto takes a GPU if there is one.")
    ] = "auto",
    redo: Annotated[
        bool, typer.Option("--redo", help="Make anew what earlier runs left in the folder.")
    ] = False,
) -> None:
    """Find masks, parsing maps and keypoints for the rows of a manifest.

    An interrupted run goes on where it stopped. Numbers about the quality of what was found are printed and
    written beside the new manifest.
    """
    wishes = _list_wishes(
        masks=(masks, masks_from, masks_weights),
        parsing=(parsing, parsing_from, parsing_weights),
        keypoints=(keypoints, keypoints_from, keypoints_weights),
    )
    from passerby.annotators.annotate import annotate as find
    from passerby.data.manifest import Manifest

    if sheet is not None:
        _find_picture_format(sheet)  # a wrong name is better known before hours of work than after
    rows = Manifest.load(manifest)
    rows = rows if limit is None else rows.take(range(min(limit, len(rows))))
    rows = _take_given(rows, wishes, parsing_classes)
    annotators = _create_annotators(rows, wishes, parsing_classes, device)
    with show_progress("annotating", hidden=not annotators) as progress:
        rows = find(rows, annotators, into=into, batch_size=batch_size, redo=redo, progress=progress)
    policy = missing or (Missing.ones if any(wish.kind == "masks" for wish in wishes) else None)
    path = out or manifest.with_name(f"{manifest.stem}-annotated.parquet")
    _finish(rows, policy, annotators, into=into, out=path, sheet=sheet)


# ---------------------------------------------------------------------- what is asked for


def _list_wishes(**asked: tuple[bool, str | None, str | None]) -> list[_Wish]:
    """What was asked for, with the usual method where none was named."""
    from passerby.errors import ConfigError

    usual = {"masks": "mask-rcnn", "parsing": "segformer", "keypoints": "keypoint-rcnn"}
    wishes = []
    kind: Any
    for kind, (plain, method, weights) in asked.items():
        chosen = method or (usual[kind] if plain else None)
        if weights is not None and (chosen is None or chosen in _WITHOUT_NETWORK):
            mend = "leave them out" if chosen else f"add --{kind}"
            raise ConfigError(f"--{kind}-weights belong to a network that finds {kind}; {mend}")
        if chosen is not None:
            wishes.append(_Wish(kind, str(chosen), weights))
    if not wishes:
        raise ConfigError(
            "expected at least one of --masks, --parsing and --keypoints, got none; "
            "--masks --keypoints is a good beginning"
        )
    return wishes


def _take_given(rows: Manifest, wishes: Sequence[_Wish], classes: str | None) -> Manifest:
    """The manifest with what lies ready, for the kinds that are to come from there."""
    from passerby.annotators.annotate import find_given

    kinds = [wish.kind for wish in wishes if wish.method == "given"]
    return (
        find_given(rows, kinds, parsing_classes=_list_classes(classes) if classes else ()) if kinds else rows
    )


def _create_annotators(
    rows: Manifest, wishes: Sequence[_Wish], classes: str | None, device: str
) -> list[Annotator]:
    from passerby.annotators.factory import create_annotator
    from passerby.errors import ConfigError

    methods = {wish.kind: wish.method for wish in wishes}
    if methods.get("parsing") == "geometric":
        if classes == "lip":
            raise ConfigError(
                "--parsing-from geometric gives coarse classes only; leave --parsing-classes out"
            )
        classes = "coarse"
    created: list[Annotator] = []
    for wish in wishes:
        if wish.method == "parsing":
            created.append(_create_union(rows, classes if "parsing" in methods else None))
        elif wish.method != "given":
            source = f"{wish.method}={wish.weights}" if wish.weights else wish.method
            chosen: Any = classes or "lip"
            place = "cpu" if wish.method == "geometric" else _find_device(device)
            created.append(create_annotator(wish.kind, source, device=place, classes=chosen))
    return created


def _create_union(rows: Manifest, classes: str | None) -> Annotator:
    """Masks from parsing maps: of the classes to come, else of those that the manifest names."""
    from passerby.annotators.union import UnionOfParsing

    return UnionOfParsing(_list_classes(classes) if classes else rows.parsing_classes or _list_classes("lip"))


def _list_classes(name: str) -> tuple[str, ...]:
    from passerby.parsing import COARSE_CLASSES, LIP_CLASSES

    return LIP_CLASSES if name == "lip" else COARSE_CLASSES


def _find_device(device: str) -> str:
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


# ---------------------------------------------------------------------- what came of it


def _finish(
    rows: Manifest,
    policy: Missing | None,
    annotators: Sequence[Annotator],
    *,
    into: str,
    out: Path,
    sheet: Path | None,
) -> None:
    """Measure, apply the policy, write and print."""
    import json

    from rich.console import Console
    from rich.markup import escape

    from passerby.annotators.annotate import describe_annotators, order_annotators
    from passerby.annotators.contact_sheet import draw_contact_sheet
    from passerby.annotators.policy import apply_policy
    from passerby.annotators.quality import measure_quality
    from passerby.cli.quality import print_quality
    from passerby.files import replace_file

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
    if sheet is not None:
        with replace_file(sheet) as temporary:
            draw_contact_sheet(rows).save(temporary, format=_find_picture_format(sheet))
        written.append(str(sheet))
    console = Console()
    print_quality(quality, policy, counts, console)
    for line in written:
        console.print(f"Wrote {escape(line)}", highlight=False, soft_wrap=True)


def _find_picture_format(path: Path) -> str:
    """PIL's name for the kind of a picture to be written."""
    from PIL import Image

    from passerby.errors import ConfigError

    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None or kind not in Image.SAVE:
        raise ConfigError(f"--sheet: expected a name that ends in .png, .jpg or .webp, got {path}")
    return kind
