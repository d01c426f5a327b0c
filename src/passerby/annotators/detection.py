"""Masks and keypoints from torchvision's detectors: of all persons in a crop, the one in its middle."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from passerby.annotators.base import Kind, Sample
from passerby.errors import ModelError

__all__ = ["KeypointRCNN", "MaskRCNN", "hash_files", "place_network"]

_PERSON = 1
"""COCO's label of persons in torchvision's detectors; 0 is the background."""

_MASK_THRESHOLD = 0.5
_COCO_KEYPOINTS = 17
_MIN_SIDE_PX = 32


class _Detector(ABC):
    """What the two detectors share: loading, batches and the choice of the person in the middle."""

    kind: Kind
    name: str
    needs: tuple[Kind, ...] = ()
    classes: tuple[str, ...] = ()
    _network_type: str
    """Class of torchvision.models.detection that the network must be of."""
    _architecture: str
    """The network that is taken unless another is named."""

    def __init__(
        self,
        weights: str | Path = "torchvision",
        *,
        architecture: str | None = None,
        device: str = "cpu",
        min_score: float = 0.5,
        min_size_px: int | None = None,
    ) -> None:
        architecture = architecture or self._architecture
        if not 0 < min_score < 1:
            raise ModelError(f"expected min_score between 0 and 1, got {min_score}")
        if min_size_px is not None and min_size_px < _MIN_SIDE_PX:
            raise ModelError(f"expected min_size_px ≥ {_MIN_SIDE_PX} or None, got {min_size_px}")
        self._min_score = min_score
        options = {} if min_size_px is None else {"min_size": min_size_px}
        self._origin: dict[str, Any]
        if str(weights) == "torchvision":
            network, self._origin = _download(architecture, self._network_type, options)
        else:
            path = _checked_path(weights)
            network = _build(architecture, self._network_type, options)
            _load_weights(network, path, architecture)
            self._origin = {"weights": path.name, "sha256": hash_files(path)}
        self._origin = {"architecture": architecture, **self._origin}
        self._device = place_network(network, device)
        self._network: Any = network

    def describe(self) -> dict[str, Any]:
        """All that the answers depend on."""
        size_px = int(self._network.transform.min_size[-1])
        return {"method": self.name, **self._origin, "min_score": self._min_score, "min_size_px": size_px}

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        """Find it in a batch of samples; see `Annotator`."""
        answers: list[NDArray[Any] | None] = [None] * len(samples)
        # Pictures of unequal size would be padded to the largest, which changes what is found in the others.
        groups: dict[tuple[int, int], list[int]] = {}
        for index, sample in enumerate(samples):
            groups.setdefault((sample.image.height, sample.image.width), []).append(index)
        for size, indices in groups.items():
            batch = [_to_tensor(samples[index].image).to(self._device) for index in indices]
            with torch.inference_mode():
                detections = self._network(batch)
            for index, found in zip(indices, detections, strict=True):
                answers[index] = self._read(found, size)
        return answers

    @abstractmethod
    def _read(self, found: Mapping[str, Tensor], size: tuple[int, int]) -> NDArray[Any] | None:
        """The answer for a crop of that height and width, from what the network found in it."""

    def _choose(self, found: Mapping[str, Tensor], covers: Tensor) -> int | None:
        """Index of the likeliest person among the instances that cover the middle; None if there is none."""
        fits = covers & (found["labels"] == _PERSON) & (found["scores"] >= self._min_score)
        if not bool(fits.any()):
            return None
        return int(torch.where(fits, found["scores"], -1.0).argmax())


class MaskRCNN(_Detector):
    """Masks of persons by a Mask R-CNN of torchvision.

    Of the instances of class person with a sufficient score, the likeliest whose mask has the crop's middle
    pixel (row h // 2, column w // 2) is taken; if there is none, the likeliest whose box has the middle.

    Args:
        weights: "torchvision" for torchvision's own (downloaded and checked by it), or the path of a
            state_dict of the architecture as `.safetensors` or `.pth`.
        architecture: Name of the network in torchvision's registry; None for `maskrcnn_resnet50_fpn_v2`.
        device: Where it computes, as PyTorch has it.
        min_score: Least score of a person, between 0 and 1.
        min_size_px: Length to which the shorter side of the crop is scaled for the network; None for
            torchvision's own (800).

    Raises:
        ModelError: If the architecture is unknown or finds no masks, or the weights are missing, damaged or
            of another network.

    Example:
        >>> MaskRCNN("gone.pth")
        Traceback (most recent call last):
        passerby.errors.ModelError: no weights at gone.pth; give a .safetensors or .pth file or "torchvision"
    """

    kind: Kind = "masks"
    name = "mask-rcnn"
    _network_type = "MaskRCNN"
    _architecture = "maskrcnn_resnet50_fpn_v2"

    def describe(self) -> dict[str, Any]:
        """All that the answers depend on."""
        return {**super().describe(), "mask_threshold": _MASK_THRESHOLD}

    def _read(self, found: Mapping[str, Tensor], size: tuple[int, int]) -> NDArray[np.uint8] | None:
        masks = found["masks"][:, 0] >= _MASK_THRESHOLD  # (N, h, w)
        chosen = self._choose(found, masks[:, size[0] // 2, size[1] // 2])
        if chosen is None:
            chosen = self._choose(found, _boxes_cover_middle(found["boxes"], size))
        if chosen is None or not bool(masks[chosen].any()):
            return None
        mask: NDArray[np.uint8] = masks[chosen].to(torch.uint8).cpu().numpy()
        return mask


class KeypointRCNN(_Detector):
    """Keypoints of persons by a Keypoint R-CNN of torchvision.

    Of the instances with a sufficient score, the likeliest whose box has the crop's middle is taken. The
    score of a keypoint is the sigmoid of its heat map's highest value, which has no scale of its own: good
    to sort and to cut by, but no probability.

    Args:
        weights: As for `MaskRCNN`.
        architecture: Name of the network in torchvision's registry; None for `keypointrcnn_resnet50_fpn`.
        device: Where it computes, as PyTorch has it.
        min_score: Least score of a person, between 0 and 1.
        min_size_px: As for `MaskRCNN`.

    Raises:
        ModelError: If the architecture is unknown or finds no keypoints, or the weights are missing, damaged
            or of another network.

    Example:
        >>> KeypointRCNN("gone.pth")
        Traceback (most recent call last):
        passerby.errors.ModelError: no weights at gone.pth; give a .safetensors or .pth file or "torchvision"
    """

    kind: Kind = "keypoints"
    name = "keypoint-rcnn"
    _network_type = "KeypointRCNN"
    _architecture = "keypointrcnn_resnet50_fpn"

    def _read(self, found: Mapping[str, Tensor], size: tuple[int, int]) -> NDArray[np.float32] | None:
        points = found["keypoints"]
        if points.shape[1:] != (_COCO_KEYPOINTS, 3):
            raise ModelError(
                f"expected a network that finds COCO's {_COCO_KEYPOINTS} keypoints, got {points.shape[1]}; "
                "choose another architecture"
            )
        chosen = self._choose(found, _boxes_cover_middle(found["boxes"], size))
        if chosen is None:
            return None
        # In torchvision (heatmaps_to_keypoints) the corner of the top left pixel is (0, 0), here its middle.
        places = points[chosen, :, :2] - 0.5
        scores = found["keypoints_scores"][chosen].sigmoid()
        answer: NDArray[np.float32] = torch.cat((places, scores[:, None]), dim=1).float().cpu().numpy()
        return answer


def hash_files(*paths: Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the files' contents, one after the other.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "empty"
        >>> hash_files(path) if path.write_bytes(b"") else hash_files(path, path)
        'e3b0c44298fc1c14'
    """
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def place_network(network: nn.Module, device: str) -> torch.device:
    """Make a network ready to answer, on a device; ModelError if there is no such device."""
    try:
        place = torch.device(device)
        network.eval().requires_grad_(False).to(place)
    except (AssertionError, RuntimeError) as error:  # torch raises both when CUDA is missing
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"the device {device!r} cannot be used ({reason}); choose cpu or one that is there"
        ) from error
    return place


