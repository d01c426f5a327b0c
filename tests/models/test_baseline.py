from __future__ import annotations

from typing import Any

import pytest
import torch

from passerby.errors import ModelError
from passerby.models import Baseline, create_model, list_arguments
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Guidance

SCHEMA = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "carries a bag")))

CONTRACT_CASES: dict[str, dict[str, Any]] = {"default": {"dropout": 0.3}}
"""Arguments for `test_contract.py`."""


def small(**arguments: object) -> Baseline:
    model = create_model("baseline", schema=SCHEMA, backbone="test_resnet", **arguments)
    assert isinstance(model, Baseline)
    return model


def test_logits_are_the_classifier_of_the_mean_features() -> None:
    model = small().eval()
    output = model(torch.randn(2, 3, 64, 48))
    assert output.features is not None
    n, c, h, w = output.features.shape
    for i in range(n):
        for a in range(len(SCHEMA)):
            total = model.classifier.bias[a].item()
            for k in range(c):
                mean = sum(output.features[i, k, y, x].item() for y in range(h) for x in range(w)) / (h * w)
                total += model.classifier.weight[a, k].item() * mean
            assert output.logits[i, a].item() == pytest.approx(total, abs=1e-4)


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    model = small(dropout=0.5)
    features = torch.ones(1, model.backbone.channels)
    assert (model.train().dropout(features) == 0).any()
    assert torch.equal(model.eval().dropout(features), features)


def test_guidance_is_not_used() -> None:
    model, images = small().eval(), torch.randn(1, 3, 64, 48)
    with_mask = model(images, Guidance(masks=torch.zeros(1, 1, 64, 48)))
    assert torch.equal(with_mask.logits, model(images).logits)


def test_default_backbone_is_resnet50() -> None:
    assert list_arguments("baseline")["backbone"] == "resnet50"


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_refuses_dropout_out_of_range(dropout: float) -> None:
    with pytest.raises(ModelError, match=r"dropout in \[0, 1\)|plain JSON"):
        small(dropout=dropout)


def test_arguments_are_complete_copies() -> None:
    given = {"output_stride": 32}
    model = small(backbone_arguments=given)
    given["output_stride"] = 8
    assert model.name == "baseline"
    assert model.arguments == {
        "backbone": "test_resnet",
        "dropout": 0.0,
        "backbone_arguments": {"output_stride": 32},
    }


def test_refusals_of_create_model() -> None:
    with pytest.raises(ModelError, match=r"no model 'baselin'; choose one of .*did you mean baseline"):
        create_model("baselin", schema=SCHEMA)
    with pytest.raises(ModelError, match="plain JSON values"):
        small(backbone_arguments={"act_layer": torch.nn.ReLU})
