"""What `passerby annotate` is asked for: the method of each kind, and the annotators that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from passerby.annotators.base import Annotator, Kind
    from passerby.data.manifest import Manifest

__all__ = ["Wish", "check_classes", "create_annotators", "list_wishes", "take_given"]

_READY: dict[Kind, tuple[str, ...]] = {
    "masks": ("given",),
    "parsing": ("relabel", "given"),
    "keypoints": ("given",),
}
"""Beside the methods of `annotators.factory`, those of this command that take what is there."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A kind that is asked for, the method that is to find it, and the weights, if not the usual ones."""

    kind: Kind
    method: str
    weights: str | None


def list_wishes(asked: Mapping[Kind, tuple[bool, str | None, str | None]]) -> list[Wish]:
    """What was asked for, with the usual method, the first one, where none was named.

    Args:
        asked: For each kind whether it is wanted by any method, by which one, and with which weights.

    Raises:
        ConfigError: If there is no such method, weights belong to no network, or nothing is asked for.
    """
    from passerby.annotators.factory import METHODS
    from passerby.errors import ConfigError

    wishes = []
    for kind, (plain, method, weights) in asked.items():
        known = (*METHODS[kind], *_READY[kind])
        if method is not None and method not in known:
            raise ConfigError(f"--{kind}-from: expected one of {', '.join(known)}, got {method!r}")
        chosen = method or (known[0] if plain else None)
        if weights is not None and (chosen is None or chosen in (*_READY[kind], "parsing")):
            mend = "leave them out" if chosen else f"add --{kind}"
            raise ConfigError(f"--{kind}-weights belong to a network that finds {kind}; {mend}")
        if chosen is not None:
            wishes.append(Wish(kind, chosen, weights))
    if not wishes:
        raise ConfigError(
            "expected at least one of --masks, --parsing and --keypoints, got none; "
            "--masks --keypoints is a good beginning"
        )
    return wishes


def check_classes(wishes: Sequence[Wish], classes: str | None) -> None:
    """Refuse `--parsing-classes` where it says nothing, and its absence where it must say something."""
    from passerby.errors import ConfigError

    method = next((wish.method for wish in wishes if wish.kind == "parsing"), None)
    if classes is None:
        if method == "relabel":
            raise ConfigError(
                "--parsing-from relabel: say to which classes by --parsing-classes lip or coarse"
            )
    elif method is None:
        raise ConfigError(
            "--parsing-classes says of which classes the parsing maps are, but none are asked for; leave it "
            "out, or add --parsing or --parsing-from given"
        )
    elif method == "geometric":
        raise ConfigError("--parsing-from geometric gives coarse classes only; leave --parsing-classes out")


def take_given(rows: Manifest, wishes: Sequence[Wish], classes: str | None) -> Manifest:
    """The manifest with what lies ready, for the kinds that are to come from there."""
    from passerby.annotators.annotate import find_given
    from passerby.parsing import CLASS_LISTS

    kinds = [wish.kind for wish in wishes if wish.method == "given"]
    return find_given(rows, kinds, parsing_classes=CLASS_LISTS[classes] if classes else ()) if kinds else rows


def create_annotators(
    rows: Manifest, wishes: Sequence[Wish], classes: str | None, device: str
) -> list[Annotator]:
    """Those that find what does not lie ready; a union of parsing maps last, as it follows their classes.

    Args:
        rows: With what lies ready.
    """
    from passerby.annotators.factory import create_annotator

    coarse = any(wish.method == "geometric" for wish in wishes)
    chosen: Any = "coarse" if coarse else classes or "lip"
    created: list[Annotator] = []
    for wish in wishes:
        if wish.method == "relabel":
            created.append(_create_relabel(rows, chosen))
        elif wish.method not in ("given", "parsing"):
            source = f"{wish.method}={wish.weights}" if wish.weights else wish.method
            place = "cpu" if wish.method == "geometric" else _find_device(device)
            created.append(create_annotator(wish.kind, source, device=place, classes=chosen))
    if any(wish.method == "parsing" for wish in wishes):
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
            "--parsing-from given --parsing-classes lip (or coarse)"
        )
    return UnionOfParsing(classes or LIP_CLASSES)  # without any maps, annotating says that they are missing


def _find_device(device: str) -> str:
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
