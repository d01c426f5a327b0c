"""Create annotators from the strings that commands accept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from passerby.errors import ConfigError
from passerby.parsing import CLASS_LISTS

if TYPE_CHECKING:
    from passerby.annotators.base import Annotator, Kind

__all__ = ["METHODS", "create_annotator"]

METHODS: dict[Kind, tuple[str, ...]] = {
    "masks": ("mask-rcnn", "parsing"),
    "parsing": ("segformer", "geometric"),
    "keypoints": ("keypoint-rcnn", "vitpose"),
}
"""The methods for each kind."""


def create_annotator(
    kind: Kind, source: str, *, device: str = "cpu", classes: Literal["lip", "coarse"] = "lip"
) -> Annotator:
    """Create an annotator.

    Args:
        kind: The kind of annotation.
        source: A method; `method=weights`, where weights is a local path, or a name on the Hub for
            `segformer` and `vitpose`; or a folder of files.
        device: Device of the network.
        classes: Class list of parsing maps, `lip` or `coarse`.

    Raises:
        ConfigError: If the method or folder does not exist, or weights are given for a method without a
            network.
        ModelError: If the weights are not available or do not fit.
    """
    method, _, weights = source.partition("=")
    if method not in METHODS[kind]:
        if Path(source).is_dir():
            return _read_folder(kind, source, classes)
        raise ConfigError(
            f"no method {source!r} for {kind}; choose {', '.join(METHODS[kind])}, one of these with "
            "=weights, or a folder of files"
        )
    if method in ("geometric", "parsing") and weights:
        raise ConfigError(f"{method} has no network; leave ={weights} out")
    if method == "geometric":
        from passerby.annotators.geometric import GeometricParser

        return GeometricParser()
    if method == "parsing":
        from passerby.annotators.parsing_union import UnionOfParsing

        return UnionOfParsing(CLASS_LISTS[classes])
    return _create_network(method, weights, device=device, classes=classes)


def _create_network(
    method: str, weights: str, *, device: str, classes: Literal["lip", "coarse"]
) -> Annotator:
    from passerby.annotators.detection import KeypointRCNN, MaskRCNN
    from passerby.annotators.hub import DEFAULT_SEGFORMER, DEFAULT_VITPOSE, SegFormer, ViTPose

    if method == "mask-rcnn":
        return MaskRCNN(weights or "torchvision", device=device)
    if method == "keypoint-rcnn":
        return KeypointRCNN(weights or "torchvision", device=device)
    if method == "vitpose":
        return ViTPose(weights or DEFAULT_VITPOSE, device=device)
    return SegFormer(weights or DEFAULT_SEGFORMER, classes=classes, device=device)


def _read_folder(kind: Kind, folder: str, classes: Literal["lip", "coarse"]) -> Annotator:
    from passerby.annotators.from_files import FromFiles

    return FromFiles(kind, folder, classes=CLASS_LISTS[classes] if kind == "parsing" else ())
