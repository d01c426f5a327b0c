"""The 16 keypoints of MPII from the 17 of COCO, one at a time over plain floats."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from passerby.errors import DataError
from passerby.keypoints import MEAN_POSE_MPII, convert_coco_to_mpii

COCO = (
    *("nose", "left eye", "right eye", "left ear", "right ear"),
    *("left shoulder", "right shoulder", "left elbow", "right elbow", "left wrist", "right wrist"),
    *("left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle"),
)
MPII = (
    *("right ankle", "right knee", "right hip", "left hip", "left knee", "left ankle"),
    *("pelvis", "thorax", "upper neck", "head top"),
    *("right wrist", "right elbow", "right shoulder", "left shoulder", "left elbow", "left wrist"),
)

Person = dict[str, list[float]]
"""x, y and score of each named keypoint."""


def draw(count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    keypoints = torch.rand(count, 17, 3, generator=generator, dtype=torch.float64)
    return keypoints * torch.tensor([192.0, 256.0, 1.0], dtype=torch.float64)


def loop_middle(person: Person, joint: str) -> list[float]:
    left, right = person[f"left {joint}"], person[f"right {joint}"]
    return [(left[0] + right[0]) / 2, (left[1] + right[1]) / 2, min(left[2], right[2])]


def loop_convert(person: Person) -> Person:
    """Limbs as they are; pelvis, thorax, neck and head top from hips, shoulders and nose."""
    found = {name: person[name] for name in MPII if name in person}
    nose = person["nose"]
    found["pelvis"], found["thorax"] = loop_middle(person, "hip"), loop_middle(person, "shoulder")
    thorax = found["thorax"]
    score = min(thorax[2], nose[2])
    neck = [t + (n - t) / 3 for t, n in zip(thorax[:2], nose[:2], strict=True)]
    top = [n + (n - t) / 2 for t, n in zip(thorax[:2], nose[:2], strict=True)]
    found["upper neck"], found["head top"] = [*neck, score], [*top, score]
    return found


def test_conversion_equals_the_rule_in_a_loop() -> None:
    keypoints = draw()
    converted = convert_coco_to_mpii(keypoints)
    assert converted.shape == (3, 16, 3)
    for rows, found in zip(keypoints.tolist(), converted.tolist(), strict=True):
        expected = loop_convert(dict(zip(COCO, rows, strict=True)))
        for name, row in zip(MPII, found, strict=True):
            assert row == pytest.approx(expected[name], abs=1e-9), name


def test_standing_by_hand() -> None:
    # Shoulders at y 30, hips at 60, the nose 12 above the thorax: the neck is at 26, the head ends at 12.
    keypoints = torch.ones(1, 17, 3)
    for name, x, y in (("nose", 20, 18), ("left shoulder", 28, 30), ("right shoulder", 12, 30)):
        keypoints[0, COCO.index(name), :2] = torch.tensor([x, y]).float()
    for name, x, y in (("left hip", 25, 62), ("right hip", 15, 58)):
        keypoints[0, COCO.index(name), :2] = torch.tensor([x, y]).float()
    found = dict(zip(MPII, convert_coco_to_mpii(keypoints)[0].tolist(), strict=True))
    assert found["pelvis"] == pytest.approx([20, 60, 1])
    assert found["thorax"] == pytest.approx([20, 30, 1])
    assert found["upper neck"] == pytest.approx([20, 26, 1])
    assert found["head top"] == pytest.approx([20, 12, 1])
    assert found["left shoulder"] == [28, 30, 1]


@pytest.mark.parametrize(
    ("joint", "unsure"),
    [
        ("nose", {"upper neck", "head top"}),
        ("left shoulder", {"left shoulder", "thorax", "upper neck", "head top"}),
        ("right shoulder", {"right shoulder", "thorax", "upper neck", "head top"}),
        ("right hip", {"right hip", "pelvis"}),
        ("left hip", {"left hip", "pelvis"}),
        ("left wrist", {"left wrist"}),
        ("right ear", set()),
    ],
)
def test_a_derived_keypoint_is_as_confident_as_its_least_confident_source(
    joint: str, unsure: set[str]
) -> None:
    keypoints = draw(1)
    keypoints[..., 2] = 0.9
    keypoints[0, COCO.index(joint), 2] = 0.1
    scores = convert_coco_to_mpii(keypoints)[0, :, 2].tolist()
    assert {name for name, score in zip(MPII, scores, strict=True) if score < 0.5} == unsure


@pytest.mark.parametrize("shape", [(17, 3), (2, 16, 3), (2, 17, 2), (2, 17, 4), (1, 2, 17, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"shape \(N, 17, 3\), in COCO order, got"):
        convert_coco_to_mpii(torch.zeros(shape))


def test_mean_pose_stands_upright_and_is_symmetric() -> None:
    pose = dict(zip(MPII, MEAN_POSE_MPII, strict=True))
    assert all(0 < x < 1 and 0 < y < 1 for x, y in pose.values())
    for name, (x, y) in pose.items():
        if name.startswith("right"):
            assert pose[name.replace("right", "left")] == pytest.approx((1 - x, y))
            assert x < 0.5  # a pedestrian seen from the front
        elif not name.startswith("left"):
            assert x == 0.5
    order = [
        "head top",
        "upper neck",
        "thorax",
        "left elbow",
        "left wrist",
        "pelvis",
        "left knee",
        "left ankle",
    ]
    heights = [pose[name][1] for name in order]
    assert heights == sorted(heights)
    assert len(set(heights)) == len(heights)
