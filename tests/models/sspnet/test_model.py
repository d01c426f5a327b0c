"""The complete SSPNet: inputs of its modules, and which of them are computed and trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.keypoints import MEAN_POSE_MPII
from passerby.models import SSPNet, create_model
from passerby.models.sspnet.locations import place_keypoints
from passerby.schema import BODY_PARTS, Attribute, AttributeSchema, BodyPart
from passerby.types import Guidance, Output

BODY_PART_OF: tuple[BodyPart, ...] = ("bottom", "all", "head", "torso", "head", "all", "torso", "bottom")
SCHEMA = AttributeSchema(
    "toy", tuple(Attribute(f"a{i}", f"has {i}", body_part=p) for i, p in enumerate(BODY_PART_OF))
)

CONTRACT_CASES: dict[str, dict[str, Any]] = {
    "default": {"dropout": 0.3, "pyramid_channels": 8},
    "keypoints": {"pyramid_channels": 8, "locations": "keypoints"},
    "regions": {"pyramid_channels": 8, "locations": "regions"},
    "fixed": {"pyramid_channels": 8, "selection": "fixed", "offsets": 0},
    "one level": {
        "pyramid_channels": 8,
        "selection": "fixed",
        "scales": dict.fromkeys(("head", "torso", "bottom", "all"), 3),
    },
}
"""Arguments for `test_contract.py`."""
HEIGHT, WIDTH = 64, 48
TABLE_1: Mapping[BodyPart, int] = {"head": 1, "torso": 2, "bottom": 2, "all": 3}
"""The best of the columns P1, P2 and P3."""

KINDS = ("regions", "keypoints", "sparse")

Size = tuple[int, int]


# --- the model under test: small, in float64, with random weights ---


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def randomize(model: SSPNet) -> None:
    """Random weights, except for the backbone; offsets of about one position."""
    with torch.no_grad():
        for i, (name, parameter) in enumerate(model.named_parameters()):
            if not name.startswith("backbone"):
                fan = parameter[0].numel() if parameter.ndim > 1 else 1
                parameter.copy_(draw(*parameter.shape, seed=i) / math.sqrt(fan))


def make(schema: AttributeSchema = SCHEMA, **arguments: Any) -> SSPNet:
    torch.manual_seed(1)
    model = create_model(
        "sspnet", schema=schema, **{"backbone": "test_resnet", "pyramid_channels": 4, **arguments}
    )
    assert isinstance(model, SSPNet)
    randomize(model)
    return model.double().eval()


def create_images(count: int = 3) -> Tensor:
    return draw(count, 3, HEIGHT, WIDTH, seed=2)


def auxiliary(count: int = 3) -> Guidance:
    """All 17 keypoints within the image with high scores, also the derived ones."""
    shares = 0.4 + 0.2 * torch.rand(count, 17, 3, generator=torch.Generator().manual_seed(7))
    keypoints = shares * torch.tensor([WIDTH, HEIGHT, 0.0])
    keypoints[..., 2] = 0.9
    return Guidance(keypoints=keypoints)


def choose(model: SSPNet, scales: list[int]) -> None:
    model.load_state_dict({**model.state_dict(), "selection.choice": torch.tensor(scales)})


def spread(scales: Mapping[BodyPart, int]) -> list[int]:
    return [scales[part] for part in BODY_PART_OF]


def pick(candidates: Mapping[str, Tensor], scales: list[int]) -> Tensor:
    """Each attribute's column, from the candidate of its scale."""
    return torch.stack([candidates[f"P{scale}"][:, i] for i, scale in enumerate(scales)], dim=1)


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def changed(found: Tensor, expected: Tensor) -> list[bool]:
    """For each attribute, whether its logits differ."""
    return ((found - expected).abs() > 1e-9).any(0).tolist()


def run_stages(model: SSPNet, images: Tensor) -> list[Tensor]:
    found = [images]
    for stage in (1, 2, 3, 4):
        found.append(model.backbone.run_stage(stage, found[-1]))
    return found[1:]


