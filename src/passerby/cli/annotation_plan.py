"""The annotation plan of `passerby annotate`: the method for each kind, and the annotators to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from passerby.annotators.base import Annotator, Kind
    from passerby.data.manifest import Manifest

__all__ = ["PlannedAnnotation", "add_existing_files", "check_classes", "create_annotators", "create_plan"]

_FROM_EXISTING: dict[Kind, tuple[str, ...]] = {
    "masks": ("files",),
    "parsing": ("relabel", "files"),
    "keypoints": ("files",),
}
"""Methods that use existing data, in addition to those of `annotators.factory`."""


@dataclass(frozen=True, slots=True)
class PlannedAnnotation:
    """A requested kind, its method, and the weights (None: default)."""

    kind: Kind
    method: str
    weights: str | None


def create_plan(requested: Mapping[Kind, tuple[bool, str | None, str | None]]) -> list[PlannedAnnotation]:
    """Complete a request with the default method of each kind, the first of its methods.

    Args:
        requested: For each kind: whether it is requested, its method and its weights (None: default).

    Raises:
        ConfigError: If a method is unknown, weights are given for a method without a network, or nothing is
            requested.
    """
    from passerby.annotators.factory import METHODS
    from passerby.errors import ConfigError

    plan = []
    for kind, (flag, method, weights) in requested.items():
        known = (*METHODS[kind], *_FROM_EXISTING[kind])
        if method is not None and method not in known:
            raise ConfigError(f"--{kind}-from: expected one of {', '.join(known)}, got {method!r}")
        chosen = method or (known[0] if flag else None)
        if weights is not None and (chosen is None or chosen in (*_FROM_EXISTING[kind], "parsing")):
            remedy = "leave it out" if chosen else f"add --{kind}"
            raise ConfigError(f"--{kind}-weights requires a network that predicts {kind}; {remedy}")
        if chosen is not None:
            plan.append(PlannedAnnotation(kind, chosen, weights))
    if not plan:
        raise ConfigError(
            "expected at least one of --masks, --parsing and --keypoints, got none; "
            "start with --masks --keypoints"
        )
    return plan


def check_classes(plan: Sequence[PlannedAnnotation], classes: str | None) -> None:
    """Check that `--parsing-classes` is given if the plan requires it, and only if the plan uses it."""
    from passerby.errors import ConfigError

    method = next((planned.method for planned in plan if planned.kind == "parsing"), None)
    if classes is None:
        if method == "relabel":
            raise ConfigError(
                "--parsing-from relabel: choose the target classes with --parsing-classes lip or coarse"
            )
    elif method is None:
        raise ConfigError(
            "--parsing-classes requires parsing maps, but none are requested; leave it out, or add --parsing "
            "or --parsing-from files"
        )
    elif method == "geometric":
        raise ConfigError("--parsing-from geometric has coarse classes only; leave --parsing-classes out")


def add_existing_files(rows: Manifest, plan: Sequence[PlannedAnnotation], classes: str | None) -> Manifest:
    """Add existing files to the manifest, for the kinds whose method is `files`."""
    from passerby.annotators.annotate import find_existing
    from passerby.parsing import CLASS_LISTS

    kinds = [planned.kind for planned in plan if planned.method == "files"]
    return (
        find_existing(rows, kinds, parsing_classes=CLASS_LISTS[classes] if classes else ()) if kinds else rows
    )


def create_annotators(
    rows: Manifest, plan: Sequence[PlannedAnnotation], classes: str | None, device: str
) -> list[Annotator]:
    """Create the annotators of a plan; a union of parsing classes comes last, because it uses their names.

    Args:
        rows: The manifest, with existing files added.
    """
    from passerby.annotators.factory import create_annotator

    coarse = any(planned.method == "geometric" for planned in plan)
    chosen: Any = "coarse" if coarse else classes or "lip"
    created: list[Annotator] = []
    for planned in plan:
        if planned.method == "relabel":
            created.append(_create_relabel(rows, chosen))
        elif planned.method not in ("files", "parsing"):
            source = f"{planned.method}={planned.weights}" if planned.weights else planned.method
            chosen_device = "cpu" if planned.method == "geometric" else _find_device(device)
            created.append(create_annotator(planned.kind, source, device=chosen_device, classes=chosen))
    if any(planned.method == "parsing" for planned in plan):
        created.append(_create_union(rows, created))
    return created


def _create_relabel(rows: Manifest, classes: str) -> Annotator:
    from passerby.annotators.annotate import list_available
    from passerby.annotators.relabel import Relabel
    from passerby.errors import ConfigError

    if "parsing" not in list_available(rows):
        raise ConfigError(
            "--parsing-from relabel: expected a manifest with parsing maps, this one has none; "
            "create them with --parsing-from segformer"
        )
    return Relabel(rows.parsing_classes, classes)


def _create_union(rows: Manifest, others: Sequence[Annotator]) -> Annotator:
    """Masks from parsing maps, by the classes of the planned maps, else by those of the manifest."""
    from passerby.annotators.annotate import list_available
    from passerby.annotators.parsing_union import UnionOfParsing
    from passerby.errors import ConfigError
    from passerby.parsing import LIP_CLASSES

    classes = next((other.classes for other in others if other.kind == "parsing"), rows.parsing_classes)
    if not classes and "parsing" in list_available(rows):
        raise ConfigError(
            "--masks-from parsing: the manifest does not name the classes of its parsing maps; name them "
            "with --parsing-from files --parsing-classes lip (or coarse)"
        )
    return UnionOfParsing(classes or LIP_CLASSES)  # if there are no maps at all, annotate() raises the error


def _find_device(device: str) -> str:
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
