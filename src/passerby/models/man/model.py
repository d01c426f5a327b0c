"""MAN: features of the person only, and a separate classifier for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models.backbone_model import BackboneArguments, StagedModel, share_arguments
from passerby.models.man.masking import mask_features, resize_masks
from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output

__all__ = ["MAN"]

_STAGES = {8: 2, 16: 3}


class MAN(StagedModel):
    """Multi-task attribute network: a person mask over the last map, then dense layers for each task.

    The backbone ends at stride 16 (ResNet-50: 1024 channels, 16×16 at 256×256). Its map is multiplied by the
    mask at the map's size, pooled (a mean over all cells, masked ones included), and passed to the tasks of
    the schema (`Attribute.task`). Each task has Dense-ReLU-Dropout twice, Dense-ReLU, Dense.

    Paper: Yaghoubi et al., *An attention-based deep learning model for multiple pedestrian attributes
    recognition*, 2020, sections 3.2–3.5 and 4.4. It does not state the widths of the dense layers. By
    default, its published code trains with all-ones masks; here the masks are those of the data. The paper's
    custom residual backbone is replaced by any timm network that can be cut into stages.

    Args:
        schema: The attributes, in the order of the logits; their `task` defines the classifiers.
        stride: Stride at which the backbone ends: 16, or 8 for the light variant of Table 7 (three residual
            blocks).
        hidden: Widths of the three dense layers of a task.
        multi_task: Separate dense layers for each task; otherwise, all attributes share them (Table 7, first
            row).
        masked: Multiply the features by the mask; otherwise, the model takes no masks as input.
        shared: See `BackboneModel`; the default `dropout` is 0.7, after the first two dense layers.

    Raises:
        ModelError: If the backbone has no stages, or an argument is out of its range.

    Shape:
        images: (N, 3, H, W) float; guidance: masks (N, 1, H, W), 1 on the person. An empty or missing mask
            counts as all ones.
        returns: logits (N, A); features (N, C, h, w) after the product; maps `before` and `after` the
            product, the root mean squares over the channels, and `mask` if there is one, (N, 1, h, w).
    """

    shared_arguments = share_arguments(dropout=0.7)
    has_maps = True

    def __init__(
        self,
        schema: AttributeSchema,
        *,
        stride: int = 16,
        hidden: Sequence[int] = (512, 512, 512),
        multi_task: bool = True,
        masked: bool = True,
        **shared: Unpack[BackboneArguments],
    ) -> None:
        if not isinstance(stride, int) or stride not in _STAGES:
            raise ModelError(f"expected a stride of 8 or 16, got {stride!r}")
        widths = hidden if isinstance(hidden, list | tuple) else ()
        if len(widths) != 3 or not all(isinstance(width, int) and width >= 1 for width in widths):
            raise ModelError(f"expected three widths of hidden layers, each at least 1, got {hidden!r}")
        super().__init__(schema, **shared)
        if masked:
            self.guidance = ("masks",)
            self.without_guidance = "the entire image counts as the person"
        self.stages = _STAGES[stride]
        self.backbone.keep_stages(self.stages)
        tasks = schema.group_by("task") if multi_task else {"all": tuple(range(len(schema)))}
        layers = (self.backbone.channels, *widths)
        self.classifiers = nn.ModuleDict(
            {
                task: _create_classifier(layers, len(members), self.dropout_probability)
                for task, members in tasks.items()
            }
        )
        columns = [i for members in tasks.values() for i in members]
        self._order = [columns.index(i) for i in range(len(schema))]
        task_of = {i: number for number, members in enumerate(tasks.values()) for i in members}
        self._task_of = [task_of[i] for i in range(len(schema))]

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Compute the logits."""
        features = images
        for stage in range(1, self.stages + 1):
            features = self.backbone.run_stage(stage, features)
        before, maps = features, {}
        if self.guidance and guidance is not None and guidance.masks is not None:
            cells = resize_masks(guidance.masks.float(), (features.shape[2], features.shape[3]))
            features = mask_features(features, cells)
            maps["mask"] = cells
        features = self.capture(features)
        pooled = features.mean((2, 3))  # (N, C)
        logits = torch.cat([classify(pooled) for classify in self.classifiers.values()], dim=1)
        maps |= {
            "before": before.detach().square().mean(1, keepdim=True).sqrt(),
            "after": features.detach().square().mean(1, keepdim=True).sqrt(),
        }
        return Output(logits[:, self._order], features=features, maps=maps)

    def explain(self, output: Output) -> Mapping[str, Tensor]:
        """The heat map of each attribute's task, `task`: regions that contribute to the task's logits.

        Paper: Fig. 7, whose method is not stated. Here it is Grad-CAM (Selvaraju et al., 2017) of the sum of
        the absolute logits of the task.

        Shape:
            output: from evaluation mode. Returns (N, A, h, w) float ≥ 0.
        """
        if output.features is None:
            raise ModelError("expected an output with features, as `forward` returns; got none")
        heat = []
        with torch.inference_mode(mode=False), torch.enable_grad():
            features = output.features.detach().clone()
            pooled = features.mean((2, 3)).requires_grad_()
            for classify in self.classifiers.values():
                (slope,) = torch.autograd.grad(classify(pooled).abs().sum(), pooled)
                weighted = torch.einsum("nc,nchw->nhw", slope, features) / features[0, 0].numel()
                heat.append(weighted.relu())
        tasks = torch.stack(heat, dim=1)  # (N, T, h, w)
        return {"task": tasks[:, self._task_of].detach()}


def _create_classifier(widths: Sequence[int], attributes: int, dropout: float) -> nn.Sequential:
    first, second, third, last = widths
    return nn.Sequential(
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(second, third),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(third, last),
        nn.ReLU(),
        nn.Linear(last, attributes),
    )
