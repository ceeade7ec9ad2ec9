"""Outlines enclose exactly their objects, by an independent geometry library where it is installed."""

import numpy as np
import pytest
from scipy import ndimage

from unetseg.outlines import outlines, signed_area


def mask_of(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


def test_a_rectangle_by_hand() -> None:
    ((ring,),) = outlines(mask_of("....", ".##.", ".##.", "...."))
    assert sorted(map(tuple, ring.tolist())) == [(1, 1), (1, 3), (3, 1), (3, 3)]
    assert signed_area(ring) == 4


def test_a_hole_and_a_corner_by_hand() -> None:
    ((outer, hole),) = outlines(mask_of("###", "#.#", "###"))
    assert (signed_area(outer), signed_area(hole)) == (9, -1)
    assert [len(polygon) for polygon in outlines(mask_of("#.", ".#"))] == [1, 1]  # two pieces
    ((outer, pocket),) = outlines(mask_of("###", "#.#", "##."))  # closed by a corner
    assert (signed_area(outer), signed_area(pocket)) == (8, -1)


@pytest.mark.parametrize("seed", range(20))
def test_polygons_are_valid_and_cover_exactly_the_pixels(seed: int) -> None:
    shapely = pytest.importorskip("shapely")
    mask = np.random.default_rng(seed).random((9, 11)) < 0.55
    polygons = outlines(mask)
    assert len(polygons) == ndimage.label(mask)[1]
    shapes = [shapely.Polygon(outer, holes) for outer, *holes in polygons]
    assert all(shape.is_valid for shape in shapes)
    assert sum(shape.area for shape in shapes) == mask.sum()
    y, x = np.mgrid[:9, :11] + 0.5
    inside = np.any([shapely.contains_xy(shape, x, y) for shape in shapes], axis=0)
    np.testing.assert_array_equal(inside, mask)


def test_nothing_has_no_outline() -> None:
    assert outlines(np.zeros((3, 4), bool)) == []
