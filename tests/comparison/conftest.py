"""Synthetic scores of localisation, without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from passerby.evaluation.localization.samples import MEASURES, LocalizationSamples
from passerby.evaluation.localization.scores import LocalizationProtocol, LocalizationScores

ATTRIBUTES = ("Hat", "[b]Boots")
PROTOCOL: dict[str, Any] = {
    "truth": "parsing",
    "method": "grad-cam-p",
    "binarization": "max:0.5",
    "boxes": "outer",
    "min_area_px": 9,
    "min_samples": 2,
    "only_predicted": False,
    "insertion_deletion": 0,
}
METADATA: dict[str, Any] = {
    "model": "baseline",
    "variant": "sb",
    "backbone": "net",
    "pretraining": "imagenet",
    "seed": 0,
    "epochs": 3,
    "dataset": "peta",
    "partition": "random-0",
    "selection": "best mA on val",
    "ema": None,
    "environment": {"commit": "abc"},
}

Make = Callable[..., LocalizationScores]


def make_scores(
    ious: Mapping[str, Sequence[float]],
    *,
    probs: Mapping[str, Sequence[float]] | None = None,
    measures: Mapping[str, Sequence[float]] | None = None,
    identities: Sequence[str | None] | None = None,
    protocol: Mapping[str, Any] | None = None,
    exclude_from_mean: tuple[str, ...] = (),
    input_size: tuple[int, int] = (16, 12),
    **metadata: Any,
) -> LocalizationScores:
    """Scores of a model with these box IoU.

    Args:
        ious: By attribute, of images 0, 1, 2, …; that of a uniform map is 0.1, that of the mask half of it.
        probs: As `ious`, by default the same numbers.
        measures: Of all samples, attribute after attribute; what is not given follows from the IoU.
        identities: Of the images.
    """
    pairs = [(a, i) for a, name in enumerate(ATTRIBUTES) for i in range(len(ious.get(name, ())))]
    iou = np.array([ious[ATTRIBUTES[a]][i] for a, i in pairs], float)
    found = {name: np.full(len(pairs), np.nan) for name in MEASURES}
    found |= {"box_iou": iou, "mask_iou": iou / 2, "pointing": (iou > 0.5) * 1.0, "box_energy": iou / 4}
    found |= {"empty": (iou == 0) * 1.0, "box_share": np.full(len(pairs), 0.1), "mask_energy": iou / 5}
    found |= {"mask_share": np.full(len(pairs), 0.05)}
    found |= {name: np.array(each, float) for name, each in (measures or {}).items()}
    given = ious if probs is None else probs
    return LocalizationScores(
        dataset="ccp",
        partition="own",
        split="test",
        protocol=LocalizationProtocol(**{**PROTOCOL, **(protocol or {})}),
        names={"Hat": ("hat",), "[b]Boots": ("boots",)},
        exclude_from_mean=exclude_from_mean,
        of_paper=("Hat",),
        samples=LocalizationSamples(
            ATTRIBUTES,
            np.array([a for a, _ in pairs], np.int64),
            [f"{i}.png" for _, i in pairs],
            [None if identities is None else identities[i] for _, i in pairs],
            np.array([i for _, i in pairs], np.int64),
            np.array([given[ATTRIBUTES[a]][i] for a, i in pairs], float),
            found,
        ),
        too_small={},
        input_size=input_size,
        resamples=2,
        seed=0,
        device="cpu",
        seconds=1.0,
        metadata={**METADATA, **metadata},
    )


@pytest.fixture
def make() -> Make:
    """`make(ious, seed=…, variant=…, …)`, see `make_scores`."""
    return make_scores
