"""The skeleton in three dimensions, and its projection by a camera.

Body coordinates are in units of the person's height: x to the person's left, y up from the ground, z forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from passerby.synthetic.canvas import Point
from passerby.synthetic.identities import Identity
from passerby.synthetic.views import View

__all__ = ["Body", "Joints", "Lens", "Point3D", "create_body", "create_joints"]

Point3D = tuple[float, float, float]


@dataclass(frozen=True)
class Body:
    """Lengths of a body, in units of its height."""

    head: float
    chin: float
    shoulder: float
    waist: float
    hip: float
    knee: float
    ankle: float
    shoulder_half: float
    chest_half: float
    waist_half: float
    hip_half: float
    depth: float
    bust: float
    belly: float
    upper_arm: float
    forearm: float
    limb: float
    lean: float


@dataclass(frozen=True)
class Joints:
    """Positions of the joints by name; `left` and `right` are those of the person."""

    points: dict[str, Point3D]
    stride: float

    def __getitem__(self, name: str) -> Point3D:
        return self.points[name]


class Lens:
    """An orthographic camera, tilted slightly down.

    Args:
        yaw: Yaw of the person in degrees: 0 faces the viewer, 90 faces the right side of the image.
        scale: Pixels per body height.
        origin: Position of the point between the feet in pixels.
        pitch: Shift downwards of a nearer point, as a fraction of its depth towards the viewer.
    """

    def __init__(self, yaw: float, scale: float, origin: Point, pitch: float) -> None:
        angle = math.radians(yaw)
        self.cos, self.sin = math.cos(angle), math.sin(angle)
        self.yaw = math.degrees(math.atan2(self.sin, self.cos))
        self.scale, self.pitch = scale, pitch
        self.x0, self.y0 = origin

    def turned(self, degrees: float) -> Lens:
        """The same camera with an additional yaw (a head on its neck)."""
        return Lens(self.yaw + degrees, self.scale, (self.x0, self.y0), self.pitch)

    def point(self, spot: Point3D) -> Point:
        """Pixel position of a point."""
        x, y, z = spot
        near = z * self.cos - x * self.sin
        return (
            self.x0 + self.scale * (x * self.cos + z * self.sin),
            self.y0 - self.scale * (y - self.pitch * near),
        )

    def near(self, spot: Point3D) -> float:
        """Depth of a point towards the viewer in body heights; positive in front of the body's axis."""
        return spot[2] * self.cos - spot[0] * self.sin


def create_body(identity: Identity) -> Body:
    """Body proportions by sex, age and girth."""
    female, child = identity.attributes["Female"], identity.attributes["AgeLess18"]
    old = identity.attributes["AgeOver60"]
    girth = identity.girth * (1.06 if old else 1.0)
    head = 0.205 if child else 0.157
    chin = 1.0 - head
    neck = 0.026 if child else 0.033
    shoulder = chin - neck
    hip = (0.45 if child else 0.49) + identity.stature
    if female:
        shoulder_half, chest, waist, hips = 0.103, 0.093, 0.068, 0.101
    else:
        shoulder_half, chest, waist, hips = 0.130, 0.112, 0.093, 0.090
    if child:
        shoulder_half, chest, waist, hips = (
            v * 0.5 + s
            for v, s in zip((shoulder_half, chest, waist, hips), (0.05, 0.044, 0.042, 0.045), strict=True)
        )
    width = 0.4 + 0.6 * girth
    return Body(
        head=head,
        chin=chin,
        shoulder=shoulder,
        waist=hip + (shoulder - hip) * 0.36,
        hip=hip,
        knee=hip * 0.52,
        ankle=0.042,
        shoulder_half=shoulder_half * width,
        chest_half=chest * width,
        waist_half=waist * girth,
        hip_half=hips * girth,
        depth=0.072 * girth,
        bust=0.02 if female and not child else 0.0,
        belly=0.05 * max(0.0, girth - 1.02) + (0.008 if old else 0.0),
        upper_arm=0.36 * hip + (0.0 if child else -0.008),
        forearm=0.30 * hip,
        limb=girth**0.7 * (1.03 if female else 1.13) * (1.02 if child else 1.0),
        lean=0.2 if old else 0.02,
    )


