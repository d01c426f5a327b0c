"""The shape of a head, and its units of length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from passerby.synthetic.canvas import Canvas
from passerby.synthetic.identities import Identity
from passerby.synthetic.skeleton import Body, Joints, Lens
from passerby.synthetic.sketch import Sketch
from passerby.synthetic.solids import Ring, Solid

__all__ = ["FACE_ANGLES", "FACE_HEIGHTS", "SKULL", "Head"]

# Height above the chin, half-width, half-depth, forward offset; all in head heights.
SKULL: tuple[Ring, ...] = (
    (0.0, 0.15, 0.12, 0.20),
    (0.12, 0.27, 0.26, 0.12),
    (0.30, 0.355, 0.39, 0.04),
    (0.52, 0.395, 0.45, 0.0),
    (0.74, 0.385, 0.46, -0.02),
    (0.90, 0.28, 0.36, -0.03),
    (1.0, 0.06, 0.08, -0.03),
)
# Half-angle of the face (degrees from the nose to the hair) at heights above the chin.
FACE_HEIGHTS = (0.0, 0.30, 0.34, 0.58, 0.70, 0.78, 0.83)
FACE_ANGLES = (120.0, 112.0, 84.0, 76.0, 66.0, 50.0, 20.0)


@dataclass(frozen=True)
class Head:
    """The head of one person in one view.

    Args:
        sketch: The person and the canvas.
        lens: The camera, turned with the head.
    """

    sketch: Sketch
    lens: Lens

    @property
    def canvas(self) -> Canvas:
        """The canvas to draw on."""
        return self.sketch.canvas

    @property
    def identity(self) -> Identity:
        """The person."""
        return self.sketch.identity

    @property
    def body(self) -> Body:
        """Proportions."""
        return self.sketch.body

    @property
    def joints(self) -> Joints:
        """Pose."""
        return self.sketch.joints

    @property
    def scale(self) -> float:
        """Size of hat and glasses relative to their natural size."""
        return self.sketch.object_scale

    @property
    def facing(self) -> float:
        """Cosine of the head's yaw: 1 faces the viewer, −1 faces away."""
        return self.lens.cos

    @cached_property
    def skull(self) -> Solid:
        """Shape of the head without hair."""
        return self.stack(SKULL)

    def stack(self, rings: tuple[Ring, ...], *, grow: float = 1.0) -> Solid:
        """Convert rings from head heights above the chin to a solid of this head."""
        size, chin = self.body.head, self.joints["chin"]
        placed = [(chin[1] + t * size, a * size * grow, b * size * grow, z * size) for t, a, b, z in rings]
        return Solid(placed, self.lens, axis=(0.0, chin[2]))

    def height(self, share: float) -> float:
        """Convert a height from head heights above the chin to body heights above the ground."""
        return self.joints["chin"][1] + share * self.body.head

    def px(self, share: float) -> float:
        """Convert a length from head heights to pixels."""
        return share * self.body.head * self.lens.scale
