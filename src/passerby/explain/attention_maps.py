"""The maps that a model outputs with its scores (attention, masks): computed, combined, and saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from passerby.bundle import Bundle, Picture
from passerby.errors import DataError, ModelError
from passerby.explain.native import combine_maps
from passerby.explain.streaming import compute_one, normalise_inputs, stream_results
from passerby.inference.auxiliary import AuxiliaryInputs, FoundInputs
from passerby.inference.batches import BoxLike, PictureBatch, Skipped
from passerby.io import count_of, replace_file
from passerby.models import MODELS
from passerby.models.base import evaluating
from passerby.types import Box, Output

__all__ = ["AttentionMaps", "compute_maps", "save_maps", "stream_maps"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AttentionMaps:
    """The maps of a model for one image.

    Args:
        source: Path of the image, or `<image>` for an image in memory.
        picture: The input of the network before normalisation: the image, or the person's box in it.
        names: Attribute names, in the order of the bundle's schema.
        probabilities: One number in [0, 1] per attribute.
        thresholds: An attribute is present when its probability is strictly above its threshold.
        maps: The maps by name, in the model's order.
        notes: Limitations of the result, such as a missing mask.
        probability_maps: Names of the maps that are probabilities.
        parsing: Parsing maps by name: `truth`, if the auxiliary inputs include one, then those of the model
            in its order.
        parsing_classes: Names of the classes in them.
        box: The person's box in the image, as given; None for the full image.
        row: The person's row in a table of images, if there is one.

    Shape:
        picture: (H, W, 3) uint8 RGB.
        maps: (A, h, w) float32 ≥ 0 each; h and w differ from map to map.
        parsing: (H, W) uint8 each.

    Example:
        >>> picture, uniform = np.zeros((64, 48, 3), np.uint8), np.full((1, 8, 6), 0.5, np.float32)
        >>> AttentionMaps("a.jpg", picture, ("Hat",), (0.9,), (0.5,), {"attention": uniform})
        AttentionMaps(a.jpg: attention 6 × 8; 1 attribute)
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
    box: Box | None = None
    row: int | None = None

    @property
    def present(self) -> tuple[str, ...]:
        """Names of the attributes whose probability is above their threshold."""
        triples = zip(self.names, self.probabilities, self.thresholds, strict=True)
        return tuple(name for name, p, threshold in triples if p > threshold)

    def __repr__(self) -> str:
        shapes = {name: each.shape for name, each in self.maps.items()}
        shapes |= {f"parsing {name}": each.shape for name, each in self.parsing.items()}
        shown = [f"{name} {width} × {height}" for name, (*_, height, width) in shapes.items()]
        source = self.source if self.box is None else f"{self.source} [{self.box}]"
        parts = [", ".join(shown) or "no map", count_of(len(self.names), "attribute")]
        return f"AttentionMaps({source}: {'; '.join(parts)})"

    def combine(self, expression: str) -> NDArray[np.float32]:
        """One map per attribute, combined from the maps by an expression as for `combine_maps`.

        Raises:
            ModelError: If there is no map of a name.

        Shape:
            returns: (A, h, w) float32 ≥ 0.

        Example:
            >>> delta, uniform = np.float32([[[0, 1], [0, 0]]]), np.full((1, 2, 2), 0.5, np.float32)
            >>> picture = np.zeros((4, 4, 3), np.uint8)
            >>> arrays = {"delta": delta, "uniform": uniform}
            >>> maps = AttentionMaps("a.jpg", picture, ("Hat",), (0.9,), (0.5,), arrays)
            >>> maps.combine("delta+uniform").tolist()
            [[[0.125, 0.625], [0.125, 0.125]]]
        """
        tensors = {name: torch.from_numpy(np.ascontiguousarray(m))[None] for name, m in self.maps.items()}
        combined: NDArray[np.float32] = combine_maps(tensors, expression)[0].numpy()
        return combined


# ---------------------------------------------------------------------- computing


def compute_maps(
    bundle: Bundle,
    image: Picture,
    *,
    crop: BoxLike | None = None,
    auxiliary: AuxiliaryInputs | None = None,
) -> AttentionMaps:
    """Compute the maps of one image, or of one person in it, without gradients and in evaluation mode.

    The model's mode and state stay unchanged.

    Args:
        bundle: Its model must output maps (`AttributeModel.has_maps`).
        image: A path or an image in memory; see `Picture`.
        crop: The person's box in the image: left, top, right, bottom in pixels of the upright image, clipped
            to it. The model gets this part alone. By default the full image.
        auxiliary: Finds the auxiliary inputs of the model, such as masks, or the true parsing map to show
            next to those of the model.

    Raises:
        ImageError: If the image cannot be read.
        DataError: If `crop` is empty, in fractions or outside the image.
        ConfigError: If `crop` comes with auxiliary inputs from files, which exist once for each image.
        ModelError: If the model outputs no maps, or maps other than (N, A, h, w) of finite numbers ≥ 0.

    Example:
        >>> from PIL import Image
        >>> from passerby import Attribute, AttributeSchema, Preprocess, create_model
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
        >>> bundle = Bundle(create_model("diaa", schema=schema, backbone="test_resnet"), Preprocess(64, 48))
        >>> maps = compute_maps(bundle, Image.new("RGB", (40, 90)))
        >>> maps.maps["attention3"].shape, maps.maps["attention4"].shape
        ((1, 4, 3), (1, 2, 2))
    """
    return compute_one(bundle, image, partial(_compute, bundle), crop=crop, auxiliary=auxiliary)


