"""Parsing maps and keypoints from networks of the Hugging Face Hub, or from a local folder in its layout."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from passerby.annotators.base import Kind, Sample
from passerby.annotators.networks import hash_files, prepare_network
from passerby.errors import ModelError
from passerby.io import state_reason
from passerby.parsing import COARSE_CLASSES, LIP_CLASSES, LIP_TO_COARSE

__all__ = ["DEFAULT_SEGFORMER", "DEFAULT_VITPOSE", "SegFormer", "ViTPose"]

DEFAULT_SEGFORMER = "mattmdjaga/segformer_b2_clothes"
"""A SegFormer trained on the ATR data set."""

DEFAULT_VITPOSE = "usyd-community/vitpose-base-simple"
"""A ViTPose trained on COCO."""

_COCO_KEYPOINTS = 17

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")

_CARRIED = COARSE_CLASSES.index("carried")


def _plain(label: str) -> str:
    """Normalise a label, because networks spell them differently."""
    return re.sub(r"[\s_-]", "", label).lower()


_LIP_NUMBERS = {
    **{_plain(name): number for number, name in enumerate(LIP_CLASSES)},
    "bag": 0,  # carried objects are background in Look-Into-Person
    # Look-Into-Person has no belts. Most are on the waistband of trousers, so they become pants; on a
    # dress or a coat, a stripe of few pixels is wrong.
    "belt": LIP_CLASSES.index("Pants"),
}
"""Number in Look-Into-Person of each known label: those of Look-Into-Person and of ATR."""


class SegFormer:
    """Parsing maps by a SegFormer with the labels of ATR or Look-Into-Person.

    Labels are matched by name, ignoring case, hyphens, underscores and spaces. A sample has no map if no
    pixel belongs to the person (bags do not count).

    Args:
        weights: Name on the Hub (`DEFAULT_SEGFORMER`), or a local folder with `config.json`,
            `model.safetensors` and `preprocessor_config.json`.
        classes: "lip" for the 20 classes of Look-Into-Person, with bags as background; "coarse" for six
            classes, with bags as carried.
        device: PyTorch device.

    Raises:
        ModelError: If transformers is not installed, the weights are not available, or belong to another
            network or other labels.

    Example:
        >>> SegFormer("./nowhere")
        Traceback (most recent call last):
        passerby.errors.ModelError: no folder ./nowhere; expected one, or a name on the Hub
    """

    kind: Kind = "parsing"
    name = "segformer"
    needs: tuple[Kind, ...] = ()
    classes: tuple[str, ...]

    def __init__(
        self,
        weights: str = DEFAULT_SEGFORMER,
        *,
        classes: Literal["lip", "coarse"] = "lip",
        device: str = "cpu",
    ) -> None:
        if classes not in ("lip", "coarse"):
            raise ModelError(f'expected classes "lip" or "coarse", got {classes!r}')
        self.classes = LIP_CLASSES if classes == "lip" else COARSE_CLASSES
        self._network, self._processor, self._provenance = _load(
            weights, "Segformer", "ForSemanticSegmentation"
        )
        labels = self._network.config.id2label
        names = [str(labels[number]) for number in range(len(labels))]
        self._lip = _map_to_lip(names, weights)
        self._table = self._lip if classes == "lip" else _to_coarse(names, self._lip)
        size = self._processor.size
        if not self._processor.do_resize or not (size.get("height") and size.get("width")):
            raise ModelError(
                f"expected {weights} to resize images to one height and width, got {dict(size)}; "
                'correct "size" and "do_resize" in its preprocessor_config.json'
            )
        self._device = prepare_network(self._network, device)

    def describe(self) -> dict[str, Any]:
        """All that the results depend on."""
        kind = "lip" if self.classes == LIP_CLASSES else "coarse"
        return {"method": self.name, **self._provenance, "classes": kind, "table": self._table.tolist()}

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        """Predict the parsing maps of a batch of samples."""
        if not samples:
            return []
        images = [sample.image.convert("RGB") for sample in samples]
        inputs = self._processor(images=images, return_tensors="pt").to(self._device)
        sizes = [(image.height, image.width) for image in images]
        with torch.inference_mode():
            outputs = self._network(pixel_values=inputs["pixel_values"])
            # Resizes the scores, not the classes, to the size of the crop, for smooth borders.
            maps = self._processor.post_process_semantic_segmentation(outputs, target_sizes=sizes)
        numbers = [found.cpu().numpy() for found in maps]
        return [self._table[found] if self._lip[found].any() else None for found in numbers]


class ViTPose:
    """Keypoints by a ViTPose, with the full crop as the box of the person.

    A score is the maximum of the heat map of a keypoint, clipped to [0, 1]. A keypoint of score 0 is at (0,
    0); a sample with no other keypoints has none.

    Args:
        weights: Name on the Hub (`DEFAULT_VITPOSE`), or a local folder with `config.json`,
            `model.safetensors` and `preprocessor_config.json`.
        device: PyTorch device.

    Raises:
        ModelError: If transformers is not installed, the weights are not available, or belong to another
            network or other keypoints than the 17 of COCO.
    """

    kind: Kind = "keypoints"
    name = "vitpose"
    needs: tuple[Kind, ...] = ()
    classes: tuple[str, ...] = ()

    def __init__(self, weights: str = DEFAULT_VITPOSE, *, device: str = "cpu") -> None:
        self._network, self._processor, self._provenance = _load(weights, "VitPose", "ForPoseEstimation")
        count = int(self._network.config.num_labels)
        if count != _COCO_KEYPOINTS:
            raise ModelError(
                f"expected a network for COCO's {_COCO_KEYPOINTS} keypoints, {weights} predicts {count}; "
                f"choose another one, such as {DEFAULT_VITPOSE}"
            )
        self._experts = int(self._network.config.backbone_config.num_experts)
        self._device = prepare_network(self._network, device)

    def describe(self) -> dict[str, Any]:
        """All that the results depend on."""
        return {"method": self.name, **self._provenance}

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        """Predict the keypoints of a batch of samples."""
        if not samples:
            return []
        images = [sample.image.convert("RGB") for sample in samples]
        boxes = [[[0.0, 0.0, float(image.width), float(image.height)]] for image in images]
        inputs = self._processor(images, boxes=boxes, return_tensors="pt").to(self._device)
        options: dict[str, torch.Tensor] = {}
        if self._experts > 1:  # ViTPose+: the first expert is COCO's
            options["dataset_index"] = torch.zeros(len(images), dtype=torch.long, device=self._device)
        with torch.inference_mode():
            outputs = self._network(pixel_values=inputs["pixel_values"], **options)
        poses = self._processor.post_process_pose_estimation(outputs, boxes=boxes)
        return [_read_pose(pose[0]) for pose in poses]


def _read_pose(pose: dict[str, torch.Tensor]) -> NDArray[np.float32] | None:
    # The processor maps the first cell of a heat map to the centre of the first pixel, as required here.
    positions, scores = pose["keypoints"].float(), pose["scores"].float().reshape(-1)
    # A flat heat map has no peak to refine: its position is arbitrary, even NaN.
    found = (scores > 0) & positions.isfinite().all(dim=1)
    if not bool(found.any()):
        return None
    points = torch.cat((positions, scores.clamp(0, 1)[:, None]), dim=1)
    result: NDArray[np.float32] = torch.where(found[:, None], points, 0.0).numpy()
    return result


def _map_to_lip(labels: Sequence[str], weights: str) -> NDArray[np.uint8]:
    """Class of Look-Into-Person of each label of a network."""
    unknown = [label for label in labels if _plain(label) not in _LIP_NUMBERS]
    if unknown:
        known = ", ".join([*LIP_CLASSES, "Bag", "Belt"])
        raise ModelError(
            f"{weights} has unknown labels: {', '.join(unknown)}; expected some of {known} "
            '(choose another network, or correct "id2label" in its config.json)'
        )
    return np.array([_LIP_NUMBERS[_plain(label)] for label in labels], np.uint8)


def _to_coarse(labels: Sequence[str], lip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Coarse class of each label of a network, from its class of Look-Into-Person."""
    table = np.array(LIP_TO_COARSE, np.uint8)[lip]
    table[[_plain(label) == "bag" for label in labels]] = _CARRIED
    return table


