"""What `passerby annotate` is asked for: the method of each kind, and the annotators that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from passerby.annotators.base import Annotator, Kind
    from passerby.data.manifest import Manifest

__all__ = ["PlannedAnnotation", "add_existing_files", "check_classes", "create_annotators", "create_plan"]

_READY: dict[Kind, tuple[str, ...]] = {
    "masks": ("files",),
    "parsing": ("relabel", "files"),
    "keypoints": ("files",),
}
"""Beside the methods of `annotators.factory`, those of this command that take what is there."""


@dataclass(frozen=True, slots=True)
class PlannedAnnotation:
    """A kind that is asked for, the method that is to find it, and the weights, if not the usual ones."""

    kind: Kind
    method: str
    weights: str | None


def create_plan(asked: Mapping[Kind, tuple[bool, str | None, str | None]]) -> list[PlannedAnnotation]:
    """What was asked for, with the usual method, the first one, where none was named.

    Args:
        asked: For each kind whether it is wanted by any method, by which one, and with which weights.

    Raises:
        ConfigError: If there is no such method, weights belong to no network, or nothing is asked for.
    """
    from passerby.annotators.factory import METHODS
    from passerby.errors import ConfigError

    plan = []
    for kind, (plain, method, weights) in asked.items():
        known = (*METHODS[kind], *_READY[kind])
        if method is not None and method not in known:
            raise ConfigError(f"--{kind}-from: expected one of {', '.join(known)}, got {method!r}")
        chosen = method or (known[0] if plain else None)
        if weights is not None and (chosen is None or chosen in (*_READY[kind], "parsing")):
            remedy = "leave them out" if chosen else f"add --{kind}"
            raise ConfigError(f"--{kind}-weights belong to a network that finds {kind}; {remedy}")
        if chosen is not None:
            plan.append(PlannedAnnotation(kind, chosen, weights))
    if not plan:
        raise ConfigError(
            "expected at least one of --masks, --parsing and --keypoints, got none; "
            "--masks --keypoints is a good beginning"
        )
    return plan


def check_classes(plan: Sequence[PlannedAnnotation], classes: str | None) -> None:
    """Refuse `--parsing-classes` where it says nothing, and its absence where it must say something."""
    from passerby.errors import ConfigError

    method = next((planned.method for planned in plan if planned.kind == "parsing"), None)
    if classes is None:
        if method == "relabel":
            raise ConfigError(
                "--parsing-from relabel: say to which classes by --parsing-classes lip or coarse"
            )
    elif method is None:
        raise ConfigError(
            "--parsing-classes says of which classes the parsing maps are, but none are asked for; leave it "
            "out, or add --parsing or --parsing-from files"
        )
    elif method == "geometric":
        raise ConfigError("--parsing-from geometric gives coarse classes only; leave --parsing-classes out")


def add_existing_files(rows: Manifest, plan: Sequence[PlannedAnnotation], classes: str | None) -> Manifest:
    """The manifest with what lies ready, for the kinds that are to come from there."""
    from passerby.annotators.annotate import find_existing
    from passerby.parsing import CLASS_LISTS

    kinds = [planned.kind for planned in plan if planned.method == "files"]
    return (
        find_existing(rows, kinds, parsing_classes=CLASS_LISTS[classes] if classes else ()) if kinds else rows
    )


def create_annotators(
    rows: Manifest, plan: Sequence[PlannedAnnotation], classes: str | None, device: str
) -> list[Annotator]:
    """Those that find what does not lie ready; a union of parsing maps last, as it follows their classes.

    Args:
        rows: With what lies ready.
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
            place = "cpu" if planned.method == "geometric" else _find_device(device)
            created.append(create_annotator(planned.kind, source, device=place, classes=chosen))
    if any(planned.method == "parsing" for planned in plan):
        created.append(_create_union(rows, created))
    return created


def _create_relabel(rows: Manifest, classes: str) -> Annotator:
    from passerby.annotators.annotate import find_ready
    from passerby.annotators.relabel import Relabel
    from passerby.errors import ConfigError

    if "parsing" not in find_ready(rows):
        raise ConfigError(
            "--parsing-from relabel: expected a manifest with parsing maps, this one has none; "
            "find some by --parsing-from segformer"
        )
    return Relabel(rows.parsing_classes, classes)


def _create_union(rows: Manifest, others: Sequence[Annotator]) -> Annotator:
    """Masks from parsing maps: of the classes to come, else of those that the manifest names."""
    from passerby.annotators.annotate import find_ready
    from passerby.annotators.parsing_union import UnionOfParsing
    from passerby.errors import ConfigError
    from passerby.parsing import LIP_CLASSES

    classes = next((other.classes for other in others if other.kind == "parsing"), rows.parsing_classes)
    if not classes and "parsing" in find_ready(rows):
        raise ConfigError(
            "--masks-from parsing: the manifest does not name the classes of its parsing maps; name them by "
            "--parsing-from files --parsing-classes lip (or coarse)"
        )
    return UnionOfParsing(classes or LIP_CLASSES)  # without any maps, annotating says that they are missing


def _find_device(device: str) -> str:
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
