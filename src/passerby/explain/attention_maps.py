"""The maps a model shows beside its scores (attention, masks): computed, combined, written for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from passerby.bundle import Bundle, Picture, source_of
from passerby.errors import DataError, ModelError
from passerby.explain import native
from passerby.inference.auxiliary import AuxiliaryInputs
from passerby.inference.batches import OpenedBatch, open_batch, stream_batches
from passerby.inference.predictor import Skipped
from passerby.io import replace_file
from passerby.models import MODELS
from passerby.models.base import evaluating
from passerby.types import Output

__all__ = [
    "AttentionMaps",
    "combine_maps",
    "compute_maps",
    "enlarge_maps",
    "save_maps",
    "stream_maps",
]


@dataclass(frozen=True, slots=True, eq=False)
class AttentionMaps:
    """What a model shows for one picture.

    Args:
        source: Where the picture came from: a path, or `<image>` when it came from memory.
        picture: What the network saw, before normalisation.
        names: Attribute names, in the order of the bundle's schema.
        probabilities: One number in [0, 1] an attribute.
        thresholds: An attribute is present when its probability is strictly above its threshold.
        maps: The maps by name, in the order in which the model gives them.
        notes: What a reader must know, such as that the model had no mask to look at.
        probability_maps: Names of those maps that are probabilities.
        parsing: Parsing maps by name: `truth`, if a auxiliary found it, and the model's own in their order.
        parsing_classes: Names of the numbers in them.

    Shape:
        picture: (H, W, 3) uint8 RGB.
        maps: (A, h, w) float32 ≥ 0 each; h and w differ from map to map.
        parsing: (H, W) uint8 each.
    """

    source: str
    picture: NDArray[np.uint8]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    thresholds: tuple[float, ...]
    maps: Mapping[str, NDArray[np.float32]]
    notes: tuple[str, ...] = ()
    probability_maps: tuple[str, ...] = ()
    parsing: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    parsing_classes: tuple[str, ...] = ()

    @property
    def present(self) -> tuple[str, ...]:
        """Names of the attributes whose probability is above their threshold."""
        triples = zip(self.names, self.probabilities, self.thresholds, strict=True)
        return tuple(name for name, p, threshold in triples if p > threshold)


# ---------------------------------------------------------------------- computing


def compute_maps(
    bundle: Bundle, image: Picture, *, auxiliary: AuxiliaryInputs | None = None
) -> AttentionMaps:
    """Compute the maps of one picture, without gradients and in evaluation mode.

    The model's mode and state are left as they were.

    Args:
        bundle: Its model must give maps (`AttributeModel.has_maps`).
        image: A path or a picture in memory; see `Picture`.
        auxiliary: Finds what the model looks at beside the picture, such as a mask, or the true parsing map to
            show beside those of the model.

    Raises:
        ImageError: If the picture cannot be read.
        ModelError: If the model gives no maps, or maps that are no (N, A, h, w) of finite numbers ≥ 0.

    Example:
        >>> from PIL import Image
        >>> from passerby import create_model
        >>> from passerby.schema import Attribute, AttributeSchema
        >>> from passerby.types import Preprocess
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
        >>> bundle = Bundle(create_model("diaa", schema=schema, backbone="test_resnet"), Preprocess(64, 48))
        >>> maps = compute_maps(bundle, Image.new("RGB", (40, 90)))
        >>> maps.maps["attention3"].shape, maps.maps["attention4"].shape
        ((1, 4, 3), (1, 2, 2))
    """
    return _compute(
        bundle, open_batch(bundle, [bundle.open(image)], [source_of(image)], auxiliary=auxiliary)
    )[0]


def stream_maps(
    bundle: Bundle,
    pictures: Iterable[Picture],
    *,
    batch_size: int = 16,
    auxiliary: AuxiliaryInputs | None = None,
) -> Iterator[AttentionMaps | Skipped]:
    """Compute the maps of many pictures, one after the other in the order given.

    A picture that cannot be read comes out as `Skipped`; any other error ends the stream.

    Args:
        bundle: As for `compute_maps`.
        pictures: Asked for as they are needed.
        batch_size: Pictures that go through the network at a time; no more are held.
        auxiliary: As for `compute_maps`.

    Raises:
        DataError: If `batch_size` is below 1.
        ModelError: As from `compute_maps`.
    """
    compute = partial(_compute, bundle)
    return stream_batches(bundle, pictures, compute, batch_size=batch_size, auxiliary=auxiliary)


def _compute(bundle: Bundle, batch: OpenedBatch) -> list[AttentionMaps]:
    """Maps of opened pictures, in one batch."""
    found = batch.found
    with torch.inference_mode(), evaluating(bundle.model):
        pixels = batch.normalise(bundle)
        score = bundle.model.parse if bundle.model.parsing_classes else bundle.model
        output: Output = score(pixels, found.guidance.to(bundle.device))
        maps = _check_maps(output, bundle)
        probs = output.logits.float().sigmoid().tolist()
        parsing = {stage: logits.argmax(1) for stage, logits in output.parsing.items()}
    known = [False] * len(batch.images)
    if parsing and found.guidance.parsing is not None:
        parsing = {"truth": found.guidance.parsing, **parsing}
        known = ["parsing" not in missing for missing in found.missing]
    classes = {name: values.to(torch.uint8).cpu().numpy() for name, values in parsing.items()}
    pictures = batch.inputs.permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, 3)
    return [
        AttentionMaps(
            source,
            pictures[i].copy(),
            bundle.schema.names,
            tuple(probs[i]),
            bundle.thresholds,
            {name: values[i].copy() for name, values in maps.items()},
            (
                *bundle.explain_missing(found.missing[i]),
                *(["no true parsing map"] if "truth" in classes and not known[i] else []),
                *filter(None, [found.problems.get(i)]),
            ),
            bundle.model.probability_maps,
            {name: values[i].copy() for name, values in classes.items() if name != "truth" or known[i]},
            bundle.model.parsing_classes,
        )
        for i, source in enumerate(batch.sources)
    ]


def _check_maps(output: Output, bundle: Bundle) -> dict[str, NDArray[np.float32]]:
    """The maps as arrays (N, A, h, w); one map for all attributes is repeated for each."""
    model = bundle.model.name
    if not bundle.model.has_maps:
        able = ", ".join(name for name, model in MODELS.items() if model.has_maps)
        raise ModelError(f"a {model} model has no maps to show; models that have them: {able}")
    count, attributes = output.logits.shape
    arrays = {}
    for name, values in {**output.maps, **bundle.model.explain(output)}.items():
        if values.ndim != 4 or values.shape[0] != count or values.shape[1] not in (1, attributes):
            raise ModelError(
                f"expected the map {name!r} of a {model} model as ({count}, {attributes} or 1, h, w), "
                f"got {tuple(values.shape)}"
            )
        array: NDArray[np.float32] = values.float().expand(-1, attributes, -1, -1).cpu().numpy()
        if not (np.isfinite(array).all() and (array >= 0).all()):
            raise ModelError(f"expected finite numbers ≥ 0 in the map {name!r} of a {model} model")
        arrays[name] = array
    return arrays


# ---------------------------------------------------------------------- combining


def combine_maps(maps: AttentionMaps, expression: str) -> NDArray[np.float32]:
    """One map an attribute from those that the model gives.

    Args:
        maps: What the model shows.
        expression: A name, such as `attention3`; names joined by `*` for their product, such as
            `attention3*confidence3`, what DIAA classifies; terms joined by `+` for their mean, to which each
            term contributes the same: all are divided by their sums over the positions first. Maps of
            different sizes are enlarged to the largest, bilinear.

    Raises:
        ModelError: If there is no map of that name.

    Shape:
        (A, h, w) float32 ≥ 0.

    Example:
        >>> delta, even = np.float32([[[0, 1], [0, 0]]]), np.full((1, 2, 2), 0.5, np.float32)
        >>> picture = np.zeros((4, 4, 3), np.uint8)
        >>> maps = AttentionMaps("a.jpg", picture, ("Hat",), (0.9,), (0.5,), {"delta": delta, "even": even})
        >>> combine_maps(maps, "delta+even").tolist()
        [[[0.125, 0.625], [0.125, 0.125]]]
    """
    tensors = {name: torch.from_numpy(np.ascontiguousarray(each))[None] for name, each in maps.maps.items()}
    combined: NDArray[np.float32] = native.combine_maps(tensors, expression)[0].numpy()
    return combined


def enlarge_maps(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize maps, bilinear; the corners of the first and the last cell are those of the picture.

    Shape:
        values: (A, h, w) float32. Returns (A, *size).
    """
    batch = torch.from_numpy(np.ascontiguousarray(values))[None]
    enlarged: NDArray[np.float32] = native.enlarge_maps(batch, size)[0].numpy()
    return enlarged


