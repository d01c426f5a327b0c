from __future__ import annotations

import numpy as np
import pytest

from passerby.synthetic.skeleton import Lens
from passerby.synthetic.solids import Solid

RINGS = ((0.0, 0.2, 0.1, 0.0), (0.5, 0.2, 0.1, 0.0), (1.0, 0.2, 0.1, 0.0))


@pytest.mark.parametrize(("yaw", "half"), [(0, 20.0), (90, 10.0), (180, 20.0), (-90, 10.0)])
def test_a_column_is_as_wide_as_its_ring_from_that_side(yaw: float, half: float) -> None:
    solid = Solid(RINGS, Lens(yaw, 100.0, (50.0, 200.0), 0.0))
    outline = solid.outline()
    assert outline[:, 0].min() == pytest.approx(50 - half)
    assert outline[:, 0].max() == pytest.approx(50 + half)
    assert outline[:, 1].min() == pytest.approx(100)
    assert outline[:, 1].max() == pytest.approx(200)


def test_the_left_side_is_on_the_right_of_the_image_if_the_person_faces_the_viewer() -> None:
    front, back = (Solid(RINGS, Lens(yaw, 100.0, (0.0, 0.0), 0.0)) for yaw in (0, 180))
    assert front.surface_point(0.5, 90)[0] == pytest.approx(20)
    assert back.surface_point(0.5, 90)[0] == pytest.approx(-20)
    assert front.faces(0) == pytest.approx(1)
    assert back.faces(0) == pytest.approx(-1)


def test_a_strip_is_clipped_where_the_surface_faces_away() -> None:
    solid = Solid(RINGS, Lens(0, 100.0, (0.0, 0.0), 0.0))
    assert solid.strip((0.2, 0.8), (150, 210)) is None
    patch = solid.strip((0.2, 0.8), (60, 150))
    assert patch is not None
    assert max(x for x, _ in patch) == pytest.approx(20)


def test_nearer_points_are_lower_under_a_camera_tilted_down() -> None:
    lens = Lens(0, 100.0, (0.0, 0.0), 0.2)
    assert lens.point((0.0, 0.5, 0.1))[1] > lens.point((0.0, 0.5, 0.0))[1] > lens.point((0.0, 0.5, -0.1))[1]


def test_a_band_bulges_at_the_front() -> None:
    solid = Solid(RINGS, Lens(0, 100.0, (0.0, 0.0), 0.2))
    band = np.asarray(solid.band(0.4, 0.6))
    assert np.ptp(band[:, 0]) == pytest.approx(40)
    assert band[4, 1] > band[0, 1]  # the middle of the lower edge is lower than its ends
