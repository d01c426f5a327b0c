"""A bundle as a plain module of PyTorch: tensors in, a tensor out, ready to be traced or exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models import AttributeModel
from passerby.types import Guidance, Preprocess

__all__ = ["BundleModule"]


class BundleModule(nn.Module):
    """Normalisation, network and sigmoid of a bundle in one module; equals `Bundle.predict_batch`.

    `torch.jit.trace` and `torch.onnx.export` take it. It shares the weights with the bundle.

    Args:
        model: The network.
        preprocess: Its mean and standard deviation become part of the module.

    Example:
        >>> from passerby.models import create_model
        >>> model = create_model("baseline", schema=["Hat", "Bag"], backbone="test_resnet").eval()
        >>> module = BundleModule(model, Preprocess(64, 48))
        >>> module(torch.zeros(3, 3, 64, 48, dtype=torch.uint8)).shape
        torch.Size([3, 2])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: AttributeModel, preprocess: Preprocess) -> None:
        super().__init__()
        self.model = model
        for name in ("mean", "std"):  # of pixel values in [0, 255]
            values = 255 * torch.tensor(getattr(preprocess, name)).view(3, 1, 1)
            self.register_buffer(name, values.to(next(model.parameters()).device), persistent=False)

    def forward(self, images: Tensor, *guidance: Tensor) -> Tensor:
        """Probabilities of prepared images.

        Args:
            guidance: The auxiliary inputs in the order of `model.guidance`, or none of them: then the model
                uses its fallback.

        Shape:
            images: (N, 3, H, W) uint8 RGB, as from `Bundle.prepare`; guidance: as in `Guidance`.
            returns: (N, A) float32 in [0, 1].

        Raises:
            ModelError: If some of the auxiliary inputs are missing.
        """
        kinds = self.model.guidance
        if len(guidance) not in (0, len(kinds)):
            raise ModelError(
                f"expected the auxiliary inputs {', '.join(kinds) or '(none)'}, got {len(guidance)} tensors"
            )
        inputs = (images.float() - self.mean) / self.std
        logits: Tensor = self.model(inputs, Guidance(**dict(zip(kinds, guidance, strict=False)))).logits
        return logits.float().sigmoid()
