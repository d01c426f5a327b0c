"""The contract of every model in `MODELS`, with its default arguments and with the variants of its own test.

A new model needs no change here. Its test module may define `CONTRACT_CASES`, arguments by the name of the
case; `default` changes the case that every model has.
"""

from __future__ import annotations

import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from passerby.bundle import Bundle
from passerby.errors import ModelError
from passerby.models import MODELS, AttributeModel, create_model, list_arguments
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Guidance, Preprocess

SIZE = (64, 48)  # height, width
SCHEMA = AttributeSchema(
    "contract",
    tuple(
        Attribute(f"a{i}", f"has property {i}", body_part=body_part)
        for i, body_part in enumerate(("bottom", "all", "head", "torso", "head"))
    ),
)


def load_cases(model_class: type[AttributeModel]) -> dict[str, dict[str, Any]]:
    """`CONTRACT_CASES` of the model's test module, which mirrors the path of its module."""
    *folders, name = model_class.__module__.removeprefix("passerby.models.").split(".")
    path = Path(__file__).parent.joinpath(*folders, f"test_{name}.py")
    spec = spec_from_file_location(f"contract_cases_{name}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        return {}
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    cases: dict[str, dict[str, Any]] = getattr(module, "CONTRACT_CASES", {})
    return cases


def find_cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """Model and arguments by the name of the case: a default case for every model, and its variants."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, model_class in MODELS.items():
        small = {"backbone": "test_resnet"} if "backbone" in list_arguments(name) else {}
        for case, arguments in {"default": {}, **load_cases(model_class)}.items():
            found[name if case == "default" else f"{name}, {case}"] = (name, {**small, **arguments})
    return found


CASES = find_cases()


def make(case: str) -> AttributeModel:
    torch.manual_seed(3)
    name, arguments = CASES[case]
    model = create_model(name, schema=SCHEMA, **arguments)
    for module in model.modules():  # statistics as after training, so that evaluation mode differs
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
            nn.init.ones_(module.weight)  # some residual branches start at zero
    return model


def create_images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(5))


def auxiliary(count: int = 3) -> Guidance:
    """Keypoints anywhere in the image with random scores; random masks."""
    generator = torch.Generator().manual_seed(7)
    draws = torch.rand(count, 17, 3, generator=generator)
    masks = (torch.rand(count, 1, SIZE[0] // 8, SIZE[1] // 8, generator=generator) > 0.5).float()
    return Guidance(
        masks=masks.repeat_interleave(8, 2).repeat_interleave(8, 3),
        keypoints=draws * torch.tensor([SIZE[1], SIZE[0], 1.0]),
    )


def pick(guidance: Guidance, sample: int) -> Guidance:
    """The guidance of one sample."""
    assert guidance.masks is not None
    assert guidance.keypoints is not None
    only = slice(sample, sample + 1)
    return Guidance(masks=guidance.masks[only], keypoints=guidance.keypoints[only])


each_case = pytest.mark.parametrize("case", sorted(CASES))


@each_case
def test_shapes(case: str) -> None:
    output = make(case).eval()(create_images(), auxiliary())
    assert output.logits.shape == (3, len(SCHEMA))
    assert output.logits.isfinite().all()
    assert output.features is not None
    assert output.features.ndim == 4
    assert output.features.shape[0] == 3


@each_case
def test_every_attribute_and_parameter_has_a_gradient(case: str) -> None:
    model = make(case).train()
    names = [name for name, _ in model.named_parameters() if not name.startswith("backbone.")]
    totals = dict.fromkeys(names, 0.0)
    for attribute in range(len(SCHEMA)):
        model.zero_grad(set_to_none=True)
        output = model(create_images(4), auxiliary(4))
        scored = (output.logits, *output.branches.values(), *output.candidates.values())
        losses = [logits[:, attribute].square().sum() for logits in scored]
        losses += [logits.square().mean() for logits in output.parsing.values()]
        torch.stack(losses).sum().backward()
        gradients = {name: p.grad for name, p in model.named_parameters()}
        assert None not in gradients.values()
        for name in totals:
            totals[name] += float(gradients[name].abs().sum())  # type: ignore[union-attr]
        shared = [p for name, p in model.named_parameters() if name.startswith("backbone.")]
        assert not shared or any(p.grad.abs().sum() > 0 for p in shared)  # type: ignore[union-attr]
        if hasattr(model, "classifier"):
            bias = model.classifier.bias.grad  # type: ignore[union-attr]
            assert bias[attribute] != 0
            assert (bias[[i for i in range(len(SCHEMA)) if i != attribute]] == 0).all()
    assert not [name for name, total in totals.items() if total == 0]


@each_case
def test_all_parameters_require_gradients(case: str) -> None:
    model = make(case)
    assert all(p.requires_grad for p in model.parameters())


@each_case
def test_logits_depend_on_the_features(case: str) -> None:
    """Grad-CAM needs the gradient of a logit with respect to the features."""
    output = make(case).eval()(create_images(), auxiliary())
    assert output.features is not None
    (gradient,) = torch.autograd.grad(output.logits[:, 0].sum(), output.features)
    assert gradient.abs().sum() > 0


@each_case
@torch.no_grad()
def test_samples_are_independent_in_eval(case: str) -> None:
    model, images, guidance = make(case).eval(), create_images(4), auxiliary(4)
    together = model(images, guidance).logits
    alone = torch.cat([model(images[i : i + 1], pick(guidance, i)).logits for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    changed = images.clone()
    changed[0] = 9.0
    torch.testing.assert_close(model(changed, guidance).logits[1:], together[1:], rtol=1e-4, atol=1e-5)


@each_case
@torch.no_grad()
def test_eval_is_deterministic_without_side_effects(case: str) -> None:
    model, images = make(case).eval(), create_images()
    before = images.clone()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    assert torch.equal(model(images, auxiliary()).logits, model(images, auxiliary()).logits)
    assert torch.equal(images, before)
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


@each_case
def test_training_does_not_change_the_input(case: str) -> None:
    images = create_images(4)
    before = images.clone()
    make(case).train()(images, auxiliary(4)).logits.sum().backward()
    assert torch.equal(images, before)


@each_case
@torch.no_grad()
def test_channels_last_gives_the_same(case: str) -> None:
    model, images = make(case).eval(), create_images()
    expected = model(images, auxiliary()).logits
    again = model.to(memory_format=torch.channels_last)(
        images.to(memory_format=torch.channels_last), auxiliary()
    )
    torch.testing.assert_close(again.logits, expected, rtol=1e-4, atol=1e-5)


@each_case
@torch.no_grad()
def test_name_arguments_and_weights_recreate_the_model(case: str) -> None:
    model = make(case).eval()
    again = create_model(model.name, schema=SCHEMA, **model.arguments)
    again.load_state_dict(model.state_dict(), strict=True)
    assert again.name == CASES[case][0]
    assert again.arguments == model.arguments
    assert torch.equal(
        again.eval()(create_images(), auxiliary()).logits, model(create_images(), auxiliary()).logits
    )


@each_case
def test_every_attribute_has_a_level_for_its_heat_map(case: str) -> None:
    model = make(case).eval()
    with model.capturing() as captured:
        logits = model(create_images(), auxiliary()).logits
    assert len(model.heat_map_levels) == len(SCHEMA)
    for attribute, level in enumerate(model.heat_map_levels):
        (slopes,) = torch.autograd.grad(logits[:, attribute].sum(), captured[level], retain_graph=True)
        assert slopes.shape == captured[level].shape
        assert slopes.flatten(1).abs().sum(1).min() > 0


@each_case
def test_refuses_an_unknown_argument(case: str) -> None:
    name, _ = CASES[case]
    argument = next(iter(list_arguments(name)))
    with pytest.raises(ModelError, match=rf"takes no '{argument[:-1]}'.*did you mean {argument}"):
        create_model(name, schema=SCHEMA, **{argument[:-1]: None})


def tensors(kinds: tuple[str, ...], count: int) -> tuple[Tensor, ...]:
    """The inputs of `Bundle.module`: images, then the auxiliary inputs of the model."""
    generator = torch.Generator().manual_seed(11)
    images = torch.randint(0, 256, (count, 3, *SIZE), dtype=torch.uint8, generator=generator)
    return (images, *(getattr(auxiliary(count), kind) for kind in kinds))


@each_case
@torch.no_grad()
def test_module_equals_the_bundle(case: str) -> None:
    bundle = Bundle(make(case), Preprocess(*SIZE))
    kinds = bundle.model.guidance
    images, *guidance = tensors(kinds, 3)
    given = Guidance(**dict(zip(kinds, guidance, strict=True)))
    expected = bundle.predict_batch(images, given)
    assert torch.equal(bundle.module(images, *guidance), expected)
    assert torch.equal(bundle.module(images), bundle.predict_batch(images, warn=False))
    with pytest.raises(ModelError, match=rf"expected the auxiliary inputs .*, got {len(kinds) + 1} tensors"):
        bundle.module(images, *guidance, images)


@each_case
@torch.no_grad()
def test_traced_module_gives_the_same(case: str) -> None:
    module = Bundle(make(case), Preprocess(*SIZE)).module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # the size of the images is fixed
        warnings.filterwarnings("ignore", message="`torch.jit.trace")
        traced = torch.jit.trace(module, tensors(module.model.guidance, 2))
    for count in (2, 5):
        given = tensors(module.model.guidance, count)
        torch.testing.assert_close(traced(*given), module(*given), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_names_suffice_as_schema(name: str) -> None:
    small = {"backbone": "test_resnet"} if "backbone" in list_arguments(name) else {}
    assert create_model(name, schema=["Hat", "Bag"], **small).schema.names == ("Hat", "Bag")


@pytest.mark.slow
@each_case
@torch.no_grad()
def test_onnx_gives_the_same(case: str, tmp_path: Path) -> None:
    import onnxruntime

    module, path = Bundle(make(case), Preprocess(*SIZE)).module, tmp_path / "model.onnx"
    kinds = module.model.guidance
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from the exporter's dependencies
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", message="# The axis name: batch will not be used")
        torch.onnx.export(
            module,
            tensors(kinds, 2),
            path,
            input_names=["images", *kinds],
            output_names=["probabilities"],
            dynamic_shapes={"images": batch} | ({"guidance": (batch,) * len(kinds)} if kinds else {}),
            dynamo=True,
            verbose=False,
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 5):
        given = tensors(kinds, count)
        named = {key: value.numpy() for key, value in zip(("images", *kinds), given, strict=True)}
        (probs,) = session.run(["probabilities"], named)
        np.testing.assert_allclose(probs, module(*given).numpy(), atol=1e-4)