def _to_tensor(image: Image.Image) -> Tensor:
    """An image as (3, h, w) in [0, 1]."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


def _boxes_cover_middle(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Which boxes (N, 4), as x1, y1, x2, y2, have the middle of a picture of that height and width."""
    x, y = size[1] / 2, size[0] / 2
    return (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])


def _build(architecture: str, network_type: str, options: Mapping[str, Any]) -> nn.Module:
    """A network of torchvision's registry, checked to be of the type that is wanted."""
    from torchvision import models

    names = models.list_models(include=[f"{network_type.lower()}*"])
    if architecture not in models.list_models():
        near = get_close_matches(architecture, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(names)}"
        raise ModelError(f"torchvision has no architecture {architecture!r}; {hint}")
    try:
        network = models.get_model(architecture, **{"weights": None, "weights_backbone": None, **options})
    except TypeError:  # no detector: it does not take the options
        network = None
    if not isinstance(network, nn.Module) or not isinstance(network, getattr(models.detection, network_type)):
        raise ModelError(
            f"expected a {network_type}, {architecture} is none; choose one of {', '.join(names)}"
        )
    return network


def _download(
    architecture: str, network_type: str, options: Mapping[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    """A network with torchvision's own weights, and the name of their file, which has their hash."""
    from torchvision import models

    with torch.device("meta"):
        _build(architecture, network_type, options)  # a wrong name is told before anything is downloaded
    try:
        weights = models.get_model_weights(architecture).DEFAULT
        network = _build(architecture, network_type, {**options, "weights": weights})
    except Exception as error:  # URLError, OSError, RuntimeError (hash), ValueError (no weights), …
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise ModelError(
            f"torchvision's weights of {architecture} could not be had ({reason}); go online, or give "
            "the path of a .safetensors or .pth file with them as weights"
        ) from error
    return network, {"weights": Path(weights.url).name}


def _checked_path(weights: str | Path) -> Path:
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ModelError(f'no weights at {path}; give a .safetensors or .pth file or "torchvision"')
    if path.suffix not in (".safetensors", ".pth"):
        raise ModelError(f"expected weights as .safetensors or .pth, got {path.name}; convert or rename them")
    return path


def _load_weights(network: nn.Module, path: Path, architecture: str) -> None:
    """Load a state_dict that must fit whole."""
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors and torch raise a dozen kinds
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise ModelError(
            f"{path} is damaged or holds more than tensors ({reason}); fetch it again"
        ) from error
    wrong = _first_wrong_key(network, state)
    if wrong is not None:
        raise ModelError(
            f"{path.name} does not fit {architecture} ({wrong}); expected the state_dict of torchvision's "
            f"{architecture}"
        )
    if not any(key.endswith("num_batches_tracked") for key in state):
        # Saved with frozen normalisation, as torchvision's own of 2019, to which it gives an epsilon of 0.
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0


def _first_wrong_key(network: nn.Module, state: Any) -> str | None:
    """Load a state_dict; what is wrong with its first wrong key, None if it fits."""
    if not isinstance(state, Mapping):
        return f"it holds a {type(state).__name__}, not a dictionary of tensors"
    try:
        # The networks themselves rename the keys of older files, so only they can tell what is missing.
        keys = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        return str(error).strip().splitlines()[-1].strip()
    if keys.missing_keys:
        return f"{len(keys.missing_keys)} tensors are missing, first {keys.missing_keys[0]}"
    if keys.unexpected_keys:
        return f"{len(keys.unexpected_keys)} tensors are unknown, first {keys.unexpected_keys[0]}"
    return None
