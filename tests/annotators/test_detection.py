from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models._api import BUILTIN_MODELS, Weights, WeightsEnum, register_model
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints
from torchvision.ops import MultiScaleRoIAlign

from passerby.annotators.base import Sample
from passerby.annotators.detection import KeypointRCNN, MaskRCNN
from passerby.annotators.networks import hash_files
from passerby.errors import ModelError

MASKS, KEYPOINTS, DOWNLOAD = "maskrcnn_tiny", "keypointrcnn_tiny", "maskrcnn_tiny_download"


def _shared(min_size: int) -> dict[str, Any]:
    backbone: Any = nn.Sequential(nn.Conv2d(3, 8, 16, stride=16), nn.BatchNorm2d(8), nn.ReLU())
    backbone.out_channels = 8
    pool = partial(MultiScaleRoIAlign, ["0"], sampling_ratio=1)
    return {
        "backbone": backbone,
        "min_size": min_size,
        "max_size": 128,
        "rpn_anchor_generator": AnchorGenerator(((32, 64),), ((1.0, 2.0),)),
        "box_roi_pool": pool(output_size=3),
        "box_head": TwoMLPHead(8 * 9, 16),
        "box_predictor": FastRCNNPredictor(16, 2),
        "box_score_thresh": 0.0,
        "box_detections_per_img": 3,
    }


def build_masks(weights: Any = None, weights_backbone: Any = None, min_size: int = 64) -> nn.Module:
    network = detection.MaskRCNN(
        **_shared(min_size),
        mask_roi_pool=MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=1),
        mask_head=MaskRCNNHeads(8, (8,), 1),
        mask_predictor=MaskRCNNPredictor(8, 8, 2),
    )
    if weights is not None:
        network.load_state_dict(weights.get_state_dict(progress=False, check_hash=True))
    return network


def build_keypoints(weights: Any = None, weights_backbone: Any = None, min_size: int = 64) -> nn.Module:
    return detection.KeypointRCNN(
        **_shared(min_size),
        keypoint_roi_pool=MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=1),
        keypoint_head=KeypointRCNNHeads(8, (8,)),
        keypoint_predictor=KeypointRCNNPredictor(8, 17),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with weights of tiny networks, which torchvision's registry knows while the module runs."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        networks = {MASKS: build_masks(), KEYPOINTS: build_keypoints()}
    for name, network in networks.items():
        save_file(network.state_dict(), folder / f"{name}.safetensors")
        torch.save(network.state_dict(), folder / f"{name}.pth")
    register_model(MASKS)(build_masks)
    register_model(KEYPOINTS)(build_keypoints)
    yield folder
    del BUILTIN_MODELS[MASKS], BUILTIN_MODELS[KEYPOINTS]


def masks_annotator(files: Path, **options: Any) -> MaskRCNN:
    return MaskRCNN(files / f"{MASKS}.safetensors", architecture=MASKS, **options)


def keypoints_annotator(files: Path, **options: Any) -> KeypointRCNN:
    return KeypointRCNN(files / f"{KEYPOINTS}.safetensors", architecture=KEYPOINTS, **options)


def noise(width: int, height: int, seed: int) -> Sample:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Sample(Image.fromarray(pixels))


def answering(annotator: Any, **found: Tensor) -> Any:
    """The annotator, with a network that finds the same in every image."""
    annotator._network.forward = lambda images: [found for _ in images]
    return annotator


def rectangle_masks(size: tuple[int, int], boxes: list[tuple[int, int, int, int]]) -> Tensor:
    masks = torch.zeros(len(boxes), 1, *size)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[0, y1:y2, x1:x2] = 0.9
    return masks


def find_mask(
    files: Path,
    rectangles: list[tuple[int, int, int, int]],
    *,
    scores: list[float],
    labels: list[int] | None = None,
    boxes: list[list[float]] | None = None,
) -> Any:
    """Answer for a crop 20 wide and 40 high in which these instances are found."""
    annotator = answering(
        masks_annotator(files),
        masks=rectangle_masks((40, 20), rectangles),
        boxes=torch.tensor(rectangles if boxes is None else boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels or [1] * len(scores), dtype=torch.long),
    )
    return annotator.annotate([noise(20, 40, 0)])[0]


