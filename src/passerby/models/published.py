"""Published sizes and costs of the models, one line per figure, with the settings to count them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from passerby.models import list_arguments

__all__ = ["DEFAULT_ATTRIBUTES", "DEFAULT_SIZE_PX", "PUBLISHED", "Setting", "select_settings"]

DEFAULT_ATTRIBUTES = 35
DEFAULT_SIZE_PX = (224, 224)


@dataclass(frozen=True, slots=True)
class Setting:
    """A model on a backbone with its arguments, and the figures of a paper for it.

    Args:
        model: A key of `passerby.models.MODELS`.
        backbone: Name of a timm model; empty for a model that takes none.
        attributes: Outputs of the classifier that the paper counted.
        size_px: Height and width of the input, in pixels.
        parameters: Published number of parameters, in millions; None if there is none.
        gmacs: Published multiply-accumulates of one image, in 10⁹; None if there is none.
        source: Paper and table.
        arguments: Further arguments of that model, for example of an ablation.
        variant: The paper's name for the model with these arguments, if it differs from the model's name.
        parsing: Also count the parsing maps, which a prediction does not need.
    """

    model: str
    backbone: str
    attributes: int = DEFAULT_ATTRIBUTES
    size_px: tuple[int, int] = DEFAULT_SIZE_PX
    parameters: float | None = None
    gmacs: float | None = None
    source: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    variant: str = ""
    parsing: bool = False


_SSPNET: Mapping[str, Mapping[str, Any]] = {
    "SSPNet-R": {"selection": "fixed", "locations": "regions", "smoothing": False},
    "SSPNet-K": {"selection": "fixed", "locations": "keypoints"},
    "SSPNet-S": {"selection": "fixed", "locations": "sparse"},
}
"""The three kinds of prior locations at the scales of section 4.2, as used for prediction. In training, AFSS
has classifiers and offsets at the other scales as well."""

_SSPNET_COSTS = (
    ("resnet50", (("SSPNet-R", 24.73, 2.92), ("SSPNet-K", 26.27, 3.31), ("SSPNet-S", 26.30, 3.32))),
    (
        "swin_small_patch4_window7_224",
        (("SSPNet-R", 49.96, 8.13), ("SSPNet-K", 52.43, 8.65), ("SSPNet-S", 52.44, 8.65)),
    ),
)

_MTMS: tuple[tuple[str, Mapping[str, Any], bool], ...] = (
    ("MTMS", {}, False),
    ("MTMS, parsing shown", {}, True),
    ("MTMS, S2", {"attention": False}, False),
    ("MTMS, S1", {"attention": False, "predict_from": "stage1"}, False),
    ("MTMS, multi-task", {"attention": False, "hierarchical": False}, False),
)
"""The rows of Table 1, as used for prediction."""

PUBLISHED: tuple[Setting, ...] = (
    # Table 2 counts the primary networks as distributed by timm and torchvision: with 1000 ImageNet classes.
    Setting("baseline", "resnet50", 1000, (224, 224), 25.6, None, "DIAA, Table 2"),
    Setting("baseline", "densenet121", 1000, (224, 224), 8.1, None, "DIAA, Table 2"),
    Setting("baseline", "resnet101", 1000, (224, 224), 44.7, None, "DIAA, Table 2"),
    Setting("baseline", "resnet152", 1000, (224, 224), 60.4, None, "DIAA, Table 2"),
    Setting("baseline", "densenet201", 1000, (224, 224), 20.2, None, "DIAA, Table 2"),
    # "GFLOPs" of Table 3 are multiply-accumulates. The text states inputs of 256×192, but the figures of both
    # backbones match 256×128.
    Setting("baseline", "resnet50", 26, (256, 128), 23.56, 2.69, "SSPNet, Table 3"),
    Setting("baseline", "resnet50", 26, (256, 192), 23.56, 2.69, "SSPNet, Table 3, size as stated"),
    Setting("baseline", "swin_small_patch4_window7_224", 26, (256, 128), 48.86, 7.74, "SSPNet, Table 3"),
    # Stated without the number of classes. Its data sets have 14 (WIDER-Attribute) and 51 (RAP), which match
    # the ratio of the two figures; the figures themselves match the 1000 of ImageNet.
    *(
        Setting(model, "resnet101", classes, (224, 224), parameters, None, source)
        for classes, source in (
            (14, "Da-HAR, complexity analysis"),
            (1000, "Da-HAR, with 1000 classes"),
        )
        for model, parameters in (("baseline", 45.4), ("da-har", 52.4))
    ),
    # The paper gives no figure for the full model; these are the primary networks of its Table 2.
    Setting("diaa", "resnet50", 14, (224, 224)),
    Setting("diaa", "densenet121", 14, (224, 224)),
    Setting("diaa", "resnet101", 14, (224, 224)),
    Setting("diaa", "resnet152", 14, (224, 224)),
    Setting("diaa", "densenet201", 14, (224, 224)),
    *(
        Setting("sspnet", backbone, 26, size, parameters, gmacs, source, _SSPNET[variant], variant)
        for backbone, costs in _SSPNET_COSTS
        for size, source in (
            ((256, 128), "SSPNet, Table 3"),
            ((256, 192), "SSPNet, Table 3, size as stated"),
        )
        for variant, parameters, gmacs in costs
    ),
    # The paper gives no figures. Its map of 16×16×1024 is that of ResNet-50 before its last stage.
    Setting("man", "resnet50", 35, (256, 256), variant="MAN"),
    Setting("man", "resnet50", 35, (128, 128), arguments={"stride": 8}, variant="MAN, light"),
    # The paper gives times only.
    *(Setting("mtms", "resnet50", 35, (256, 128), arguments=a, variant=v, parsing=p) for v, a, p in _MTMS),
    # As in recipes/passerby.
    Setting("passerby", "mobilenetv2_100", 35, (256, 192)),
)
"""Settings of the models on the backbones of their papers or recipes."""


def select_settings(
    models: tuple[str, ...],
    *,
    backbone: str | None = None,
    size_px: tuple[int, int] | None = None,
    attributes: int | None = None,
) -> tuple[Setting, ...]:
    """Settings to count: those of the papers, or custom ones.

    With neither a size nor a number of attributes, the result has the settings of the papers; a model without
    a published setting on that backbone uses 224×224 and 35 attributes. With either, each model is counted
    with it, on the given backbone or on those of its paper. Without a paper, a model uses its default
    backbone.

    Example:
        >>> [s.source for s in select_settings(("baseline",), backbone="resnet152")]
        ['DIAA, Table 2']
        >>> select_settings(("baseline",), backbone="convnext_tiny", size_px=(256, 192))[0].size_px
        (256, 192)
    """
    found: list[Setting] = []
    for model in models:
        known = [s for s in PUBLISHED if s.model == model and backbone in (None, s.backbone)]
        if known and size_px is None and attributes is None:
            found += known
            continue
        custom = (attributes or DEFAULT_ATTRIBUTES, size_px or DEFAULT_SIZE_PX)
        others = [s for s in PUBLISHED if s.model == model]
        variants = {s.variant: (s.arguments, s.parsing) for s in known or others} or {"": ({}, False)}
        backbones = [s.backbone for s in known] or [list_arguments(model).get("backbone", "")]
        for name in [backbone] if backbone else list(dict.fromkeys(backbones)):
            for variant, (arguments, parsing) in variants.items():
                same = [
                    s
                    for s in known
                    if (s.backbone, s.variant, s.attributes, s.size_px) == (name, variant, *custom)
                ]
                found += same or [
                    Setting(model, name, *custom, arguments=arguments, variant=variant, parsing=parsing)
                ]
    return tuple(found)
