"""Run the model of a bundle on prepared batches."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from passerby.errors import ModelError
from passerby.types import Guidance, Output, Preprocess

if TYPE_CHECKING:
    from torch import Tensor

    from passerby.models import AttributeModel

__all__ = ["check_batch", "check_parsing", "run_batch"]


def run_batch(
    model: AttributeModel,
    preprocess: Preprocess,
    images: Tensor,
    guidance: Guidance | None,
    *,
    warn: bool,
    parse: bool = False,
) -> Output:
    """Normalise prepared images and run the model on them, without gradients, on the model's device.

    Args:
        warn: Warn the caller's caller if the model takes auxiliary inputs that are not given.
        parse: Compute parsing maps as well, see `AttributeModel.parse`.

    Shape:
        images: (N, 3, H, W) uint8, of the size in `preprocess`, on any device.

    Raises:
        ModelError: As `check_batch`.
    """
    import torch

    from passerby.data.normalise import normalise

    check_batch(images, preprocess)
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode():
        inputs = normalise(images.to(device, non_blocking=True), preprocess)
        guidance = Guidance() if guidance is None else guidance.to(device)
        for kind in model.guidance:
            if warn and getattr(guidance, kind) is None:
                warnings.warn(
                    f"{model.name} takes {kind} as input and got none: {model.without_guidance}", stacklevel=3
                )
        output: Output = model.parse(inputs, guidance) if parse else model(inputs, guidance)
    return output


def check_batch(images: Tensor, preprocess: Preprocess) -> None:
    """Refuse a batch that does not consist of prepared images.

    Shape:
        images: (N, 3, H, W) uint8, of the size in `preprocess`.

    Raises:
        ModelError: If the batch has another shape or type.
    """
    size = (3, preprocess.height, preprocess.width)
    dtype = str(images.dtype)
    if dtype != "torch.uint8" or images.ndim != 4 or tuple(images.shape[1:]) != size:
        raise ModelError(
            f"expected uint8 images (N, {', '.join(map(str, size))}), got {dtype} "
            f"{tuple(images.shape)}; bundle.prepare makes them"
        )


def check_parsing(model: AttributeModel) -> None:
    """Refuse a model that computes no parsing maps.

    Raises:
        ModelError: If the model makes none; the message names the models that do.
    """
    if not model.parsing_classes:
        from passerby.models import MODELS

        models = ", ".join(name for name, kind in MODELS.items() if kind.has_parsing)
        raise ModelError(f"a {model.name} model computes no parsing maps; models that do: {models}")
