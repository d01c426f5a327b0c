"""`Bundle`: a trained model with everything that prediction needs, the only form in which models are used."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from passerby.bundle.batches import check_parsing, run_batch
from passerby.bundle.hub import locate, upload
from passerby.bundle.pictures import Picture, open_picture, source_of
from passerby.bundle.storage import read_files, write_files
from passerby.devices import check_device
from passerby.errors import BundleError, DataError, ModelError, SchemaError
from passerby.images.placement import resize_image
from passerby.io import state_reason
from passerby.migration import upgrade
from passerby.types import Box, Guidance, Prediction, Preprocess

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

    from passerby.bundle.module import BundleModule
    from passerby.models import AttributeModel
    from passerby.schema import AttributeSchema

__all__ = ["Bundle", "load"]

_BATCH_SIZE = 32
"""Images that a call for several images predicts at a time."""


@dataclass(eq=False)
class Bundle:
    """A model with its preprocessing, its thresholds and its provenance.

    Args:
        model: Made by `create_model`; is put into evaluation mode.
        preprocess: How an image becomes the input of the model.
        thresholds: One number in [0, 1] per attribute, in schema order; 0.5 each if empty.
        metadata: Plain JSON values about the provenance: `dataset`, `partition`, `protocol`, `seed`,
            `domain`, `val_scores` …

    Raises:
        BundleError: If the thresholds do not fit the schema, or the model was not made by `create_model`.

    Example:
        >>> from PIL import Image
        >>> from passerby import Attribute, AttributeSchema, create_model
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
        >>> model = create_model("baseline", schema=schema, backbone="test_resnet")
        >>> bundle = Bundle(model, Preprocess(64, 48))
        >>> prediction = bundle(Image.new("RGB", (40, 90)))
        >>> prediction.names, 0 <= prediction["Hat"] <= 1
        (('Hat',), True)
    """

    model: AttributeModel
    preprocess: Preprocess
    thresholds: tuple[float, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not hasattr(self.model, "name") or not hasattr(self.model, "arguments"):
            raise BundleError("expected a model made by passerby.create_model: a bundle stores its arguments")
        self.thresholds = tuple(float(t) for t in self.thresholds) or (0.5,) * len(self.schema)
        if len(self.thresholds) != len(self.schema):
            raise BundleError(
                f"expected {len(self.schema)} thresholds, one per attribute, got {len(self.thresholds)}"
            )
        if not all(0 <= t <= 1 for t in self.thresholds):
            raise BundleError(f"expected thresholds in [0, 1], got {self.thresholds}")
        self.model.eval()

    @property
    def schema(self) -> AttributeSchema:
        """The attributes, in the order of the probabilities."""
        return self.model.schema

    @property
    def domain(self) -> str | None:
        """What the training images show in a few words, such as `synthetic people`; None if unknown."""
        domain = self.metadata.get("domain")
        return str(domain) if domain else None

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that depend on all that predictions depend on."""
        from passerby.bundle.content import compute_fingerprint

        return compute_fingerprint(self.model, self.preprocess, self.thresholds)

    @property
    def module(self) -> BundleModule:
        """The bundle as a plain module, for `torch.jit.trace` and `torch.onnx.export`.

        It maps uint8 images (N, 3, H, W), as from `prepare`, to probabilities (N, A). The auxiliary inputs in
        `model.guidance` follow as further tensors. It shares the weights with this bundle.
        """
        from passerby.bundle.module import BundleModule

        self.model.eval()
        return BundleModule(self.model, self.preprocess).eval()

    def __repr__(self) -> str:
        backbone = self.model.arguments.get("backbone")
        size = f"{self.preprocess.height} × {self.preprocess.width} pixels"
        facts = (self.model.name, backbone, f"{len(self.schema)} attributes", size, self.domain, self.device)
        return f"Bundle({', '.join(str(fact) for fact in facts if fact)})"

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.model.parameters()).device

    def to(self, device: str | torch.device) -> Bundle:
        """Move the model to a device such as `cuda:0`, in place; `auto` is a GPU if available, else the CPU.

        Raises:
            BundleError: If the device is not available.
        """
        import torch

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.model.to(device)
        except (RuntimeError, AssertionError) as error:
            reason = state_reason(error)
            raise BundleError(f"device {str(device)!r} is not available ({reason}); use 'cpu'") from error
        return self

    # ------------------------------------------------------------------ predicting

    @overload
    def __call__(self, image: Picture, *, boxes: None = None) -> Prediction: ...
    @overload
    def __call__(self, image: Picture, *, boxes: Iterable[Box | Sequence[float]]) -> list[Prediction]: ...
    @overload
    def __call__(self, image: list[Any] | tuple[Any, ...], *, boxes: None = None) -> list[Prediction]: ...
    def __call__(
        self,
        image: Picture | list[Any] | tuple[Any, ...],
        *,
        boxes: Iterable[Box | Sequence[float]] | None = None,
    ) -> Prediction | list[Prediction]:
        """Predict the attributes of the person in an image, of those in its boxes, or of several images.

        `passerby.Predictor` is faster for many images, and skips those that cannot be read.

        Args:
            image: An image, or a list or tuple of images.
            boxes: Boxes of persons in the image: left, top, right, bottom in pixels of the upright image;
                clipped to the image.

        Returns:
            One prediction for one image; a list with one for each image of a list, or for each box.

        Raises:
            ImageError: If an image cannot be read, or has another shape or type than in `Picture`.
            DataError: If a box is empty, in fractions or outside the image, or if boxes come with several
                images.

        Example:
            >>> import numpy as np
            >>> from passerby import create_model
            >>> model = create_model("baseline", schema=["Hat", "Bag"], backbone="test_resnet")
            >>> photo = np.zeros((200, 300), np.uint8)
            >>> bundle = Bundle(model, Preprocess(64, 48))
            >>> [str(p.box) for p in bundle(photo, boxes=[(0, 10, 60, 190), (70, 20, 130, 200)])]
            ['0 10 60 190', '70 20 130 200']
            >>> len(bundle([photo, photo, photo]))
            3
        """
        if isinstance(image, list | tuple):
            if boxes is not None:
                raise DataError(
                    "expected one image with boxes, got a list of images; call the bundle for each image, or "
                    "passerby.Predictor with one box per image"
                )
            return self._predict(map(self.prepare, image), list(map(source_of, image)))
        if boxes is None:
            return self._predict(iter([self.prepare(image)]), [source_of(image)])[0]
        opened, chosen = open_picture(image), list(map(Box.from_xyxy, boxes))
        inputs = (self._cut(opened, box) for box in chosen)
        return self._predict(inputs, [source_of(image)] * len(chosen), boxes=chosen)

    def _predict(
        self, inputs: Iterator[Tensor], sources: Sequence[str], *, boxes: Sequence[Box] | None = None
    ) -> list[Prediction]:
        """One prediction per prepared image, in batches."""
        import torch

        predictions: list[Prediction] = []
        for start in range(0, len(sources), _BATCH_SIZE):
            batch = torch.stack(list(islice(inputs, _BATCH_SIZE)))
            chosen = slice(start, start + len(batch))
            predictions += self.describe(
                self.predict_batch(batch, warn=False),
                sources[chosen],
                missing=[self.model.guidance] * len(batch),
                boxes=None if boxes is None else boxes[chosen],
            )
        return predictions

    def prepare(self, image: Picture, *, box: Box | None = None) -> Tensor:
        """Turn an image into the input of the model before normalisation.

        Args:
            box: The part of the image to use; by default all of it.

        Shape:
            returns: (3, H, W) uint8, of the size in `preprocess`.

        Raises:
            ImageError: As `open_picture`.
            DataError: If the box is outside the image.
        """
        return self._cut(open_picture(image), box)

    def _cut(self, image: Image.Image, box: Box | None) -> Tensor:
        """The input of the model, of an RGB image or a box in it."""
        import torch

        pixels = resize_image(image, self.preprocess, None if box is None else box.as_xyxy())  # (H, W, 3)
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())

    def predict_batch(self, images: Tensor, guidance: Guidance | None = None, *, warn: bool = True) -> Tensor:
        """Probabilities of a batch of prepared images.

        Args:
            guidance: The auxiliary inputs that `model.guidance` names, where available.
            warn: Warn if the model takes auxiliary inputs that are not given, and state the fallback.

        Shape:
            images: (N, 3, H, W) uint8, of the size in `preprocess`, on any device.
            returns: (N, A) float32 in [0, 1], on the model's device.

        Raises:
            ModelError: If the images have another shape or type.
        """
        output = run_batch(self.model, self.preprocess, images, guidance, warn=warn)
        return output.logits.float().sigmoid()

    def parse_batch(
        self, images: Tensor, guidance: Guidance | None = None, *, warn: bool = True
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Probabilities of a batch of prepared images, and the parsing class of each pixel.

        Args:
            guidance, warn: As for `predict_batch`.

        Returns:
            Probabilities, and the parsing maps by the name of their stage, the best one last.

        Shape:
            images: (N, 3, H, W) uint8, of the size in `preprocess`, on any device.
            returns: (N, A) float32 in [0, 1]; maps (N, H, W) uint8, indices into `model.parsing_classes`.

        Raises:
            ModelError: If the model computes no parsing maps, or the images have another shape or type.
        """
        import torch

        check_parsing(self.model)
        output = run_batch(self.model, self.preprocess, images, guidance, warn=warn, parse=True)
        maps = {stage: logits.argmax(1).to(torch.uint8) for stage, logits in output.parsing.items()}
        return output.logits.float().sigmoid(), maps

    def describe(
        self,
        probs: Tensor,
        sources: Sequence[str],
        *,
        missing: Sequence[Collection[str]] | None = None,
        boxes: Sequence[Box | None] | None = None,
    ) -> list[Prediction]:
        """Turn probabilities into one `Prediction` per row.

        Args:
            sources: Where each image came from.
            missing: For each row the kinds of auxiliary inputs, such as `masks`, that were not available; the
                model's fallback becomes a note of the prediction.
            boxes: For each row the person's box in the image, None for the full image.

        Shape:
            probs: (N, A) in [0, 1].
        """
        kinds = [()] * len(sources) if missing is None else missing
        crops = [None] * len(sources) if boxes is None else boxes
        return [
            Prediction(
                source,
                self.schema.names,
                tuple(row),
                self.thresholds,
                self.explain_missing(absent),
                box=box,
            )
            for source, row, absent, box in zip(sources, probs.tolist(), kinds, crops, strict=True)
        ]

    def explain_missing(self, missing: Collection[str]) -> tuple[str, ...]:
        """The model's fallback for an image without some kinds of auxiliary inputs, such as `masks`."""
        kinds = [kind for kind in self.model.guidance if kind in missing]
        return tuple(f"no usable {kind}: {self.model.without_guidance}" for kind in kinds)

    # ------------------------------------------------------------------ saving

    def save(self, path: str | Path) -> None:
        """Write a folder, or one file if the path ends in `.zip`; an earlier bundle there is replaced.

        Numbers that are not finite are stored as null, as JSON has no such numbers.

        Raises:
            BundleError: If something else than a bundle is at the path, or the metadata is not plain JSON.
        """
        from passerby.bundle.content import encode_files

        write_files(
            Path(path),
            encode_files(self.model, self.preprocess, thresholds=self.thresholds, metadata=self.metadata),
        )

    @classmethod
    def load(
        cls, path: str | Path, *, device: str | torch.device = "cpu", revision: str | None = None
    ) -> Bundle:
        """The same as the function `load`."""
        return load(path, device=device, revision=revision)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = True,
        revision: str | None = None,
        message: str = "Add a bundle of passerby",
    ) -> str:
        """Upload to the Hugging Face Hub and return the address.

        Args:
            repo_id: `owner/name`; is created if it does not exist.
            private: Whether a new repository is private; many data sets forbid publishing models trained on
                them.
            revision: Branch to commit to; the main one by default.

        Raises:
            BundleError: If the Hub cannot be reached or refuses; log in with `hf auth login` first.
        """
        with tempfile.TemporaryDirectory(prefix="passerby-") as folder:
            self.save(Path(folder) / "bundle")
            return upload(
                Path(folder) / "bundle", repo_id, private=private, revision=revision, message=message
            )