# ---------------------------------------------------------------------- writing


def save_maps(path: Path, maps: AttentionMaps) -> None:
    """Write everything as one `.npz` that `numpy.load` reads without pickle.

    It holds `source`, `picture` (H, W, 3), `attributes`, `probabilities` and `thresholds` (A,), `maps` (the
    names of the maps) and, for each of those names, `map_<name>` (A, h, w) float32; of parsing maps also
    `parsing` and `parsing_classes` (their names) and `parsing_<name>` (H, W) uint8.

    Raises:
        DataError: If the file cannot be written.
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "source": np.array(maps.source),
        "picture": maps.picture,
        "attributes": np.array(maps.names),
        "probabilities": np.array(maps.probabilities, np.float32),
        "thresholds": np.array(maps.thresholds, np.float32),
        "maps": np.array(list(maps.maps)),
        **{f"map_{name}": values for name, values in maps.maps.items()},
    }
    if maps.parsing:
        arrays |= {
            "parsing": np.array(list(maps.parsing)),
            "parsing_classes": np.array(maps.parsing_classes),
            **{f"parsing_{name}": values for name, values in maps.parsing.items()},
        }
    try:
        with replace_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # a keyword of its own is a bool
    except OSError as error:
        raise DataError(f"cannot write {path} ({error.strerror}); give another folder") from error
