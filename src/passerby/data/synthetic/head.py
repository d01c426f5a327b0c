"""Head, face, hair, hats and glasses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.data.synthetic.canvas import Canvas, Colour, darker, lighter, mix
from passerby.data.synthetic.parts import Part
from passerby.data.synthetic.people import Identity
from passerby.data.synthetic.sketch import Sketch
from passerby.data.synthetic.skeleton import Body, Joints, Lens
from passerby.data.synthetic.solids import Ring, Solid

__all__ = ["Head"]

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
        sketch: Whose head, on which canvas.
        lens: The view, already turned with the head.
    """

    sketch: Sketch
    lens: Lens

    @property
    def canvas(self) -> Canvas:
        """Where to draw."""
        return self.sketch.canvas

    @property
    def identity(self) -> Identity:
        """Whose head."""
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
        """Size of hat and glasses relative to natural."""
        return self.sketch.object_scale

    # ------------------------------------------------------------------ shapes

    def _solid(self, rings: tuple[Ring, ...], *, grow: float = 1.0) -> Solid:
        size, chin = self.body.head, self.joints["chin"]
        placed = [(chin[1] + t * size, a * size * grow, b * size * grow, z * size) for t, a, b, z in rings]
        return Solid(placed, self.lens, axis=(0.0, chin[2]))

    def _height(self, t: float) -> float:
        return self.joints["chin"][1] + t * self.body.head

    @property
    def _facing(self) -> float:
        return self.lens.cos

    def _pixels(self, share: float) -> float:
        return share * self.body.head * self.lens.scale

    # ------------------------------------------------------------------ drawing, from far to near

    def draw_behind(self) -> None:
        """What hangs behind the trunk when the person faces the viewer."""
        if self._facing > 0.25:
            self._draw_long_hair()
            self._draw_tail()
        if self._facing <= 0 and self.identity.wears["Hat"] and self.identity.hat_style == "cap":
            self._draw_peak()

    def draw(self) -> None:
        """Head with everything on it."""
        skin = self.identity.skin
        skull = self._solid(SKULL)
        self.canvas.polygon(skull.outline(), skin, Part.FACE)
        if self._facing > 0.25 or self.identity.hair_style != "bald":
            self._draw_hair(skull)
        self._draw_face(skull)
        if self.identity.hair_style == "bald" and self._facing <= 0.25:
            self._draw_ring_of_hair(skull)
        self._draw_ear(skull)
        if self._facing <= 0.25:
            self._draw_long_hair()
            self._draw_tail()
        elif self.identity.hair_style == "long":
            self._draw_locks(skull)
        if self.identity.wears["Hat"]:
            self._draw_hat()
        if self.identity.wears["Glasses"]:
            self._draw_glasses(skull)

    # ------------------------------------------------------------------ face

    def _draw_face(self, skull: Solid) -> None:
        skin = self.identity.skin
        patch = self._face_patch(skull)
        if patch is None:
            return
        self.canvas.polygon(patch, skin, Part.FACE)
        nose = skull.spot(self._height(0.40), 0)
        sideways = self.lens.sin
        if self._facing > -0.35:
            tip = (nose[0] + sideways * self._pixels(0.12), nose[1] + self._pixels(0.03))
            root = skull.spot(self._height(0.56), 0)
            base = skull.spot(self._height(0.33), 0)
            if abs(sideways) > 0.35:
                self.canvas.polygon([root, tip, base], skin, Part.FACE)
            else:
                self.canvas.capsule((nose, base), (self._pixels(0.035), self._pixels(0.055)),
                                    darker(skin, 0.12), Part.FACE)
        if self.identity.beard:
            self._draw_beard(skull)
        self._draw_features(skull)

    def _face_patch(self, skull: Solid) -> NDArray[np.float64] | None:
        left, right = [], []
        bald = self.identity.hair_style == "bald"
        for t, angle in zip(FACE_HEIGHTS, FACE_ANGLES, strict=True):
            wide = max(angle, 95.0) if bald and t > 0.6 else angle
            low, high = max(-wide, -90.0 - self.lens.yaw), min(wide, 90.0 - self.lens.yaw)
            if high <= low:
                continue
            height = np.array([self._height(t)])
            left.append(skull.edge(height, low)[0])
            right.append(skull.edge(height, high)[0])
        return np.stack(left + right[::-1]) if len(left) > 1 else None

    def _draw_features(self, skull: Solid) -> None:
        skin, old = self.identity.skin, self.identity.wears["AgeOver60"]
        ink = mix(self.identity.hair, (30, 22, 34), 0.55)
        for side in (-1, 1):
            cheek = skull.faces(side * 38)
            if cheek > 0.2:
                spot = skull.spot(self._height(0.31), side * 38)
                self.canvas.ellipse(spot, (self._pixels(0.075) * cheek, self._pixels(0.05)),
                                    mix(skin, (232, 92, 84), 0.22), Part.FACE)
            seen = skull.faces(side * 25)
            if seen < 0.12:
                continue
            eye = skull.spot(self._height(0.50), side * 25)
            brow = (eye[0], eye[1] - self._pixels(0.11))
            self.canvas.ellipse(eye, (self._pixels(0.042) * max(0.6, seen), self._pixels(0.055)),
                                (38, 28, 38), Part.FACE)
            half = self._pixels(0.085) * seen
            self.canvas.line([(brow[0] - half, brow[1]), (brow[0] + half, brow[1])], self._pixels(0.045),
                             ink if not old else self.identity.hair, Part.FACE)
            if old:
                line = darker(skin, 0.3)
                fold = skull.spot(self._height(0.27), side * 22)
                self.canvas.line([(fold[0], fold[1] - self._pixels(0.09)), (fold[0] + side * 2, fold[1])], 2,
                                 line, Part.FACE)
        if skull.faces(0) > 0.1:
            mouth = skull.spot(self._height(0.19), 0)
            half = self._pixels(0.10) * max(0.35, skull.faces(0))
            lips = mix(skin, (190, 60, 66), 0.55 if self.identity.wears["Female"] else 0.3)
            thick = self._pixels(0.05 if self.identity.wears["Female"] else 0.035)
            x, y = mouth[0] - self.lens.sin * self._pixels(0.04), mouth[1]
            smile = [(x - half, y - thick * 0.7), (x - half * 0.5, y + thick * 0.2), (x + half * 0.5, y + thick * 0.2),
                     (x + half, y - thick * 0.7)]
            self.canvas.line(smile, thick, darker(lips, 0.1), Part.FACE)

    def _draw_beard(self, skull: Solid) -> None:
        patch = skull.strip((self._height(0.01), self._height(0.3)), (-100, 100))
        if patch is not None:
            self.canvas.polygon(patch, mix(self.identity.hair, self.identity.skin, 0.25), Part.FACE)
            gap = skull.strip((self._height(0.22), self._height(0.34)), (-32, 32))
            if gap is not None:
                self.canvas.polygon(gap, self.identity.skin, Part.FACE)

    def _draw_ear(self, skull: Solid) -> None:
        if self.identity.hair_style in ("long", "bob", "curly"):
            return
        for side in (-1, 1):
            seen = skull.faces(side * 95)
            if seen > -0.25:
                spot = skull.spot(self._height(0.44), side * 95)
                self.canvas.ellipse(spot, (self._pixels(0.07), self._pixels(0.1)), darker(self.identity.skin, 0.1),
                                    Part.FACE)

    # ------------------------------------------------------------------ hair

    def _draw_hair(self, skull: Solid) -> None:
        hair = self.identity.hair
        style = self.identity.hair_style
        if style == "bald":
            self._draw_ring_of_hair(skull)
            return
        grow = {"crew": 1.03, "curly": 1.12, "bob": 1.12, "long": 1.1}.get(style, 1.07)
        low = 0.2 if style in ("crew", "short", "quiff", "pony", "bun") else 0.02
        cap = tuple((max(t, low) if t < 0.3 else t + (t - 0.3) * (grow - 1.0) * 0.9, a, b, z - 0.02)
                    for t, a, b, z in SKULL if t >= 0.12 or low < 0.1)
        solid = self._solid(cap, grow=grow)
        if style == "curly":
            self._draw_curls(solid, hair)
        self.canvas.polygon(solid.outline(), hair, Part.HAIR)
        self.canvas.polygon(solid.outline(0.25, 1.0), darker(hair, 0.16), Part.HAIR)
        if style == "quiff":
            front = skull.spot(self._height(0.95), 0)
            self.canvas.ellipse((front[0], front[1] - self._pixels(0.03)),
                                (self._pixels(0.26), self._pixels(0.13)), hair, Part.HAIR)
        if not self.identity.wears["Hat"]:
            shine = solid.band(self._height(0.84), self._height(0.9), (-0.6, 0.1))
            self.canvas.polygon(shine, lighter(hair, 0.22), Part.HAIR)

    def _draw_curls(self, solid: Solid, hair: Colour) -> None:
        low = 0.35 if not self.identity.wears["Female"] else 0.1
        for t, radius in ((1.0, 0.15), (0.9, 0.15), (0.7, 0.14), (0.5, 0.13), (low, 0.12)):
            edge = solid.band(self._height(t - 0.01), self._height(t))
            for share, colour in ((0, hair), (8, darker(hair, 0.16))):
                self.canvas.ellipse((float(edge[share, 0]), float(edge[share, 1])),
                                    (self._pixels(radius), self._pixels(radius)), colour, Part.HAIR)

    def _draw_ring_of_hair(self, skull: Solid) -> None:
        for first, last in ((78.0, 150.0), (150.0, 210.0), (210.0, 282.0)):
            patch = skull.strip((self._height(0.14), self._height(0.54)), (first, last))
            if patch is not None:
                self.canvas.polygon(patch, self.identity.hair, Part.HAIR)

    def _draw_long_hair(self) -> None:
        style = self.identity.hair_style
        if style not in ("long", "bob"):
            return
        hair, low = self.identity.hair, -0.62 if style == "long" else -0.1
        rings = ((low, 0.24, 0.10, -0.26), (low * 0.6, 0.40, 0.18, -0.26), (0.1, 0.44, 0.27, -0.2),
                 (0.5, 0.45, 0.34, -0.14), (0.7, 0.40, 0.32, -0.12))
        solid = self._solid(rings)
        self.canvas.polygon(solid.outline(), hair, Part.HAIR)
        self.canvas.polygon(solid.outline(0.3, 1.0), darker(hair, 0.16), Part.HAIR)
        if self._facing <= 0.25:
            self.canvas.polygon(solid.outline(-0.5, -0.32), lighter(hair, 0.12), Part.HAIR)

    def _draw_locks(self, skull: Solid) -> None:
        for side in (-1, 1):
            if skull.faces(side * 80) < -0.1:
                continue
            start = skull.spot(self._height(0.62), side * 82)
            end = (start[0] + (start[0] - skull.spot(self._height(0.6), 0)[0]) * 0.12,
                   start[1] + self._pixels(0.95))
            self.canvas.capsule((start, end), (self._pixels(0.08), self._pixels(0.10)),
                                self.identity.hair if start[0] < skull.spot(self._height(0.6), 0)[0]
                                else darker(self.identity.hair, 0.16), Part.HAIR)

    def _draw_tail(self) -> None:
        hair, size = self.identity.hair, self.body.head
        chin = self.joints["chin"]
        if self.identity.hair_style == "pony":
            knot = self.lens.point((0.0, chin[1] + 0.72 * size, chin[2] - 0.5 * size))
            middle = self.lens.point((0.0, chin[1] + 0.35 * size, chin[2] - 0.82 * size))
            end = self.lens.point((0.0, chin[1] - 0.35 * size, chin[2] - 0.72 * size))
            self.canvas.capsule((knot, middle), (self._pixels(0.10), self._pixels(0.17)), hair, Part.HAIR)
            self.canvas.capsule((middle, end), (self._pixels(0.17), self._pixels(0.05)), darker(hair, 0.12), Part.HAIR)
            self.canvas.ellipse(knot, (self._pixels(0.09), self._pixels(0.07)), self.identity.colours["accent"],
                                Part.HAIR)
        elif self.identity.hair_style == "bun":
            knot = self.lens.point((0.0, chin[1] + 0.92 * size, chin[2] - 0.36 * size))
            self.canvas.ellipse(knot, (self._pixels(0.2), self._pixels(0.19)), darker(hair, 0.08), Part.HAIR)
            self.canvas.ellipse((knot[0] - self._pixels(0.05), knot[1] - self._pixels(0.06)),
                                (self._pixels(0.1), self._pixels(0.07)), lighter(hair, 0.14), Part.HAIR)

    # ------------------------------------------------------------------ hat and glasses

    def _draw_hat(self) -> None:
        colour = self.identity.colours["hat"]
        size = self.scale
        style = self.identity.hat_style
        low = 0.66 + 0.2 * (1 - min(1.0, size))
        top = low + (0.5 if style == "beanie" else 0.44) * size
        wide = (1.22 if self.identity.hair_style == "curly" else 1.14) * (0.4 + 0.6 * size)
        crown = ((low, 0.39, 0.46, -0.02), (low + 0.45 * (top - low), 0.385, 0.45, -0.03),
                 (low + 0.82 * (top - low), 0.27, 0.32, -0.04), (top, 0.07, 0.08, -0.04))
        if style == "brim":
            crown = (*crown[:2], (low + 0.85 * (top - low), 0.33, 0.38, -0.03), (top, 0.24, 0.28, -0.03))
            self._draw_brim(low, size)
        solid = self._solid(crown, grow=wide)
        self.canvas.polygon(solid.outline(), colour, Part.HAT)
        self.canvas.polygon(solid.outline(0.3, 1.0), darker(colour, 0.18), Part.HAT)
        band = solid.band(self._height(low), self._height(low + 0.13 * size))
        if style != "cap":
            self.canvas.polygon(band, self.identity.colours["accent"] if style == "brim" else darker(colour, 0.3),
                                Part.HAT)
        if style == "beanie":
            tip = self.lens.point((0.0, self._height(top + 0.03), self.joints["chin"][2] - 0.04 * self.body.head))
            self.canvas.ellipse(tip, (self._pixels(0.12) * size, self._pixels(0.11) * size), lighter(colour, 0.35),
                                Part.HAT)
        if style == "cap" and self._facing > 0:
            self._draw_peak()

    def _draw_brim(self, low: float, size: float) -> None:
        colour = self.identity.colours["hat"]
        middle = self.lens.point((0.0, self._height(low + 0.03), self.joints["chin"][2]))
        radius = self._pixels(0.72) * (0.4 + 0.6 * size)
        self.canvas.ellipse(middle, (radius, radius * 0.26), darker(colour, 0.28), Part.HAT)
        self.canvas.ellipse((middle[0], middle[1] - self._pixels(0.03)), (radius, radius * 0.22), colour, Part.HAT)

    def _draw_peak(self) -> None:
        size = self.scale
        low = 0.66 + 0.2 * (1 - min(1.0, size))
        chin, head = self.joints["chin"], self.body.head
        angles = np.radians(np.linspace(-68, 68, 9))
        outer = [self.lens.point((float(np.sin(a)) * 0.42 * head * size, self._height(low - 0.02),
                                  chin[2] + (0.2 + float(np.cos(a)) * 0.66 * size) * head)) for a in angles]
        inner = [self.lens.point((float(np.sin(a)) * 0.42 * head * size, self._height(low + 0.07),
                                  chin[2] + float(np.cos(a)) * 0.46 * head)) for a in angles[::-1]]
        self.canvas.polygon(outer + inner, darker(self.identity.colours["hat"], 0.34), Part.HAT)

    def _draw_glasses(self, skull: Solid) -> None:
        frame: Colour = (34, 30, 42)
        lens: Colour = (52, 46, 64) if self.identity.glasses_dark else mix(self.identity.skin, (226, 240, 248), 0.5)
        size, level = self.scale, self._height(0.49)
        for side in (-1, 1):
            ear, hinge = skull.spot(self._height(0.5), side * 90), skull.spot(self._height(0.51), side * 48)
            if skull.faces(side * 88) > 0.05 and skull.faces(side * 40) > -0.1:
                self.canvas.line([ear, hinge], self._pixels(0.06) * size, frame, Part.GLASSES)
        if self._facing > 0.2:
            left, right = skull.spot(level, -24), skull.spot(level, 24)
            self.canvas.line([left, right], self._pixels(0.05) * size, frame, Part.GLASSES)
        for side in (-1, 1):
            seen = skull.faces(side * 24)
            if seen < 0.1:
                continue
            spot = skull.spot(level, side * 24)
            radius = self._pixels(0.155) * size
            self.canvas.ellipse(spot, (radius * max(0.45, seen), radius * 0.92), frame, Part.GLASSES)
            inner = (radius * max(0.45, seen) - self._pixels(0.045) * size, radius * 0.92 - self._pixels(0.045) * size)
            self.canvas.ellipse(spot, inner, lens, Part.GLASSES)
            if not self.identity.glasses_dark:
                self.canvas.ellipse(spot, (self._pixels(0.04), self._pixels(0.05)), (38, 28, 38), Part.GLASSES)