def create_joints(body: Body, view: View) -> Joints:
    """Positions of the joints in the pose of a view."""
    swing = 0.0 if view.standing else view.stride * view.phase
    points: dict[str, Point3D] = {}
    for name, side, sign in (("left", 1.0, 1.0), ("right", -1.0, -1.0)):
        thigh = sign * swing
        bend = 4.0 + (0.9 * -thigh if thigh < 0 else 0.35 * thigh)
        points |= _leg(body, name, side, (thigh, bend))
    lift = min(points["left_ankle"][1], points["right_ankle"][1]) - body.ankle
    points = {k: (x, y - lift, z) for k, (x, y, z) in points.items()}
    drop = -lift
    for name, side, sign in (("left", 1.0, -1.0), ("right", -1.0, 1.0)):
        shoulder = _leaned(body, (side * body.shoulder_half * 0.94, body.shoulder - 0.032 + drop, 0.0), drop)
        pitch = sign * swing * 0.9
        points |= _arm(body, name, side, (shoulder, pitch, 14.0 + max(0.0, pitch) * 0.9, view.arm_spread))
        if view.hold:
            points |= _holding_arm(body, name, side, shoulder)
    points["pelvis"] = (0.0, body.hip + drop, 0.0)
    points["thorax"] = _leaned(body, (0.0, body.shoulder - 0.005 + drop, 0.0), drop)
    points["neck"] = _leaned(body, (0.0, body.chin + 0.012 + drop, 0.006), drop)
    crown = _leaned(body, (0.0, body.chin + drop, 0.006), drop)
    points["chin"] = (0.0, crown[1], crown[2] + body.lean * 0.06)
    points["crown"] = (0.0, crown[1] + body.head, crown[2] + body.lean * 0.06)
    return Joints(points, math.sin(math.radians(abs(swing))))


def _leaned(body: Body, spot: Point3D, drop: float) -> Point3D:
    up = spot[1] - (body.hip + drop)
    return (spot[0], spot[1] - 0.12 * body.lean * max(0.0, up), spot[2] + body.lean * max(0.0, up) ** 1.5)


def _leg(body: Body, name: str, side: float, angles: tuple[float, float]) -> dict[str, Point3D]:
    thigh, bend = (math.radians(a) for a in angles)
    hip = (side * body.hip_half * 0.56, body.hip, 0.0)
    upper, lower = body.hip - body.knee, body.knee - body.ankle
    knee = (hip[0] * 0.96, hip[1] - upper * math.cos(thigh), upper * math.sin(thigh))
    shin = thigh - bend
    ankle = (hip[0] * 0.9, knee[1] - lower * math.cos(shin), knee[2] + lower * math.sin(shin))
    foot = min(0.25, max(-0.75, shin * 1.1 + 0.05))  # the sole follows the shin; flat if the shin is upright
    toe = (ankle[0] * 1.15, ankle[1] - 0.026 + 0.09 * math.sin(foot), ankle[2] + 0.088 * math.cos(foot))
    heel = (ankle[0], ankle[1] - 0.024 - 0.03 * math.sin(foot), ankle[2] - 0.022)
    return {
        f"{name}_hip": hip,
        f"{name}_knee": knee,
        f"{name}_ankle": ankle,
        f"{name}_toe": toe,
        f"{name}_heel": heel,
    }


def _arm(body: Body, name: str, side: float, pose: tuple[Point3D, float, float, float]) -> dict[str, Point3D]:
    shoulder, *angles = pose
    pitch, bend, spread = (math.radians(a) for a in angles)
    elbow = _reach(shoulder, body.upper_arm, side * math.sin(spread), pitch)
    wrist = _reach(elbow, body.forearm, side * math.sin(spread) * 0.25, pitch + bend)
    hand = _reach(wrist, 0.035, 0.0, pitch + bend)
    return {
        f"{name}_shoulder": shoulder,
        f"{name}_elbow": elbow,
        f"{name}_wrist": wrist,
        f"{name}_hand": hand,
    }


def _holding_arm(body: Body, name: str, side: float, shoulder: Point3D) -> dict[str, Point3D]:
    elbow = _reach(shoulder, body.upper_arm * 0.97, side * 0.22, math.radians(8))
    wrist = _reach(elbow, body.forearm * 0.98, -side * 0.42, math.radians(104))
    hand = _reach(wrist, 0.03, -side * 0.3, math.radians(110))
    return {
        f"{name}_shoulder": shoulder,
        f"{name}_elbow": elbow,
        f"{name}_wrist": wrist,
        f"{name}_hand": hand,
    }


def _reach(start: Point3D, length: float, sideways: float, pitch: float) -> Point3D:
    flat = math.sqrt(max(0.0, 1.0 - sideways**2)) * length
    return (
        start[0] + sideways * length,
        start[1] - flat * math.cos(pitch),
        start[2] + flat * math.sin(pitch),
    )