def stream_maps(
    bundle: Bundle,
    pictures: Iterable[Picture],
    *,
    crops: Iterable[BoxLike | None] | None = None,
    batch_size: int = 16,
    auxiliary: AuxiliaryInputs | None = None,
) -> Iterator[AttentionMaps | Skipped]:
    """Compute the maps of many images, one by one in the order given.

    An unreadable image or an impossible box yields `Skipped`; any other error ends the stream.

    Args:
        bundle: As for `compute_maps`.
        pictures: Taken as they are needed; an image with several persons is repeated.
        crops: For each image the person's box in it, as for `compute_maps`; None for the full image.
        batch_size: Images per batch; at most two batches are held.
        auxiliary: As for `compute_maps`.

    Raises:
        DataError: If `batch_size` is below 1, or there are more images than crops, or fewer.
        ConfigError, ModelError: As `compute_maps`.
    """
    compute = partial(_compute, bundle)
    return stream_results(bundle, pictures, compute, crops=crops, batch_size=batch_size, auxiliary=auxiliary)


def _compute(bundle: Bundle, batch: PictureBatch, found: FoundInputs) -> list[AttentionMaps]:
    """Maps of the readable images of a batch."""
    with torch.inference_mode(), evaluating(bundle.model):
        inputs = normalise_inputs(batch, bundle)
        score = bundle.model.parse if bundle.model.parsing_classes else bundle.model
        output: Output = score(inputs, found.guidance.to(bundle.device))
        maps = _check_maps(output, bundle)
        probs = output.logits.float().sigmoid().tolist()
    parsing, has_truth = _collect_parsing(output, found)
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
                *(["no true parsing map"] if "truth" in parsing and not has_truth[i] else []),
                *filter(None, [found.problems.get(i)]),
            ),
            bundle.model.probability_maps,
            {name: values[i].copy() for name, values in parsing.items() if name != "truth" or has_truth[i]},
            bundle.model.parsing_classes,
            batch.boxes[i],
        )
        for i, source in enumerate(batch.sources)
    ]


def _collect_parsing(output: Output, found: FoundInputs) -> tuple[dict[str, NDArray[np.uint8]], list[bool]]:
    """Parsing maps (N, H, W) by name, the true ones first; and which images have a true one."""
    parsing = {stage: logits.argmax(1) for stage, logits in output.parsing.items()}
    has_truth = [False] * len(output.logits)
    if parsing and found.guidance.parsing is not None:
        parsing = {"truth": found.guidance.parsing, **parsing}
        has_truth = ["parsing" not in missing for missing in found.missing]
    return {name: values.to(torch.uint8).cpu().numpy() for name, values in parsing.items()}, has_truth


def _check_maps(output: Output, bundle: Bundle) -> dict[str, NDArray[np.float32]]:
    """The maps as arrays (N, A, h, w); one map for all attributes is repeated for each."""
    model = bundle.model.name
    if not bundle.model.has_maps:
        others = ", ".join(name for name, kind in MODELS.items() if kind.has_maps)
        raise ModelError(f"a {model} model has no attention maps; models that have them: {others}")
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


# ---------------------------------------------------------------------- saving


def save_maps(path: Path, maps: AttentionMaps) -> None:
    """Save all maps as one `.npz` file that `numpy.load` reads without pickle.

    It contains `source`, `picture` (H, W, 3), `attributes`, `probabilities` and `thresholds` (A,), `maps`
    (the names of the maps) and, for each of these names, `map_<name>` (A, h, w) float32; with parsing maps
    also `parsing` and `parsing_classes` (their names) and `parsing_<name>` (H, W) uint8. The `row` and the
    `box` (left, top, right, bottom) of a person are included if there are any.

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
    if maps.row is not None:
        arrays["row"] = np.array(maps.row)
    if maps.box is not None:
        arrays["box"] = np.array(maps.box.as_xyxy())
    if maps.parsing:
        arrays |= {
            "parsing": np.array(list(maps.parsing)),
            "parsing_classes": np.array(maps.parsing_classes),
            **{f"parsing_{name}": values for name, values in maps.parsing.items()},
        }
    try:
        with replace_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # one of its keywords is a bool
    except OSError as error:
        raise DataError(f"cannot write {path} ({error.strerror}); give another folder") from error