def load(
    path_or_hub_id: str | Path, *, device: str | torch.device = "cpu", revision: str | None = None
) -> Bundle:
    """Load a bundle, ready to predict.

    The global random state is left as it was.

    Args:
        path_or_hub_id: A folder, a zip, or `owner/name` on the Hugging Face Hub.
        device: Device of the model, such as `cuda:0`; `auto` is a GPU if available, else the CPU.
        revision: Branch, tag or commit on the Hub; only for a Hub name.

    Raises:
        BundleError: If there is no bundle, it is damaged, was changed, is of a newer format, or cannot be
            downloaded.
        ConfigError: If this machine lacks the device.
    """
    if isinstance(device, str):
        check_device(device)
    path = locate(path_or_hub_id, revision)
    content = read_files(path)

    from passerby.bundle.content import rebuild_model

    try:
        model, config = rebuild_model(content, path), content.config
        preprocess = Preprocess.from_dict(config["preprocess"])
        metadata = upgrade(dict(config["metadata"]))
        bundle = Bundle(model, preprocess, tuple(config["thresholds"].values()), metadata)
    except (KeyError, TypeError, ValueError, AttributeError, DataError, ModelError, SchemaError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise BundleError(
            f"{path}: this version of passerby cannot rebuild the model ({reason}); load it with the version "
            "that wrote it (its config.json may name the commit), or train the model again"
        ) from error
    return bundle.to(device)
