"""Coarse parsing without a network: each pixel of a mask gets the class of the nearest limb."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.annotators.base import Kind, Sample
from passerby.data.transforms import COCO_MIRROR
from passerby.errors import DataError
from passerby.parsing import COARSE_CLASSES

__all__ = ["MEAN_POSE", "BodyShape", "GeometricParser", "complete_pose", "find_nearest_part", "list_limbs"]

Floats = NDArray[np.float64]

MEAN_POSE: tuple[tuple[float, float], ...] = (
    *((0.0, -1.38), (0.07, -1.45), (-0.07, -1.45), (0.15, -1.4), (-0.15, -1.4)),
    *((0.31, -1.0), (-0.31, -1.0), (0.41, -0.46), (-0.41, -0.46), (0.41, 0.0), (-0.41, 0.0)),
    *((0.2, 0.0), (-0.2, 0.0), (0.18, 0.83), (-0.18, 0.83), (0.13, 1.57), (-0.13, 1.57)),
)
"""Mean position of the 17 COCO keypoints: x and y from the centre of the hips, in torso lengths.

Medians over the training split of CCP's partition `random-0` (scores of at least 0.3), made symmetric and
rounded: a person who stands and faces the camera."""

_BODY = slice(5, 17)
_MIN_CONFIDENT = 4
_HEAD, _UPPER, _LOWER, _FEET = 1, 2, 3, 4

Limb = tuple[int, Floats, Floats, float]
"""Class, both ends (x, y) and radius in pixels."""


@dataclass(frozen=True, slots=True)
class BodyShape:
    """Radii of the limbs and borders between classes; lengths in torso lengths.

    The values agreed best with the training split of CCP (`benchmarks/geometric_parsing.py --tune`).

    Args:
        head_radius: Radius of the head.
        torso_radius: Radius of the limbs from the shoulders to the waist.
        arm_radius: Radius of the arms.
        leg_radius: Radius of hips and legs.
        foot_radius: Radius of the feet.
        head_low: Start of the head's limb, as a fraction of the distance from the neck (the centre of the
            shoulders) to the centre of the face; it ends at the same distance beyond this centre.
        waist: End of the torso's limbs, as a fraction of the distance from the shoulders to the hips.
        hand: Extension of the forearm beyond the wrist, as a fraction of its length.
        shin: End of the leg's limb, as a fraction of the distance from the knee to the ankle.
        foot: Extension of the foot beyond the ankle, in the direction of the shin.
    """

    head_radius: float = 0.38
    torso_radius: float = 0.24
    arm_radius: float = 0.18
    leg_radius: float = 0.15
    foot_radius: float = 0.1
    head_low: float = 0.8
    waist: float = 0.96
    hand: float = 0.3
    shin: float = 0.86
    foot: float = 0.23


def complete_pose(keypoints: NDArray[np.float32], *, min_score: float = 0.3) -> tuple[Floats, float] | None:
    """Fill in missing keypoints.

    A keypoint is missing if its score is below `min_score` or its coordinates are not finite. If its
    counterpart on the other side of the body is present, it gets the position of the counterpart, as if
    hidden behind it. The others come from `MEAN_POSE`, scaled and translated (not rotated) to fit the
    present ones.

    Args:
        keypoints: COCO keypoints: x, y, score.
        min_score: Minimum score.

    Returns:
        All keypoints, and the torso length in pixels from the fit; None with fewer than four of the twelve
        keypoints from the shoulders down, or if all have the same position.

    Shape:
        keypoints: (17, 3); returns (17, 2), x and y.

    Raises:
        DataError: If there are not 17 keypoints of three numbers each.

    Example:
        >>> complete = np.column_stack((np.array(MEAN_POSE) * 10 + 50, np.ones(17)))
        >>> incomplete = complete.copy()
        >>> incomplete[[0, 9, 13, 14], 2] = 0  # nose, a wrist, both knees
        >>> points, torso = complete_pose(incomplete)
        >>> points[[0, 9, 13]].round(2).tolist(), round(torso, 2)
        ([[50.0, 36.2], [45.9, 50.0], [51.8, 58.3]], 10.0)
    """
    if keypoints.shape != (17, 3):
        raise DataError(f"expected keypoints of shape (17, 3), in COCO order, got {keypoints.shape}")
    points = keypoints[:, :2].astype(np.float64)
    present = np.isfinite(points).all(axis=1) & (keypoints[:, 2] >= min_score)
    if present[_BODY].sum() < _MIN_CONFIDENT:
        return None
    mean = np.array(MEAN_POSE)
    middle, mean_middle = points[present].mean(axis=0), mean[present].mean(axis=0)
    spread = float(np.sqrt(np.square(points[present] - middle).sum()))
    if spread == 0:
        return None
    torso = spread / float(np.sqrt(np.square(mean[present] - mean_middle).sum()))
    mirrored = np.array(COCO_MIRROR)
    hidden = ~present & present[mirrored]
    fitted = middle + (mean - mean_middle) * torso
    twin = points[mirrored]
    points = np.where(present[:, None], points, np.where(hidden[:, None], twin, fitted))
    return points, torso


def list_limbs(points: Floats, torso: float, shape: BodyShape) -> Iterator[Limb]:
    """The limbs of a pose: class in `COARSE_CLASSES`, ends and radius in pixels.

    Args:
        points: COCO keypoints, none missing.
        torso: Torso length in pixels.
        shape: Radii and borders between classes.

    Shape:
        points: (17, 2).
    """
    neck, face = points[5:7].mean(axis=0), points[:5].mean(axis=0)
    low, high = shape.head_low, 2 - shape.head_low
    yield _HEAD, neck + low * (face - neck), neck + high * (face - neck), shape.head_radius * torso
    waist = points[5:7] + shape.waist * (points[11:13] - points[5:7])
    trunk = [(points[5], points[6]), (neck, waist.mean(axis=0)), (points[5], waist[0]), (points[6], waist[1])]
    for a, b in trunk:
        yield _UPPER, a, b, shape.torso_radius * torso
    yield _LOWER, points[11], points[12], shape.leg_radius * torso
    for side in (0, 1):
        shoulder, elbow, wrist, hip, knee, ankle = points[[5 + side + 2 * k for k in range(6)]]
        yield _UPPER, shoulder, elbow, shape.arm_radius * torso
        yield _UPPER, elbow, wrist + shape.hand * (wrist - elbow), shape.arm_radius * torso
        yield _LOWER, hip, knee, shape.leg_radius * torso
        yield _LOWER, knee, knee + shape.shin * (ankle - knee), shape.leg_radius * torso
        down = (ankle - knee) / max(float(np.hypot(*(ankle - knee))), 1e-9)
        yield _FEET, ankle, ankle + shape.foot * torso * down, shape.foot_radius * torso


class GeometricParser:
    """Coarse parsing of a mask by keypoints.

    The body consists of limbs: segments between keypoints, each with a radius. A pixel of the mask gets the
    class (head, upper, lower, feet) of the limb with the nearest surface; of equally near ones, the class
    nearer to the head. Pixels far from limbs (the hem of a skirt, hair) get the nearest class, too, so a
    dress is lower from the hips down, whereas annotations of clothes call it upper. Carried objects in the
    mask are not separated. `complete_pose` fills in missing keypoints.

    On the photos of CCP, which show complete, upright persons, the mean IoU with the annotated classes is one
    point above that of bands at fixed fractions of the mask's height (`benchmarks/geometric_parsing.py`);
    unlike bands, it does not require a complete body.

    Args:
        min_score: Minimum score of a keypoint.
        shape: Radii of the limbs and borders between classes.

    Raises:
        DataError: If the score is not within 0 … 1.

    Example:
        >>> from PIL import Image
        >>> pose = np.column_stack((np.array(MEAN_POSE) * 10 + (10, 20), np.ones(17))).astype(np.float32)
        >>> person = Sample(Image.new("RGB", (20, 40)), mask=np.ones((40, 20), np.uint8), keypoints=pose)
        >>> (parsing,) = GeometricParser().annotate([person])
        >>> [COARSE_CLASSES[parsing[y, 10]] for y in (5, 15, 25, 38)]
        ['head', 'upper', 'lower', 'feet']
    """

    kind: Kind = "parsing"
    name = "geometric"
    needs: tuple[Kind, ...] = ("masks", "keypoints")
    classes: tuple[str, ...] = COARSE_CLASSES[:5]

    def __init__(self, *, min_score: float = 0.3, shape: BodyShape | None = None) -> None:
        if not 0 <= min_score <= 1:
            raise DataError(f"expected a min_score within 0 … 1, got {min_score}")
        self.min_score = min_score
        self.shape = shape or BodyShape()

    def describe(self) -> Mapping[str, Any]:
        """The method, the threshold and the shape of the body."""
        return {"method": self.name, "version": 1, "min_score": self.min_score, "shape": asdict(self.shape)}

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        """Parse the masks of a batch.

        Returns:
            One map (h, w) uint8 per sample, numbered as `COARSE_CLASSES`; None without mask or keypoints,
            or if the mask is empty or too few keypoints are present.

        Raises:
            DataError: If the size of a mask differs from that of its image, or keypoints are not (17, 3).
        """
        return [self._parse(sample) for sample in samples]

    def _parse(self, sample: Sample) -> NDArray[np.uint8] | None:
        mask, keypoints = sample.mask, sample.keypoints
        if mask is None or keypoints is None:
            return None
        if mask.shape != (sample.image.height, sample.image.width):
            raise DataError(
                f"expected a mask of {sample.image.height} × {sample.image.width} (height × width), the size "
                f"of the image, got {mask.shape}; crop mask and image to the same box"
            )
        pose = complete_pose(keypoints, min_score=self.min_score)
        rows, columns = np.nonzero(mask)
        if pose is None or not len(rows):
            return None
        parsing = np.zeros(mask.shape, np.uint8)
        x, y = columns.astype(np.float64), rows.astype(np.float64)
        parsing[rows, columns] = find_nearest_part(x, y, list_limbs(*pose, self.shape))
        return parsing


def find_nearest_part(x: Floats, y: Floats, limbs: Iterable[Limb]) -> NDArray[np.uint8]:
    """The class of the limb with the nearest surface for each of P points: minimum of distance minus radius.

    Args:
        x: In pixels.
        y: In pixels.
        limbs: As from `list_limbs`.

    Shape:
        x, y: (P,); returns (P,), numbers of `COARSE_CLASSES`.
    """
    distances = np.full((_FEET, len(x)), np.inf)
    for part, a, b, radius in limbs:
        found = distances[part - 1]
        np.minimum(found, _measure_distance(x - a[0], y - a[1], b - a) - radius, out=found)
    nearest: NDArray[np.intp] = distances.argmin(axis=0)
    return (nearest + 1).astype(np.uint8)


def _measure_distance(dx: Floats, dy: Floats, way: Floats) -> Floats:
    """Distance from points to the segment from the origin to `way`; overwrites `dx` and `dy`."""
    # In place: a photo has about 10⁵ pixels of a person, times 16 limbs.
    along = dx * way[0] + dy * way[1]
    along /= max(float(way @ way), 1e-12)
    np.clip(along, 0, 1, out=along)
    dx -= along * way[0]
    dy -= along * way[1]
    dx *= dx
    dy *= dy
    dx += dy
    return np.sqrt(dx, out=dx)
