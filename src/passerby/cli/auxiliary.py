"""Options that provide auxiliary inputs (masks, parsing maps, keypoints) for images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from passerby.annotators.base import Annotator, Kind
    from passerby.bundle import Bundle
    from passerby.inference.auxiliary import AuxiliaryInputs

__all__ = ["AuxiliaryOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuxiliaryOptions:
    """Sources of masks and keypoints for models that take them as input."""

    masks: Annotated[
        str | None,
        typer.Option(
            help="Masks for a model that takes them as input: a folder with <image name>.png, or "
            "mask-rcnn, or mask-rcnn=WEIGHTS.",
            show_default="none; the result contains a note",
        ),
    ] = None
    keypoints: Annotated[
        str | None,
        typer.Option(
            help="Keypoints for a model that takes them as input: a folder with keypoints_coco17.json, or "
            "keypoint-rcnn, or vitpose, or one of these with =WEIGHTS.",
            show_default="none; the result contains a note",
        ),
    ] = None

    def check(self) -> None:
        """Refuse a source that is neither a method nor a folder with such files, before a model is loaded.

        Raises:
            ConfigError: If there is one.
        """
        given = {kind: source for kind, source in self._sources.items() if source is not None}
        if not given:
            return
        from passerby.annotators.factory import METHODS, create_annotator

        for kind, source in given.items():
            if source.partition("=")[0] not in METHODS[kind]:
                create_annotator(kind, source, device="cpu")

    @property
    def _sources(self) -> dict[Kind, str | None]:
        return {"masks": self.masks, "keypoints": self.keypoints}

    def create(self, bundle: Bundle, *, true_parsing: Path | None = None) -> AuxiliaryInputs | None:
        """The source of auxiliary inputs, None if no option was given.

        Args:
            bundle: Its model must take the inputs that were requested.
            true_parsing: Folder with ground-truth parsing maps to show next to those of the model.

        Raises:
            ConfigError: If the model does not take such inputs, or the source is unknown.
        """
        from passerby.inference.auxiliary import AuxiliaryInputs

        annotators = [
            _create_annotator(bundle, kind, source)
            for kind, source in self._sources.items()
            if source is not None
        ]
        if true_parsing is not None:
            annotators.append(_read_true_parsing(bundle, true_parsing))
        return AuxiliaryInputs(annotators) if annotators else None


def _create_annotator(bundle: Bundle, kind: Kind, source: str) -> Annotator:
    from passerby.annotators.factory import create_annotator
    from passerby.errors import ConfigError

    if kind not in bundle.model.guidance:
        raise ConfigError(f"the model {bundle.model.name} takes no {kind} as input; omit --{kind}")
    annotator = create_annotator(kind, source, device=str(bundle.device))
    if annotator.needs:
        raise ConfigError(
            f"--{kind} {source} needs {', '.join(annotator.needs)} first; run `passerby annotate` and give "
            "the folder that it writes, or choose another method"
        )
    return annotator


def _read_true_parsing(bundle: Bundle, folder: Path) -> Annotator:
    from passerby.annotators.from_files import FromFiles
    from passerby.bundle.batches import check_parsing
    from passerby.data.formats.dataset_files import read_classes
    from passerby.errors import ConfigError
    from passerby.parsing import are_within

    check_parsing(bundle.model)
    classes, named = bundle.model.parsing_classes, read_classes(folder)
    if named and not are_within(named, classes):
        raise ConfigError(
            f"--true-parsing: expected maps with the classes {', '.join(classes)}, those in {folder} have "
            f"{', '.join(named)}; convert them with `passerby annotate --parsing-from relabel`"
        )
    return FromFiles("parsing", folder, classes=classes)
