"""`Bundle`: the only form of a trained model that the rest of the house knows."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from passerby._version import __version__
from passerby.bundle.card import render_card
from passerby.bundle.hub import download, upload
from passerby.bundle.storage import CARD, CONFIG, WEIGHTS, Content, encode_config, read_files, write_files
from passerby.data.normalise import normalise
from passerby.errors import BundleError, DataError, ImageError, ModelError, SchemaError
from passerby.images.decode import read_image
from passerby.images.placement import resize_image
from passerby.migration import upgrade
from passerby.models import AttributeModel, create_model
from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output, Prediction, Preprocess

__all__ = ["Bundle", "Picture", "load", "source_of"]

Picture: TypeAlias = str | Path | bytes | Image.Image | NDArray[np.uint8] | Tensor
"""What a bundle takes: a path, a file's bytes, a PIL image, an RGB array (H, W, 3), a tensor (3, H, W)."""


@dataclass(eq=False)
class Bundle:
    """A model, how its pictures are prepared, its thresholds and where it comes from.

    Args:
        model: Made by `create_model`; is put into evaluation mode.
        preprocess: How a picture becomes its input.
        thresholds: One number in [0, 1] an attribute, in schema order; 0.5 each if empty.
        metadata: Plain JSON values about the origin: `dataset`, `split`, `protocol`, `seed`, `val_scores` …

    Raises:
        BundleError: If the thresholds do not fit the schema, or the model was not made by `create_model`.

    Example:
        >>> from passerby.schema import Attribute
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
            raise BundleError("expected a model made by passerby.create_model: a bundle notes its arguments")
        self.thresholds = tuple(float(t) for t in self.thresholds) or (0.5,) * len(self.schema)
        if len(self.thresholds) != len(self.schema):
            raise BundleError(
                f"expected {len(self.schema)} thresholds, one an attribute, got {len(self.thresholds)}"
            )
        if not all(0 <= t <= 1 for t in self.thresholds):
            raise BundleError(f"expected thresholds in [0, 1], got {self.thresholds}")
        self.model.eval()

    @property
    def schema(self) -> AttributeSchema:
        """The attributes, in the order of the probabilities."""
        return self.model.schema

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def to(self, device: str | torch.device) -> Bundle:
        """Move the model to a device such as `cuda:0`, in place; `auto` is a GPU if there is one.

        Raises:
            BundleError: If there is no such device.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.model.to(device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise BundleError(f"no device {str(device)!r} here ({reason}); use 'cpu'") from error
        return self

    # ------------------------------------------------------------------ predicting

    def __call__(self, image: Picture) -> Prediction:
        """Predict the attributes of the person in one picture.

        Raises:
            ImageError: If the picture cannot be read or has another shape than `Picture` says.
        """
        probs = self.predict_batch(self.prepare(image)[None], warn=False)
        return self.describe(probs, [source_of(image)], missing=[self.model.guidance])[0]

    def open(self, image: Picture) -> Image.Image:
        """A picture of any kind as RGB.

        Raises:
            ImageError: If the picture cannot be read or has another shape than `Picture` says.
        """
        return read_image(_to_pil(image) if isinstance(image, Tensor | np.ndarray) else image)

    def prepare(self, image: Picture) -> Tensor:
        """Turn a picture into the uint8 input (3, H, W) of the network.

        Raises:
            ImageError: If the picture cannot be read or has another shape than `Picture` says.
        """
        pixels = resize_image(self.open(image), self.preprocess)  # (H, W, 3)
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())  # (3, H, W)

    def predict_batch(self, images: Tensor, guidance: Guidance | None = None, *, warn: bool = True) -> Tensor:
        """Probabilities of a batch of prepared pictures.

        A model that looks at masks or keypoints and gets none warns, and says what it does instead.

        Args:
            guidance: What the model's `guidance` names, if there is any.
            warn: Off for a caller who says it with the result, as `describe` does.

        Shape:
            images: (N, 3, H, W) uint8, of the size that `preprocess` says, on any device.
            returns: (N, A) float32 in [0, 1], on the model's device.

        Raises:
            ModelError: If the pictures have another shape or type.
        """
        return self._run(images, guidance, warn=warn).logits.float().sigmoid()

    def parse_batch(
        self, images: Tensor, guidance: Guidance | None = None, *, warn: bool = True
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Probabilities of a batch of prepared pictures, and the parsing class of each pixel.

        Args:
            guidance, warn: As for `predict_batch`.

        Returns:
            Probabilities, and the parsing maps by the name of the stage, the last of them the best.

        Shape:
            images: (N, 3, H, W) uint8, of the size that `preprocess` says, on any device.
            returns: (N, A) float32 in [0, 1]; maps (N, H, W) uint8, numbers in the model's `parsing_classes`.

        Raises:
            ModelError: If the model does not parse, or the pictures have another shape or type.
        """
        output = self._run(images, guidance, warn=warn, parse=True)
        maps = {stage: logits.argmax(1).to(torch.uint8) for stage, logits in output.parsing.items()}
        return output.logits.float().sigmoid(), maps

    def check_parses(self) -> None:
        """Refuse a model that makes no parsing maps.

        Raises:
            ModelError: If it is one; the message names a model that makes some.
        """
        if not self.model.parsing_classes:
            raise ModelError(f"a {self.model.name} model makes no parsing maps; mtms and da-har do")

    def check_images(self, images: Tensor) -> None:
        """Refuse a batch that is not of prepared pictures.

        Raises:
            ModelError: If it has another shape or type.
        """
        size = (3, self.preprocess.height, self.preprocess.width)
        if images.dtype != torch.uint8 or images.ndim != 4 or tuple(images.shape[1:]) != size:
            raise ModelError(
                f"expected uint8 pictures (N, {', '.join(map(str, size))}), got {images.dtype} "
                f"{tuple(images.shape)}; bundle.prepare makes them"
            )

    @torch.inference_mode()
    def _run(self, images: Tensor, guidance: Guidance | None, *, warn: bool, parse: bool = False) -> Output:
        self.check_images(images)
        self.model.eval()
        inputs = normalise(images.to(self.device, non_blocking=True), self.preprocess)
        guidance = Guidance() if guidance is None else guidance.to(self.device)
        for kind in self.model.guidance:
            if warn and getattr(guidance, kind) is None:
                warnings.warn(
                    f"{self.model.name} looks at {kind} and got none: {self.model.without_guidance}",
                    stacklevel=4,
                )
        output: Output = self.model.parse(inputs, guidance) if parse else self.model(inputs, guidance)
        return output

    def describe(
        self, probs: Tensor, sources: Sequence[str], *, missing: Sequence[Collection[str]] | None = None
    ) -> list[Prediction]:
        """Give probabilities (N, A) names: one `Prediction` a row.

        Args:
            missing: For each row the kinds of guidance, such as `masks`, that the picture came without; what
                the model did instead becomes a note of the prediction.
        """
        kinds = [()] * len(sources) if missing is None else missing
        return [
            Prediction(source, self.schema.names, tuple(row), self.thresholds, self.explain_missing(absent))
            for source, row, absent in zip(sources, probs.tolist(), kinds, strict=True)
        ]

    def explain_missing(self, missing: Collection[str]) -> tuple[str, ...]:
        """What the model does for a picture without some kinds of guidance, such as `masks`."""
        kinds = [kind for kind in self.model.guidance if kind in missing]
        return tuple(f"no usable {kind}: {self.model.without_guidance}" for kind in kinds)

    # ------------------------------------------------------------------ keeping

    def save(self, path: str | Path) -> None:
        """Write a folder, or one file if the path ends in `.zip`; an earlier bundle there is replaced.

        Numbers that are not finite are noted as null in config.json, which knows no others.

        Raises:
            BundleError: If something that is not a bundle is in the way, or the metadata is not plain JSON.
        """
        state = {k: v.detach().cpu().contiguous().clone() for k, v in self.model.state_dict().items()}
        weights = save_tensors(state)
        config: dict[str, Any] = {
            "passerby": __version__,
            "model": {"name": self.model.name, "arguments": dict(self.model.arguments)},
            "schema": self.schema.to_dict(),
            "preprocess": self.preprocess.to_dict(),
            "thresholds": dict(zip(self.schema.names, self.thresholds, strict=True)),
            "metadata": _without_nan(self.metadata),
        }
        card = render_card(
            self.schema,
            self.preprocess,
            model=self.model.name,
            arguments=self.model.arguments,
            thresholds=self.thresholds,
            metadata=config["metadata"],
            guidance=self.model.guidance,
            without_guidance=self.model.without_guidance,
        )
        files = {CONFIG: encode_config(config, weights), WEIGHTS: weights, CARD: card.encode()}
        write_files(Path(path), files)

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
            private: Whether a new repository is private; many data sets forbid to publish what they taught.
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
        device: Where the model shall be, such as `cuda:0`; `auto` is a GPU if there is one.
        revision: Branch, tag or commit on the Hub; only for a Hub name.

    Raises:
        BundleError: If there is no bundle, it is damaged, was changed, is of a newer format, or cannot be
            downloaded.
    """
    path = Path(path_or_hub_id).expanduser()
    if path.exists():
        if revision is not None:
            raise BundleError(f"{path} is a local bundle and has no revision {revision!r}; leave it out")
    else:
        path = download(str(path_or_hub_id), revision)
    content = read_files(path)
    try:
        bundle = _restore(content, path)
    except (KeyError, TypeError, ValueError, AttributeError, DataError, ModelError, SchemaError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise BundleError(
            f"{path}: this passerby cannot rebuild the model ({reason}); load it with the version that wrote "
            "it (its config.json may name the commit), or train the model again"
        ) from error
    return bundle.to(device)


def _restore(content: Content, path: Path) -> Bundle:
    config = content.config
    arguments = dict(config["model"]["arguments"])
    if reserved := {"name", "schema", "pretrained"} & set(arguments):
        raise BundleError(f"{path}: {', '.join(sorted(reserved))} must not be among the model's arguments")
    schema = AttributeSchema.from_dict(config["schema"])
    if tuple(config["thresholds"]) != schema.names:
        raise BundleError(f"{path}: the thresholds are of other attributes than the schema")
    with torch.random.fork_rng(devices=[]):
        model = create_model(config["model"]["name"], schema=schema, **arguments)
    try:
        state = load_tensors(content.weights)
    except SafetensorError as error:
        raise BundleError(f"{path}: {WEIGHTS} is no safetensors file ({error})") from error
    _check_state(state, model.state_dict(), path)
    model.load_state_dict(state)
    preprocess = Preprocess.from_dict(config["preprocess"])
    return Bundle(model, preprocess, tuple(config["thresholds"].values()), upgrade(dict(config["metadata"])))


def _check_state(given: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that are missing, unknown, or of another shape or type."""
    problems = [f"{name} is missing" for name in expected if name not in given]
    problems += [f"{name} is unknown" for name in given if name not in expected]
    for name in set(given) & set(expected):
        is_, should = given[name], expected[name]
        if is_.shape != should.shape or is_.dtype != should.dtype:
            problems.append(
                f"{name} is {is_.dtype} {tuple(is_.shape)} instead of {should.dtype} {tuple(should.shape)}"
            )
    if problems:
        raise BundleError(
            f"{path}: the weights do not fit the model in {len(problems)} tensors, for one {problems[0]}; "
            "the files belong to different bundles, or to another version of passerby or timm"
        )


def source_of(image: Picture) -> str:
    """What a prediction calls a picture: its path, or `<image>` when it came from memory."""
    if not isinstance(image, str | Path):
        return "<image>"
    return str(image).encode(errors="replace").decode()  # a file name need not be valid Unicode


def _to_pil(image: NDArray[np.uint8] | Tensor) -> Image.Image:
    kind, shape = str(image.dtype).removeprefix("torch."), tuple(image.shape)
    if isinstance(image, np.ndarray):
        if kind != "uint8" or len(shape) != 3 or shape[2] != 3:
            raise ImageError(f"expected an RGB array (H, W, 3) of uint8, got {kind} {shape}")
        return Image.fromarray(np.ascontiguousarray(image))
    if len(shape) != 3 or shape[0] != 3 or not (kind == "uint8" or image.is_floating_point()):
        raise ImageError(f"expected an RGB tensor (3, H, W) of uint8, or float in [0, 1], got {kind} {shape}")
    if image.is_floating_point():
        if not bool(((image >= 0) & (image <= 1)).all()):
            raise ImageError("expected a float tensor in [0, 1]; give it before mean and std are applied")
        image = (image * 255).round().to(torch.uint8)
    return Image.fromarray(image.detach().cpu().permute(1, 2, 0).contiguous().numpy())


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