def test_mask_is_of_the_likeliest_person_in_the_middle(files: Path) -> None:
    rectangles = [(0, 0, 5, 40), (5, 10, 15, 30), (6, 12, 14, 28), (2, 2, 18, 38)]
    mask = find_mask(files, rectangles, scores=[0.99, 0.7, 0.8, 0.95], labels=[1, 1, 1, 2])
    assert mask.dtype == np.uint8
    assert mask.shape == (40, 20)
    expected = np.zeros((40, 20), np.uint8)
    expected[12:28, 6:14] = 1
    np.testing.assert_array_equal(mask, expected)


def test_a_mask_in_the_middle_goes_before_a_likelier_box(files: Path) -> None:
    mask = find_mask(
        files, [(0, 0, 5, 40), (8, 18, 12, 22)], scores=[0.99, 0.6], boxes=[[0, 0, 20, 40], [8, 18, 12, 22]]
    )
    assert mask.sum() == 16


def test_without_a_mask_in_the_middle_the_likeliest_box_that_has_it_counts(files: Path) -> None:
    boxes = [[0, 0, 9, 40], [0, 0, 12, 40], [0, 0, 20, 40]]
    mask = find_mask(files, [(0, 0, 3, 3), (0, 0, 2, 2), (0, 0, 5, 5)], scores=[0.9, 0.8, 0.7], boxes=boxes)
    assert mask.sum() == 4


@pytest.mark.parametrize(
    ("rectangles", "scores", "labels"),
    [
        ([], [], []),
        ([(5, 10, 15, 30)], [0.4], [1]),  # unlikely
        ([(5, 10, 15, 30)], [0.9], [3]),  # a car
        ([(0, 0, 5, 40)], [0.9], [1]),  # at the side
    ],
)
def test_no_mask_where_no_person_is_in_the_middle(
    files: Path, rectangles: list[tuple[int, int, int, int]], scores: list[float], labels: list[int]
) -> None:
    assert find_mask(files, rectangles, scores=scores, labels=labels) is None


def test_no_mask_of_a_box_without_pixels(files: Path) -> None:
    assert find_mask(files, [(0, 0, 0, 0)], scores=[0.9], boxes=[[0, 0, 20, 40]]) is None


def test_the_middle_pixel_and_the_least_score_count_as_inside(files: Path) -> None:
    assert find_mask(files, [(10, 20, 11, 21)], scores=[0.5]).sum() == 1
    assert find_mask(files, [(9, 19, 10, 20)], scores=[0.5], boxes=[[0, 0, 9, 9]]) is None


def test_keypoints_count_from_the_middle_of_the_first_pixel(files: Path) -> None:
    """A peak in a cell of a heat map that lies on the crop's own grid comes out as that pixel."""
    heatmaps = torch.full((1, 17, 40, 20), -4.0)
    cells = [(i, 2 * i) for i in range(17)]  # x, y
    for i, (x, y) in enumerate(cells):
        heatmaps[0, i, y, x] = 2.0
    box = torch.tensor([[0.0, 0.0, 20.0, 40.0]])
    points, scores = heatmaps_to_keypoints(heatmaps, box)
    annotator = answering(
        keypoints_annotator(files),
        boxes=box,
        labels=torch.tensor([1]),
        scores=torch.tensor([0.9]),
        keypoints=points,
        keypoints_scores=scores,
    )
    answer = annotator.annotate([noise(20, 40, 0)])[0]
    assert answer.shape == (17, 3)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer[:, :2], cells, atol=1e-5)
    np.testing.assert_allclose(answer[:, 2], 1 / (1 + np.exp(-2.0)), rtol=1e-5)


def test_keypoints_are_of_the_likeliest_box_in_the_middle(files: Path) -> None:
    found = {
        "boxes": torch.tensor([[0.0, 0, 8, 40], [0, 0, 20, 40], [5, 5, 15, 35], [0, 0, 20, 40]]),
        "labels": torch.tensor([1, 1, 1, 2]),
        "scores": torch.tensor([0.99, 0.6, 0.8, 0.9]),
        "keypoints": torch.arange(4.0).reshape(4, 1, 1).expand(4, 17, 3),
        "keypoints_scores": torch.zeros(4, 17),
    }
    sample = noise(20, 40, 0)
    answer = answering(keypoints_annotator(files), **found).annotate([sample])[0]
    np.testing.assert_allclose(answer, [[1.5, 1.5, 0.5]] * 17)
    strict = answering(keypoints_annotator(files, min_score=0.85), **found)
    assert strict.annotate([sample]) == [None]


