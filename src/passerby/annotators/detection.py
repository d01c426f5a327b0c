"""Masks and keypoints from torchvision's detectors, for the person in the centre of a crop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from passerby.annotators.base import Kind, Sample
from passerby.annotators.detector_weights import (
    build_detector,
    check_weights_path,
    download_detector,
    load_weights,
)
from passerby.annotators.networks import hash_files, prepare_network
from passerby.errors import ModelError

__all__ = ["KeypointRCNN", "MaskRCNN"]

_PERSON = 1
"""Label of persons in torchvision's detectors; 0 is the background."""

_MASK_THRESHOLD = 0.5
_COCO_KEYPOINTS = 17
_MIN_SIDE_PX = 32


class _Detector(ABC):
    """Base class of the detectors: loading, batches and the choice of the central person."""

    kind: Kind
    name: str
    needs: tuple[Kind, ...] = ()
    classes: tuple[str, ...] = ()
    _network_type: str
    """Required class of the network in torchvision.models.detection."""
    _architecture: str
    """Default architecture."""

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
        self._provenance: dict[str, Any]
        if str(weights) == "torchvision":
            network, self._provenance = download_detector(architecture, self._network_type, options)
        else:
            path = check_weights_path(weights)
            network = build_detector(architecture, self._network_type, options)
            load_weights(network, path, architecture)
            self._provenance = {"weights": path.name, "sha256": hash_files(path)}
        self._provenance = {"architecture": architecture, **self._provenance}
        self._device = prepare_network(network, device)
        self._network: Any = network

    def describe(self) -> dict[str, Any]:
        """All that the results depend on."""
        size_px = int(self._network.transform.min_size[-1])
        return {"method": self.name, **self._provenance, "min_score": self._min_score, "min_size_px": size_px}

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        """Annotate a batch of samples; see `Annotator`."""
        results: list[NDArray[Any] | None] = [None] * len(samples)
        # Images of different sizes would be padded to the largest, which changes the detections.
        groups: dict[tuple[int, int], list[int]] = {}
        for index, sample in enumerate(samples):
            groups.setdefault((sample.image.height, sample.image.width), []).append(index)
        for size, indices in groups.items():
            batch = [_to_tensor(samples[index].image).to(self._device) for index in indices]
            with torch.inference_mode():
                detections = self._network(batch)
            for index, found in zip(indices, detections, strict=True):
                results[index] = self._read(found, size)
        return results

    @abstractmethod
    def _read(self, found: Mapping[str, Tensor], size: tuple[int, int]) -> NDArray[Any] | None:
        """The result for a crop of a height and width, from the detections of the network."""

    def _choose(self, found: Mapping[str, Tensor], covers: Tensor) -> int | None:
        """Index of the most probable person that covers the centre; None if there is none."""
        fits = covers & (found["labels"] == _PERSON) & (found["scores"] >= self._min_score)
        if not bool(fits.any()):
            return None
        return int(torch.where(fits, found["scores"], -1.0).argmax())


class MaskRCNN(_Detector):
    """Masks of persons by a Mask R-CNN of torchvision.

    Of the persons with a sufficient score, the most probable one whose mask contains the central pixel of the
    crop (row h // 2, column w // 2) is used; if there is none, the most probable one whose box does.

    Args:
        weights: "torchvision" for the weights of torchvision (downloaded and verified by it), or the path
            of a state_dict of the architecture as `.safetensors` or `.pth`.
        architecture: Name of the network in torchvision's registry; None for `maskrcnn_resnet50_fpn_v2`.
        device: PyTorch device.
        min_score: Minimum score of a person, between 0 and 1.
        min_size_px: Length to which the shorter side of the crop is scaled for the network; None for
            torchvision's default (800).

    Raises:
        ModelError: If the architecture is unknown or predicts no masks, or the weights are missing, damaged
            or of another network.

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
        """All that the results depend on."""
        return {**super().describe(), "mask_threshold": _MASK_THRESHOLD}

    def _read(self, found: Mapping[str, Tensor], size: tuple[int, int]) -> NDArray[np.uint8] | None:
        masks = found["masks"][:, 0] >= _MASK_THRESHOLD  # (N, h, w)
        chosen = self._choose(found, masks[:, size[0] // 2, size[1] // 2])
        if chosen is None:
            chosen = self._choose(found, _boxes_cover_centre(found["boxes"], size))
        if chosen is None or not bool(masks[chosen].any()):
            return None
        mask: NDArray[np.uint8] = masks[chosen].to(torch.uint8).cpu().numpy()
        return mask


class KeypointRCNN(_Detector):
    """Keypoints of persons by a Keypoint R-CNN of torchvision.

    Of the persons with a sufficient score, the most probable one whose box contains the centre of the crop is
    used. The score of a keypoint is the sigmoid of the maximum of its heat map, which is not calibrated: it
    is useful for sorting and thresholds, but is not a probability.

    Args:
        weights: As for `MaskRCNN`.
        architecture: Name of the network in torchvision's registry; None for `keypointrcnn_resnet50_fpn`.
        device: PyTorch device.
        min_score: Minimum score of a person, between 0 and 1.
        min_size_px: As for `MaskRCNN`.

    Raises:
        ModelError: If the architecture is unknown or predicts no keypoints, or the weights are missing,
            damaged or of another network.
    """

    kind: Kind = "keypoints"
    name = "keypoint-rcnn"
    _network_type = "KeypointRCNN"
    _architecture = "keypointrcnn_resnet50_fpn"

    def _read(self, found: Mapping[str, Tensor], size: tuple[int, int]) -> NDArray[np.float32] | None:
        points = found["keypoints"]
        if points.shape[1:] != (_COCO_KEYPOINTS, 3):
            raise ModelError(
                f"expected a network for COCO's {_COCO_KEYPOINTS} keypoints, got {points.shape[1]}; "
                "choose another architecture"
            )
        chosen = self._choose(found, _boxes_cover_centre(found["boxes"], size))
        if chosen is None:
            return None
        # In torchvision (heatmaps_to_keypoints), (0, 0) is the corner of the first pixel; here, its centre.
        positions = points[chosen, :, :2] - 0.5
        scores = found["keypoints_scores"][chosen].sigmoid()
        result: NDArray[np.float32] = torch.cat((positions, scores[:, None]), dim=1).float().cpu().numpy()
        return result


def _to_tensor(image: Image.Image) -> Tensor:
    """An image as (3, h, w) in [0, 1]."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


def _boxes_cover_centre(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Whether boxes (N, 4), as x1, y1, x2, y2, contain the centre of an image of a height and width."""
    x, y = size[1] / 2, size[0] / 2
    return (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])