def assemble(model: SSPNet, images: Tensor, guidance: Guidance | None = None) -> dict[str, Tensor]:
    """Logits of each scale, computed attribute by attribute, in the order of the schema."""
    given = None if guidance is None else guidance.keypoints
    positions = place_keypoints(given, images=images, min_score=0.2)
    candidates = {}
    for scale, level in model.pyramid(run_stages(model, images), (1, 2, 3)).items():
        columns = []
        for i, part in enumerate(BODY_PART_OF):
            pooled = model.get_submodule(f"locations.P{scale}")(level, [part], positions)[part]
            classifier = model.get_submodule(f"classifiers.P{scale}.{part}")
            assert isinstance(classifier, nn.Linear)
            row = [j for j, other in enumerate(BODY_PART_OF) if other == part].index(i)
            columns.append(pooled @ classifier.weight[row] + classifier.bias[row])
        candidates[f"P{scale}"] = torch.stack(columns, dim=1)
    return candidates


# --- training scores every scale, evaluation the selected ones ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("selection", ["group", "attribute"])
def test_training_scores_all_attributes_at_all_scales(selection: str, kind: str) -> None:
    model, images = make(selection=selection, locations=kind).train(), create_images()
    output = model(images, auxiliary())
    expected = assemble(model, images, auxiliary())
    assert list(output.candidates) == ["P1", "P2", "P3"]
    for name, logits in output.candidates.items():
        assert_close(logits, expected[name])
    assert_close(output.logits, pick(expected, spread(TABLE_1)))
    assert output.features is not None
    assert_close(output.features, run_stages(model, images)[3])


def test_training_returns_the_logits_of_the_selected_scales() -> None:
    model, images, scales = make(selection="attribute").train(), create_images(), [3, 1, 2, 2, 1, 1, 3, 2]
    choose(model, scales)
    output = model(images)
    assert model.scales == tuple(scales)
    assert torch.equal(output.logits, pick(output.candidates, scales))