def test_keypoints_must_be_those_of_coco(files: Path) -> None:
    annotator = answering(keypoints_annotator(files), keypoints=torch.zeros(1, 5, 3))
    with pytest.raises(ModelError, match="17 keypoints, got 5"):
        annotator.annotate([noise(20, 40, 0)])


@pytest.mark.parametrize("create", [masks_annotator, keypoints_annotator])
def test_a_batch_is_answered_as_one_by_one(files: Path, create: Callable[..., Any]) -> None:
    """Images of several sizes, with real (random) networks in which something is found."""
    annotator = create(files, min_score=1e-6)
    samples = [noise(30, 70, 1), noise(40, 60, 2), noise(30, 70, 3), noise(64, 64, 4)]
    together = annotator.annotate(samples)
    assert any(answer is not None for answer in together)
    for sample, answer in zip(samples, together, strict=True):
        alone = annotator.annotate([sample])[0]
        assert (alone is None) == (answer is None)
        if answer is not None:
            np.testing.assert_allclose(answer, alone, atol=1e-3)
            if annotator.kind == "masks":
                assert answer.shape == (sample.image.height, sample.image.width)
    assert annotator.annotate([]) == []


def test_other_modes_are_taken_as_rgb(files: Path) -> None:
    annotator = masks_annotator(files, min_score=1e-6)
    grey = noise(30, 70, 1).image.convert("L")
    results = [annotator.annotate([Sample(image)])[0] for image in (grey, grey.convert("RGB"))]
    np.testing.assert_array_equal(results[0], results[1])


def test_both_formats_of_file_give_the_same_network(files: Path) -> None:
    one = masks_annotator(files)
    two = MaskRCNN(str(files / f"{MASKS}.pth"), architecture=MASKS)
    for key, value in one._network.state_dict().items():
        torch.testing.assert_close(two._network.state_dict()[key], value)
    assert not one._network.training


def test_description_contains_all_that_results_depend_on(files: Path) -> None:
    path = files / f"{MASKS}.safetensors"
    assert masks_annotator(files, min_score=0.6, min_size_px=96).describe() == {
        "method": "mask-rcnn",
        "architecture": MASKS,
        "weights": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest()[:16],
        "min_score": 0.6,
        "min_size_px": 96,
        "mask_threshold": 0.5,
    }
    assert keypoints_annotator(files).describe()["min_size_px"] == 64
    assert hash_files(path) != hash_files(path, path)


def test_frozen_normalisation_keeps_the_epsilon_of_its_time(files: Path, tmp_path: Path) -> None:
    """Torchvision's weights of 2019 have no counters of batches, and an epsilon of 0."""
    state = build_masks().state_dict()
    frozen = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    save_file(frozen, tmp_path / "old.safetensors")
    old = MaskRCNN(tmp_path / "old.safetensors", architecture=MASKS)
    assert old._network.backbone[1].eps == 0
    assert masks_annotator(files)._network.backbone[1].eps > 0


def test_older_names_of_tensors_are_known(files: Path, tmp_path: Path) -> None:
    """As in the files of 2019 that torchvision publishes to this day."""
    state = masks_annotator(files)._network.state_dict()
    old = {key.replace("rpn.head.conv.0.0.", "rpn.head.conv."): value for key, value in state.items()}
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "old.pth")
    annotator = MaskRCNN(tmp_path / "old.pth", architecture=MASKS)
    for key, value in state.items():
        torch.testing.assert_close(annotator._network.state_dict()[key], value)