def _load(weights: str, family: str, task: str) -> tuple[Any, Any, dict[str, Any]]:
    """Load a network of transformers and its image processor; return them with their provenance."""
    folder = _local_folder(weights)
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise ModelError("this annotator needs transformers; install passerby[annotate]") from error
    source = str(folder or weights)
    try:
        config, _ = getattr(transformers, f"{family}Config").get_config_dict(source)
        found = config.get("model_type")
        if found is None:
            raise FileNotFoundError("no config.json that names a model_type")
        if found != family.lower():
            raise ModelError(f"expected a {family.lower()}, {weights} is a {found}; choose another network")
        network, report = getattr(transformers, family + task).from_pretrained(
            source, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        processor = getattr(transformers, f"{family}ImageProcessor").from_pretrained(source)
    except ModelError:
        raise
    except Exception as error:  # the Hub and transformers raise many kinds
        reason = state_reason(error)
        raise ModelError(
            f"{weights} could not be loaded ({reason}); check the connection, or give a local folder with "
            f"config.json, model.safetensors and preprocessor_config.json of a {family}{task}"
        ) from error
    wrong = sorted(str(key) for kind in ("missing_keys", "mismatched_keys") for key in report.get(kind, ()))
    if wrong:
        raise ModelError(
            f"the weights of {weights} lack {len(wrong)} tensors of a {family}{task}, first {wrong[0]}; "
            "expected weights that match config.json"
        )
    return (
        network,
        processor,
        {"architecture": family + task, **_describe_provenance(weights, folder, network)},
    )


def _local_folder(weights: str) -> Path | None:
    """The local folder, None for a name on the Hub."""
    folder = Path(weights).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_NAME.fullmatch(weights) or weights.startswith(".") or folder.exists():
        raise ModelError(f"no folder {weights}; expected one, or a name on the Hub")
    return None


def _describe_provenance(weights: str, folder: Path | None, network: Any) -> dict[str, Any]:
    """The weights and settings of a network."""
    if folder is None:
        return {"weights": weights, "revision": getattr(network.config, "_commit_hash", None)}
    settings = [folder / name for name in ("config.json", "preprocessor_config.json")]
    return {
        "weights": folder.resolve().name,
        "sha256": hash_files(*sorted(folder.glob("model*.safetensors"))),
        "settings_sha256": hash_files(*(path for path in settings if path.is_file())),
    }
