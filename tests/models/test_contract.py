"""One contract for every model: a new one is added to `SMALL` and gets all of these tests."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models import MODELS, AttributeModel, create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Guidance

SIZE = (64, 48)  # height, width
SCHEMA = AttributeSchema(
    "contract",
    tuple(
        Attribute(f"a{i}", f"has property {i}", split=split)
        for i, split in enumerate(("bottom", "all", "head", "torso", "head"))
    ),
)

SMALL: dict[str, dict[str, Any]] = {
    "baseline": {"backbone": "test_resnet", "dropout": 0.3},
    "da-har": {
        "backbone": "test_resnet",
        "dropout": 0.3,
        "fusion_channels": 8,
        "attention_channels": 8,
    },
    "da-har, unsupervised": {
        "backbone": "test_resnet",
        "fusion_channels": 8,
        "attention_channels": 8,
        "mask_supervision": False,
        "levels": [4],
    },
    "da-har, fusion": {
        "backbone": "test_resnet",
        "fusion_channels": 8,
        "self_mask_stages": [],
        "masked_attention": False,
    },
    "da-har, self-mask": {"backbone": "test_resnet", "levels": [], "masked_attention": False},
    "diaa": {"backbone": "test_resnet", "dropout": 0.3, "attention_channels": 8},
    "diaa, upsample": {"backbone": "test_resnet", "attention_channels": 8, "aggregation": "upsample"},
    "diaa, max-pool": {"backbone": "test_resnet", "attention_channels": 8, "aggregation": "max-pool"},
    "diaa, strided-conv": {"backbone": "test_resnet", "attention_channels": 8, "aggregation": "strided-conv"},
    "man": {"backbone": "test_resnet", "dropout": 0.3, "hidden": [16, 16, 16]},
    "man, light": {"backbone": "test_resnet", "hidden": [8, 8, 8], "stride": 8, "multi_task": False},
    "man, unmasked": {"backbone": "test_resnet", "hidden": [8, 8, 8], "masked": False},
    "mtms": {"backbone": "test_resnet", "dropout": 0.3},
    "mtms, one stage": {"backbone": "test_resnet", "hierarchical": False, "attention": False},
    "mtms, s1": {"backbone": "test_resnet", "attention": False, "predict_from": "stage1"},
    "passerby": {"backbone": "test_resnet", "dropout": 0.3, "evidence_channels": 8},
    "sspnet": {"backbone": "test_resnet", "dropout": 0.3, "pyramid_channels": 8},
    "sspnet, k": {"backbone": "test_resnet", "pyramid_channels": 8, "locations": "keypoints"},
    "sspnet, r": {"backbone": "test_resnet", "pyramid_channels": 8, "locations": "regions"},
    "sspnet, fixed": {"backbone": "test_resnet", "pyramid_channels": 8, "selection": "fixed", "offsets": 0},
    "sspnet, p3": {
        "backbone": "test_resnet",
        "pyramid_channels": 8,
        "selection": "fixed",
        "scales": dict.fromkeys(("head", "torso", "bottom", "all"), 3),
    },
}
"""Small models by name; after a comma, what distinguishes a further one of the same model."""


def test_every_model_is_under_contract() -> None:
    assert {name.split(",")[0] for name in SMALL} == set(MODELS)


def make(name: str) -> AttributeModel:
    torch.manual_seed(3)
    model = create_model(name.split(",")[0], schema=SCHEMA, **SMALL[name])
    for module in model.modules():  # statistics as after training, so that eval mode is put to the test
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
            nn.init.ones_(module.weight)  # some residual branches begin at zero
    return model


def pictures(count: int = 3) -> Tensor:
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(5))


def auxiliary(count: int = 3) -> Guidance:
    """Keypoints anywhere in the picture, some of them missing; masks of half of it."""
    generator = torch.Generator().manual_seed(7)
    draws = torch.rand(count, 17, 3, generator=generator)
    masks = (torch.rand(count, 1, SIZE[0] // 8, SIZE[1] // 8, generator=generator) > 0.5).float()
    return Guidance(
        masks=masks.repeat_interleave(8, 2).repeat_interleave(8, 3),
        keypoints=draws * torch.tensor([SIZE[1], SIZE[0], 1.0]),
    )


def pick(guidance: Guidance, sample: int) -> Guidance:
    """That of one sample."""
    assert guidance.masks is not None
    assert guidance.keypoints is not None
    only = slice(sample, sample + 1)
    return Guidance(masks=guidance.masks[only], keypoints=guidance.keypoints[only])


each_model = pytest.mark.parametrize("name", sorted(SMALL))


@each_model
def test_shapes(name: str) -> None:
    output = make(name).eval()(pictures(), auxiliary())
    assert output.logits.shape == (3, len(SCHEMA))
    assert output.logits.isfinite().all()
    assert output.features is not None
    assert output.features.ndim == 4
    assert output.features.shape[0] == 3


@each_model
def test_gradient_reaches_every_attribute_and_every_parameter(name: str) -> None:
    model = make(name).train()
    own = [name for name, _ in model.named_parameters() if not name.startswith("backbone.")]
    learnt = dict.fromkeys(own, 0.0)
    for attribute in range(len(SCHEMA)):
        model.zero_grad(set_to_none=True)
        output = model(pictures(4), auxiliary(4))
        scored = (output.logits, *output.branches.values(), *output.candidates.values())
        losses = [logits[:, attribute].square().sum() for logits in scored]
        losses += [logits.square().mean() for logits in output.parsing.values()]
        torch.stack(losses).sum().backward()
        gradients = {name: p.grad for name, p in model.named_parameters()}
        assert None not in gradients.values()
        for name in learnt:
            learnt[name] += float(gradients[name].abs().sum())  # type: ignore[union-attr]
        assert any(p.grad.abs().sum() > 0 for p in model.backbone.parameters())  # type: ignore[union-attr]
        if hasattr(model, "classifier"):
            bias = model.classifier.bias.grad  # type: ignore[union-attr]
            assert bias[attribute] != 0
            assert (bias[[i for i in range(len(SCHEMA)) if i != attribute]] == 0).all()
    assert not [name for name, total in learnt.items() if total == 0]


@each_model
def test_all_parameters_learn(name: str) -> None:
    model = make(name)
    assert all(p.requires_grad for p in model.parameters())


@each_model
def test_features_lead_to_the_logits(name: str) -> None:
    """Localisation needs the gradient of a logit with respect to the map."""
    output = make(name).eval()(pictures(), auxiliary())
    assert output.features is not None
    (gradient,) = torch.autograd.grad(output.logits[:, 0].sum(), output.features)
    assert gradient.abs().sum() > 0


@each_model
@torch.no_grad()
def test_samples_are_independent_in_eval(name: str) -> None:
    model, images, guidance = make(name).eval(), pictures(4), auxiliary(4)
    together = model(images, guidance).logits
    alone = torch.cat([model(images[i : i + 1], pick(guidance, i)).logits for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    changed = images.clone()
    changed[0] = 9.0
    torch.testing.assert_close(model(changed, guidance).logits[1:], together[1:], rtol=1e-4, atol=1e-5)


@each_model
@torch.no_grad()
def test_eval_is_deterministic_and_leaves_the_input_alone(name: str) -> None:
    model, images = make(name).eval(), pictures()
    before = images.clone()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    assert torch.equal(model(images, auxiliary()).logits, model(images, auxiliary()).logits)
    assert torch.equal(images, before)
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


@each_model
def test_training_leaves_the_input_alone(name: str) -> None:
    images = pictures(4)
    before = images.clone()
    make(name).train()(images, auxiliary(4)).logits.sum().backward()
    assert torch.equal(images, before)


@each_model
@torch.no_grad()
def test_channels_last_gives_the_same(name: str) -> None:
    model, images = make(name).eval(), pictures()
    expected = model(images, auxiliary()).logits
    again = model.to(memory_format=torch.channels_last)(
        images.to(memory_format=torch.channels_last), auxiliary()
    )
    torch.testing.assert_close(again.logits, expected, rtol=1e-4, atol=1e-5)


@each_model
@torch.no_grad()
def test_name_and_arguments_and_weights_make_it_again(name: str) -> None:
    model = make(name).eval()
    again = create_model(model.name, schema=SCHEMA, **model.arguments)
    again.load_state_dict(model.state_dict(), strict=True)
    assert again.name == name.split(",")[0]
    assert again.arguments == model.arguments
    assert torch.equal(again.eval()(pictures(), auxiliary()).logits, model(pictures(), auxiliary()).logits)


@each_model
def test_heat_maps_have_a_level_to_lie_on(name: str) -> None:
    model = make(name).eval()
    with model.capturing() as captured:
        logits = model(pictures(), auxiliary()).logits
    assert len(model.levels_looked_at) == len(SCHEMA)
    for attribute, level in enumerate(model.levels_looked_at):
        (slopes,) = torch.autograd.grad(logits[:, attribute].sum(), captured[level], retain_graph=True)
        assert slopes.shape == captured[level].shape
        assert slopes.flatten(1).abs().sum(1).min() > 0


@each_model
def test_refuses_an_unknown_argument(name: str) -> None:
    with pytest.raises(ModelError, match=r"takes no 'backbon'.*did you mean backbone"):
        create_model(name.split(",")[0], schema=SCHEMA, backbon="resnet18")


@each_model
@torch.no_grad()
def test_onnx_gives_the_same(name: str, tmp_path: Path) -> None:
    import onnxruntime

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = make(name).eval()

        def forward(self, images: Tensor, *guidance: Tensor) -> Tensor:
            given = Guidance(**dict(zip(self.model.guidance, guidance, strict=True)))
            return self.model(images, given).logits

    network, path = Logits().eval(), tmp_path / "model.onnx"
    kinds = network.model.guidance

    def inputs(count: int) -> tuple[Tensor, ...]:
        return (pictures(count), *(getattr(auxiliary(count), kind) for kind in kinds))

    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the exporter's own dependencies
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", message="# The axis name: batch will not be used")
        torch.onnx.export(
            network,
            inputs(2),
            path,
            input_names=["images", *kinds],
            output_names=["logits"],
            dynamic_shapes={"images": batch} | ({"guidance": (batch,) * len(kinds)} if kinds else {}),
            dynamo=True,
            verbose=False,
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 5):
        given = inputs(count)
        named = {key: value.numpy() for key, value in zip(("images", *kinds), given, strict=True)}
        (logits,) = session.run(["logits"], named)
        np.testing.assert_allclose(logits, network(*given).numpy(), atol=1e-4)
