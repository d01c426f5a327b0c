"""Options by which a command gets what a model looks at beside the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from passerby.annotators.base import Kind
    from passerby.bundle import Bundle
    from passerby.inference.auxiliary import AuxiliaryInputs

__all__ = ["KeypointsOption", "MasksOption", "create_auxiliary"]

MasksOption = Annotated[
    str | None,
    typer.Option(
        help="Where a model that looks at masks finds them: a folder with <name of the picture>.png, or "
        "mask-rcnn, or mask-rcnn=WEIGHTS.",
        show_default="none, noted in the result",
    ),
]
KeypointsOption = Annotated[
    str | None,
    typer.Option(
        help="The same for keypoints: a folder with keypoints_coco17.json, or keypoint-rcnn, or vitpose, or "
        "one of these with =WEIGHTS.",
        show_default="none, noted in the result",
    ),
]


def create_auxiliary(
    bundle: Bundle, *, masks: str | None, keypoints: str | None, true_parsing: Path | None = None
) -> AuxiliaryInputs | None:
    """What finds the guidance that was asked for, None if nothing was.

    Args:
        true_parsing: Folder with parsing maps to show beside those of the model.

    Raises:
        ConfigError: If the model does not look at it, or there is no such way to find it.
    """
    from passerby.annotators.base import Annotator
    from passerby.annotators.factory import create_annotator
    from passerby.errors import ConfigError
    from passerby.inference.auxiliary import AuxiliaryInputs

    wanted: dict[Kind, str | None] = {"masks": masks, "keypoints": keypoints}
    annotators: list[Annotator] = []
    for kind, source in wanted.items():
        if source is None:
            continue
        if kind not in bundle.model.guidance:
            raise ConfigError(f"the model {bundle.model.name} looks at no {kind}; leave --{kind} out")
        annotator = create_annotator(kind, source, device=str(bundle.device))
        if annotator.needs:
            raise ConfigError(
                f"--{kind} {source} needs {', '.join(annotator.needs)} first; run `passerby annotate` and "
                "give the folder that it writes, or choose another method"
            )
        annotators.append(annotator)
    if true_parsing is not None:
        from passerby.annotators.from_files import FromFiles
        from passerby.data.formats.dataset_files import read_classes
        from passerby.parsing import are_within

        bundle.check_parses()
        classes, named = bundle.model.parsing_classes, read_classes(true_parsing)
        if named and not are_within(named, classes):
            raise ConfigError(
                f"--true-parsing: expected maps of {', '.join(classes)}, those in {true_parsing} are of "
                f"{', '.join(named)}; bring them to the model's classes by `passerby annotate "
                "--parsing-from relabel`"
            )
        annotators.append(FromFiles("parsing", true_parsing, classes=classes))
    return AuxiliaryInputs(annotators) if annotators else None