CHOICES = [
    spread(TABLE_1),
    spread({"head": 1, "torso": 1, "bottom": 3, "all": 3}),
    spread({"head": 3, "torso": 2, "bottom": 2, "all": 2}),
    [2] * 8,
    [3, 1, 2, 2, 3, 1, 2, 3],
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scales", CHOICES)
def test_evaluation_computes_the_selected_scales_only(scales: list[int], kind: str) -> None:
    """At each level only the body parts with attributes there; logits equal those of the candidates."""
    model, images = make(selection="attribute", locations=kind), create_images()
    choose(model, scales)
    fired: list[str] = []
    asked: dict[str, list[str]] = {}

    def watch(name: str) -> Callable[..., None]:
        def note(module: nn.Module, given: tuple[Any, ...], got: Any) -> None:
            fired.append(name)
            if name.startswith("locations"):
                asked[name] = list(given[1])

        return note

    for name, module in model.named_modules():
        if name.startswith(("locations.", "classifiers.", "pyramid.")) and name.count(".") < 3:
            module.register_forward_hook(watch(name))
    output = model(images, auxiliary())
    wanted = sorted({(scale, part) for scale, part in zip(scales, BODY_PART_OF, strict=True)})
    assert sorted(
        name for name in fired if name.count(".") == 2 and name.startswith("classifiers")
    ) == sorted(f"classifiers.P{scale}.{part}" for scale, part in wanted)
    assert {(name, part) for name, positions in asked.items() for part in positions} == {
        (f"locations.P{scale}", part) for scale, part in wanted
    }
    assert sorted(name for name in fired if name.startswith("pyramid.smoothing")) == sorted(
        f"pyramid.smoothing.{scale - 1}" for scale in set(scales)
    )
    assert len(fired) == len(set(fired))
    assert not output.candidates
    assert_close(output.logits, pick(assemble(model, images, auxiliary()), scales))


def test_loading_another_selection_switches_the_prediction() -> None:
    model, images = make(), create_images()
    model.train()
    model.backbone.eval()  # its statistics as at prediction
    candidates = model(images).candidates
    model.eval()
    for scales in CHOICES[:4]:
        choose(model, scales)
        assert model.scales == tuple(scales)
        assert_close(model(images).logits, pick(candidates, scales))
    assert not torch.allclose(candidates["P1"], candidates["P2"])
    assert not torch.allclose(candidates["P2"], candidates["P3"])


def test_dropout_drops_pooled_features_in_training_only() -> None:
    model, plain = make(dropout=0.3, locations="regions"), make(locations="regions")
    given: dict[str, dict[str, Tensor]] = {"dropped": {}, "all": {}}
    for key, each in (("dropped", model), ("all", plain)):
        each.train()
        for name, linear in each.classifiers.named_modules():
            if isinstance(linear, nn.Linear):
                linear.register_forward_pre_hook(
                    lambda _, received, name=name, key=key: given[key].update({name: received[0]})
                )
        each(create_images(8))
    dropped, whole = (torch.cat([x.flatten() for x in given[key].values()]) for key in ("dropped", "all"))
    assert len(given["dropped"]) == 12
    kept = dropped != 0
    assert 0.6 < kept.double().mean() < 0.8
    assert_close(dropped[kept], whole[kept] / 0.7)
    assert torch.equal(model.eval()(create_images()).logits, model(create_images()).logits)


# --- AFSS ---


def score(model: SSPNet, right: list[int], labels: Tensor) -> Output:
    """An output with candidates in which only the given scale of each attribute is correct."""
    signs = (2 * labels - 1).double()
    candidates = {
        f"P{scale}": torch.where(torch.tensor(right) == scale, signs, -signs) for scale in (1, 2, 3)
    }
    return Output(pick(candidates, list(model.scales)), candidates=candidates)


LABELS = torch.tensor([[1] * 8, [0] * 8, [1, 0] * 4])


def test_afss_starts_with_the_published_or_the_given_scales() -> None:
    assert make().scales == tuple(spread(TABLE_1))
    given: dict[BodyPart, int] = {"head": 3, "all": 1}
    for selection in ("group", "attribute", "fixed"):
        model = make(selection=selection, scales=given)
        assert model.scales == tuple(spread({**TABLE_1, **given}))


def test_afss_selects_within_a_body_part_by_attribute_only() -> None:
    right = [1, 2, 3, 1, 2, 3, 3, 1]  # head: 3 and 2, torso: 1 and 3, all: 2 and 3
    single, group = make(selection="attribute"), make(selection="group")
    for model in (single, group):
        model.observe(score(model, right, LABELS), LABELS)
    assert single.scales == tuple(right)
    for part in BODY_PARTS:
        of_part = {s for s, each in zip(group.scales, BODY_PART_OF, strict=True) if each == part}
        assert len(of_part) == 1
    # One of two attributes is correct at each of two scales: the current scale stays if it is one of them.
    chosen = dict(zip(BODY_PART_OF, group.scales, strict=True))
    assert chosen["bottom"] == 1
    assert chosen["head"] == 2
    assert chosen["torso"] == 1
    assert chosen["all"] == 3


@pytest.mark.parametrize("selection", ["group", "attribute"])
def test_the_log_contains_scales_and_accuracies(selection: str) -> None:
    model = make(selection=selection)
    names = list(BODY_PARTS) if selection == "group" else list(SCHEMA.names)
    before = model.describe_state()
    assert list(before) == [
        key for name in names for key in (f"scale/{name}", *(f"running_mA/{name}/P{s}" for s in (1, 2, 3)))
    ]
    assert all(math.isnan(value) for key, value in before.items() if key.startswith("running_mA"))
    model.observe(score(model, [1, 2, 3, 1, 2, 3, 3, 1], LABELS), LABELS)
    state = model.describe_state()
    assert list(state) == list(before)
    if selection == "group":
        assert [state[f"scale/{part}"] for part in BODY_PARTS] == [2, 1, 1, 3]
        assert [state[f"running_mA/head/P{scale}"] for scale in (1, 2, 3)] == [0, 0.5, 0.5]
        assert [state[f"running_mA/bottom/P{scale}"] for scale in (1, 2, 3)] == [1, 0, 0]
    else:
        assert [state[f"scale/{name}"] for name in names] == [1, 2, 3, 1, 2, 3, 3, 1]
        assert [state[f"running_mA/a6/P{scale}"] for scale in (1, 2, 3)] == [0, 0, 1]
    assert make(selection="fixed").describe_state() == {}


def test_the_log_omits_attributes_with_one_label_only() -> None:
    """As the selection does; a4 of the head has had no positive."""
    model, labels = make(), LABELS.clone()
    labels[:, 4] = torch.tensor([-1, 0, 0])
    model.observe(score(model, [1] * 4 + [3] + [1] * 3, labels.clamp(min=0)), labels)
    state = model.describe_state()
    assert [state[f"running_mA/head/P{scale}"] for scale in (1, 2, 3)] == [1, 0, 0]
    assert state["scale/head"] == 1


def counts(model: SSPNet) -> dict[str, list[Any]]:
    return {name: value.tolist() for name, value in model.state_dict().items() if "selection." in name}


def test_only_candidates_are_counted_and_nothing_else_changes() -> None:
    model, images, labels = make(selection_memory=4), create_images(), LABELS
    start = counts(model)
    model.observe(model(images), labels)
    assert counts(model) == start
    model.train()
    output = model(images)
    assert counts(model) == start
    kept = {name: logits.clone() for name, logits in output.candidates.items()}
    weights = {name: value.clone() for name, value in model.named_parameters()}
    model.observe(output, labels)
    assert counts(model)["selection.samples"] == 3
    assert counts(model)["selection.hits"] == [
        [
            [
                sum(int(logits[n, a] > 0) for n in range(3) if labels[n, a] == 1),
                sum(int(logits[n, a] <= 0) for n in range(3) if labels[n, a] == 0),
            ]
            for a in range(8)
        ]
        for logits in kept.values()
    ]
    for name, logits in kept.items():
        assert torch.equal(output.candidates[name], logits)
    for name, value in model.named_parameters():
        assert torch.equal(value, weights[name])
    model.observe(output, labels)
    assert counts(model)["selection.samples"] == 3  # more than the memory of 4: halved


def test_without_a_selection_there_is_nothing_to_observe() -> None:
    model = make(selection="fixed").train()
    output = model(create_images())
    assert not output.candidates
    assert not counts(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.observe(output, LABELS)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_counting_does_not_affect_gradients() -> None:
    gradients = []
    for observing in (False, True):
        model = make().train()
        output = model(create_images())
        if observing:
            model.observe(output, LABELS)
        sum(logits.square().sum() for logits in output.candidates.values()).backward()  # type: ignore[union-attr]
        gradients.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        assert torch.equal(one, other)


# --- fixed scales ---


@pytest.mark.parametrize(
    "scales",
    [dict.fromkeys(BODY_PARTS, 1), dict.fromkeys(BODY_PARTS, 2), dict.fromkeys(BODY_PARTS, 3), TABLE_1],
    ids=["P1", "P2", "P3", "best"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_fixed_scales_have_modules_for_their_levels_only(kind: str, scales: Mapping[BodyPart, int]) -> None:
    model, images = make(selection="fixed", scales=scales, locations=kind), create_images()
    single = {f"P{scale}.{part}" for part, scale in scales.items()}
    names = [name.split(".") for name, _ in model.named_parameters()]
    assert {".".join(name[1:3]) for name in names if name[0] == "classifiers"} == single
    samplers = {f"{name[1]}.{name[3]}" for name in names if name[0] == "locations"}
    assert samplers == (set() if kind == "regions" else single)
    assert not [name for name in model.state_dict() if name.startswith("selection")]
    # The same weights in a model with a selection predict the same.
    whole = make(scales=scales, locations=kind)
    whole.load_state_dict({**whole.state_dict(), **model.state_dict()})
    assert_close(model(images, auxiliary()).logits, whole(images, auxiliary()).logits)
    for each in (model.train(), model.eval()):
        assert each.scales == tuple(spread(scales))


@pytest.mark.parametrize("smoothing", [True, False])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_fixed_scales_have_no_parameter_without_gradient(scale: int, smoothing: bool) -> None:
    """Unused levels have no smoothing, and stages below the finest level no lateral convolution."""
    model = make(selection="fixed", scales=dict.fromkeys(BODY_PARTS, scale), smoothing=smoothing).train()
    model(create_images()).logits.square().sum().backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def test_a_body_part_without_attributes_has_no_parameters() -> None:
    schema = AttributeSchema(
        "toy", (Attribute("Hat", "wears a hat", body_part="head"), Attribute("Male", "is male"))
    )
    names = [name for name in make(schema).state_dict() if name.startswith(("locations", "classifiers"))]
    assert {part for part in BODY_PARTS if any(f".{part}." in name for name in names)} == {"head", "all"}


def test_smoothing_and_width_are_passed_to_the_pyramid() -> None:
    plain, smooth = make(smoothing=False, pyramid_channels=6).state_dict(), make().state_dict()
    assert not [name for name in plain if "smoothing" in name]
    assert plain["pyramid.lateral.0.weight"].shape[0] == 6
    assert plain["classifiers.P1.head.weight"].shape == (2, 30)
    assert smooth["pyramid.smoothing.2.weight"].shape == (4, 4, 3, 3)


# --- locations ---


TABLE_A11: dict[int, dict[BodyPart, Size]] = {
    1: {"head": (0, 24), "torso": (8, 40), "bottom": (32, 63), "all": (0, 63)},
    2: {"head": (0, 12), "torso": (4, 20), "bottom": (16, 31), "all": (0, 31)},
    3: {"head": (0, 6), "torso": (2, 10), "bottom": (8, 15), "all": (0, 15)},
}
"""First and last row, by scale and body part, at 256 × 192."""


def replace_levels(model: SSPNet, level: Tensor) -> None:
    """Replace every level of the pyramid by the given features."""
    model.pyramid.register_forward_hook(lambda _, given, levels: dict.fromkeys(levels, level))


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(
    "arguments",
    [{"locations": "regions"}, {"locations": "sparse", "offsets": 0, "sampling_ratio": 1.0}],
    ids=["regions", "sparse"],
)
def test_a_body_part_uses_the_rows_of_table_a11_or_all_without_the_prior(
    arguments: dict[str, Any], scale: int
) -> None:
    """Each sample has large values in a different row."""
    rows = 256 // (2 << scale)
    level = draw(1, 4, rows, 6).repeat(rows, 1, 1, 1)
    for row in range(rows):
        level[row, :, row] += 50
    for prior in (True, False):
        model = make(
            selection="fixed", scales=dict.fromkeys(BODY_PARTS, scale), spatial_prior=prior, **arguments
        )
        replace_levels(model, draw(1, 4, rows, 6))
        usual = model(torch.zeros(1, 3, 32, 32).double()).logits
        replace_levels(model, level)
        logits = model(torch.zeros(rows, 3, 32, 32).double()).logits
        for row in range(rows):
            seen = [TABLE_A11[scale][part][0] <= row <= TABLE_A11[scale][part][1] for part in BODY_PART_OF]
            assert changed(logits[row : row + 1], usual) == (seen if prior else [True] * 8), row


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("kind", ["regions", "sparse"])
def test_gradients_are_within_the_rows_of_table_a11(kind: str, scale: int) -> None:
    rows = 256 // (2 << scale)
    arguments = {
        "selection": "fixed",
        "scales": dict.fromkeys(BODY_PARTS, scale),
        "offsets": 0,
        "locations": kind,
    }
    for prior in (True, False):
        model = make(spatial_prior=prior, **arguments)
        level = draw(2, 4, rows, 6).requires_grad_()
        replace_levels(model, level)
        logits = model(torch.zeros(2, 3, 32, 32).double()).logits
        for i, part in enumerate(BODY_PART_OF):
            (gradient,) = torch.autograd.grad(logits[:, i].sum(), level, retain_graph=True)
            first, last = TABLE_A11[scale][part if prior else "all"]
            touched = gradient.abs().amax((0, 1, 3)).nonzero().flatten().tolist()
            assert touched
            assert first <= touched[0]
            assert touched[-1] <= last


def test_without_the_prior_every_body_part_uses_all_keypoints() -> None:
    images, guidance = create_images(), auxiliary()
    moved = move(guidance, 16, 0.1, 0.9)
    model = make(locations="keypoints", spatial_prior=False)
    assert changed(model(images, moved).logits, model(images, guidance).logits) == [True] * 8


# --- keypoints ---


def move(guidance: Guidance, index: int, x: float, y: float) -> Guidance:
    """Move one of the COCO keypoints: fractions of the image size."""
    assert guidance.keypoints is not None
    keypoints = guidance.keypoints.clone()
    keypoints[:, index, 0], keypoints[:, index, 1] = x * WIDTH - 0.5, y * HEIGHT - 0.5
    return Guidance(keypoints=keypoints)


@pytest.mark.parametrize("offsets", [0, 3])
@pytest.mark.parametrize(
    ("joint", "index", "parts"),
    [
        ("right ankle", 16, {"bottom", "all"}),
        ("left knee", 13, {"bottom", "all"}),
        ("left hip", 11, {"torso", "bottom", "all"}),
        ("right wrist", 10, {"torso", "all"}),
        ("left shoulder", 5, {"head", "torso", "all"}),
        ("nose", 0, {"head", "all"}),
        ("left ear", 3, set()),
    ],
)
def test_a_keypoint_affects_its_body_parts_only(
    joint: str, index: int, parts: set[str], offsets: int
) -> None:
    model, images = (
        make(locations="keypoints", offsets=offsets, scales=dict.fromkeys(BODY_PARTS, 1)),
        create_images(6),
    )
    usual = model(images, auxiliary(6)).logits
    found = model(images, move(auxiliary(6), index, 0.15, 0.35)).logits
    assert changed(found, usual) == [part in parts for part in BODY_PART_OF]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda keypoint: keypoint * torch.tensor([1, 1, 0.0]),
        lambda keypoint: keypoint + torch.tensor([0, 0, -0.71]),
        lambda keypoint: keypoint + torch.tensor([WIDTH, 0, 0.0]),
        lambda keypoint: keypoint - torch.tensor([0, HEIGHT, 0.0]),
        lambda keypoint: keypoint * torch.nan,
    ],
    ids=["missing", "low score", "right of the image", "above the image", "not a number"],
)
def test_a_missing_keypoint_acts_as_the_average_one(spoil: Callable[[Tensor], Tensor]) -> None:
    model, images, usual = make(locations="keypoints"), create_images(), auxiliary()
    assert usual.keypoints is not None
    keypoints = usual.keypoints.clone()
    keypoints[:, 16] = spoil(keypoints[:, 16])
    logits = model(images, Guidance(keypoints=keypoints)).logits
    assert_close(logits, model(images, move(usual, 16, *MEAN_POSE_MPII[0])).logits)
    assert changed(logits, model(images, usual).logits) == [p in ("bottom", "all") for p in BODY_PART_OF]


def test_without_guidance_the_average_pose_is_used() -> None:
    model, images = make(locations="keypoints"), create_images()
    assert model.guidance == ("keypoints",)
    assert "average pose" in model.without_guidance
    missing = auxiliary().keypoints * torch.tensor([1, 1, 0.0])  # type: ignore[operator]
    logits = model(images).logits
    for nothing in (Guidance(), Guidance(keypoints=missing)):
        assert torch.equal(model(images, nothing).logits, logits)
    assert all(changed(model(images, auxiliary()).logits, logits))


def test_the_minimum_score_of_a_keypoint_is_an_argument() -> None:
    images, uncertain = create_images(), auxiliary()
    assert uncertain.keypoints is not None
    uncertain.keypoints[..., 2] = 0.4
    strict = make(locations="keypoints", keypoint_score=0.5)
    assert torch.equal(strict(images, uncertain).logits, strict(images).logits)
    lenient = make(locations="keypoints", keypoint_score=0.4)
    assert all(changed(lenient(images, uncertain).logits, lenient(images).logits))


@pytest.mark.parametrize("kind", ["regions", "sparse"])
def test_other_locations_need_no_guidance(kind: str) -> None:
    model, images = make(locations=kind), create_images()
    assert model.guidance == ()
    assert model.without_guidance == ""
    assert torch.equal(model(images, auxiliary()).logits, model(images).logits)


# --- offsets ---


@pytest.mark.parametrize("kind", ["sparse", "keypoints"])
def test_offsets_learn(kind: str) -> None:
    """Those of every body part at every scale have gradients."""
    torch.manual_seed(1)
    model = create_model("sspnet", schema=SCHEMA, backbone="test_resnet", pyramid_channels=4, locations=kind)
    model.double().train()
    names = [name for name, _ in model.named_parameters() if name.startswith("locations")]
    assert len(names) == 3 * 4 * 3
    before = {name: model.get_parameter(name).detach().clone() for name in names}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    output = model(create_images(), auxiliary())
    sum(logits.square().sum() for logits in output.candidates.values()).backward()  # type: ignore[union-attr]
    for name in names:
        gradient = model.get_parameter(name).grad
        assert gradient is not None
        if name.endswith("propose.bias"):  # three offsets, x and y, then three weights
            assert gradient.abs().min() > 0, name
        assert gradient.abs().sum() > 0, name
    optimiser.step()
    for name in names:
        assert not torch.equal(model.get_parameter(name), before[name]), name


@pytest.mark.parametrize("kind", ["sparse", "keypoints"])
def test_offsets_of_zero_sample_the_points_themselves(kind: str) -> None:
    images = create_images()
    model, plain = make(locations=kind, offsets=2), make(locations=kind, offsets=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "samplers" in name:
                parameter.fill_(1.0 if name.endswith("scale") else 0.0)
    shared = {name: value for name, value in model.state_dict().items() if "samplers" not in name}
    plain.load_state_dict(shared, strict=True)
    assert_close(model(images, auxiliary()).logits, plain(images, auxiliary()).logits)


def test_number_of_offsets_and_sampling_ratio_are_arguments() -> None:
    for kind in ("sparse", "keypoints"):
        for offsets in (1, 3, 5):
            state = make(locations=kind, offsets=offsets).state_dict()
            assert state["locations.P2.samplers.torso.scale"].shape == (offsets,)
    images, half = create_images(), make(offsets=0, sampling_ratio=0.25)
    assert not torch.allclose(make(offsets=0).eval()(images).logits, half(images).logits)


# --- arguments ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"locations": "points"}, "no locations 'points'; choose one of regions, keypoints, sparse"),
        ({"selection": "afss"}, "no selection 'afss'; choose one of group, attribute, fixed"),
        ({"dropout": 1.0}, r"dropout in \[0, 1\), got 1\.0"),
        ({"dropout": -0.1}, r"dropout in \[0, 1\), got -0\.1"),
        ({"offsets": -1}, "offsets of 0 or more, got -1"),
        ({"sampling_ratio": 0.0}, r"sampling_ratio in \(0, 1\], got 0\.0"),
        ({"sampling_ratio": 1.01}, r"sampling_ratio in \(0, 1\], got 1\.01"),
        ({"keypoint_score": 0.0}, r"keypoint_score in \(0, 1\], got 0\.0; a missing keypoint has 0"),
        ({"keypoint_score": 1.01}, r"keypoint_score in \(0, 1\], got 1\.01"),
        ({"scales": {"head": 0}}, r"scales 1, 2 or 3 of head, torso, bottom, all, got .*'head': 0"),
        ({"scales": {"all": 4}}, r"scales 1, 2 or 3 of head, torso, bottom, all, got .*'all': 4"),
        ({"scales": {"feet": 1}}, r"scales 1, 2 or 3 of head, torso, bottom, all, got .*'feet': 1"),
        ({"pyramid_channels": 0}, "pyramid_channels of at least 1, got 0"),
        ({"selection_memory": 0}, "selection_memory of at least 1 sample, got 0"),
    ],
)
def test_wrong_arguments_are_explained(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"dropout": 0.0, "offsets": 0, "sampling_ratio": 1.0, "keypoint_score": 0.01},
        {"dropout": 0.99, "offsets": 1, "sampling_ratio": 0.01, "keypoint_score": 1.0},
        {"pyramid_channels": 1, "selection_memory": 1},
    ],
)
def test_arguments_at_the_ends_of_their_ranges_work(arguments: dict[str, Any]) -> None:
    assert make(**arguments)(create_images()).logits.isfinite().all()