@pytest.fixture
def registered(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Registers an architecture whose own weights are at a given address."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))

    def register(url: str) -> None:
        class TinyWeights(WeightsEnum):
            DEFAULT = Weights(url=url, transforms=dict, meta={})

        def build(weights: Any = None, weights_backbone: Any = None, min_size: int = 64) -> nn.Module:
            return build_masks(weights, weights_backbone, min_size)

        build.__annotations__["weights"] = TinyWeights
        monkeypatch.setitem(BUILTIN_MODELS, DOWNLOAD, build)

    return register


def test_own_weights_are_downloaded_and_checked(
    files: Path, tmp_path: Path, registered: Callable[[str], None]
) -> None:
    content = (files / f"{MASKS}.pth").read_bytes()
    published = tmp_path / f"tiny-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    published.write_bytes(content)
    registered(published.as_uri())
    annotator = MaskRCNN(architecture=DOWNLOAD)
    assert annotator.describe()["weights"] == published.name
    for key, value in masks_annotator(files)._network.state_dict().items():
        torch.testing.assert_close(annotator._network.state_dict()[key], value)


@pytest.mark.parametrize("there", [True, False])
def test_a_failed_download_suggests_a_file(
    files: Path, tmp_path: Path, registered: Callable[[str], None], there: bool
) -> None:
    published = tmp_path / "tiny-00000000.pth"  # not its hash
    if there:
        published.write_bytes((files / f"{MASKS}.pth").read_bytes())
    registered(published.as_uri())
    with pytest.raises(ModelError, match=r"could not be downloaded .*give the path of a \.safetensors"):
        MaskRCNN(architecture=DOWNLOAD)


def test_an_architecture_without_weights_suggests_a_file(files: Path) -> None:
    with pytest.raises(ModelError, match=r"could not be downloaded .*give the path"):
        MaskRCNN(architecture=MASKS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("roi_heads.box_head.fc6.weight"), r"1 tensors are missing.*fc6\.weight"),
        (lambda state: state.update(extra=torch.zeros(1)), "1 tensors are unknown, first extra"),
        (
            lambda state: state.update({"roi_heads.box_head.fc6.bias": torch.zeros(3)}),
            r"size mismatch for roi_heads\.box_head\.fc6\.bias",
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_of_another_network_are_refused(
    files: Path, tmp_path: Path, change: Callable[[dict[str, Tensor]], Any], message: str, suffix: str
) -> None:
    state = dict(build_masks().state_dict())
    change(state)
    path = tmp_path / f"other{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    with pytest.raises(ModelError, match=rf"^other\{suffix} does not fit {MASKS} .*{message}"):
        MaskRCNN(path, architecture=MASKS)


def test_files_that_are_no_weights_are_refused(files: Path, tmp_path: Path) -> None:
    for suffix in (".safetensors", ".pth"):
        damaged = tmp_path / f"damaged{suffix}"
        damaged.write_bytes(b"nothing of the kind")
        with pytest.raises(ModelError, match=f"{damaged} is damaged"):
            MaskRCNN(damaged, architecture=MASKS)
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="contains a list, not a dictionary"):
        MaskRCNN(tmp_path / "list.pth", architecture=MASKS)
    torch.save(build_masks(), tmp_path / "whole.pth")  # could run code when read
    with pytest.raises(ModelError, match="contains more than tensors"):
        MaskRCNN(tmp_path / "whole.pth", architecture=MASKS)
    with pytest.raises(ModelError, match="no weights at"):
        MaskRCNN(tmp_path / "missing.pth", architecture=MASKS)
    (tmp_path / "net.onnx").touch()
    with pytest.raises(ModelError, match=r"expected weights as \.safetensors or \.pth, got net\.onnx"):
        MaskRCNN(tmp_path / "net.onnx", architecture=MASKS)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("maskrcnn_resnet50_fpn_v3", "did you mean maskrcnn_resnet50_fpn"),
        ("xyz", "choose one of .*maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2"),
        (KEYPOINTS, "expected a MaskRCNN, keypointrcnn_tiny is not one"),
        ("resnet18", "expected a MaskRCNN, resnet18 is not one"),
    ],
)
def test_architectures_that_find_no_masks_are_refused(
    files: Path, architecture: str, message: str, own: bool
) -> None:
    weights = "torchvision" if own else files / f"{MASKS}.pth"
    with pytest.raises(ModelError, match=message):
        MaskRCNN(weights, architecture=architecture)


def test_wrong_options_are_refused(files: Path) -> None:
    with pytest.raises(ModelError, match="min_score between 0 and 1, got 1"):
        masks_annotator(files, min_score=1.0)
    with pytest.raises(ModelError, match="min_size_px ≥ 32 or None, got 0"):
        masks_annotator(files, min_size_px=0)
    with pytest.raises(ModelError, match="device 'toaster' cannot be used"):
        masks_annotator(files, device="toaster")
