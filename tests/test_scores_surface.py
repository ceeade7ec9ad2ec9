"""Surface distances worked by hand, and against all pairs of surface pixels."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from unetseg.errors import UserError
from unetseg.scores.surface import surface, surface_distances

LINE = np.array([[0, 1, 1, 1, 0, 0]])
LONGER = np.array([[0, 1, 1, 1, 1, 1]])


def test_a_hand_worked_line() -> None:
    # every pixel of a line is surface: 0, 0, 0 one way and 0, 0, 0, 1, 2 the other
    found = surface_distances(LINE, LONGER)
    assert found.from_truth.tolist() == [0, 0, 0]
    assert found.from_prediction.tolist() == [0, 0, 0, 1, 2]
    assert found.mean == 3 / 8
    assert found.hausdorff() == 2
    assert found.hausdorff(95) == pytest.approx(1.8)  # linear between the 4th and 5th of 5


def test_a_square_moved_by_two_pixels() -> None:
    square = np.zeros((12, 12), int)
    square[2:7, 2:7] = 1
    moved = np.roll(square, 2, axis=1)
    found = surface_distances(square, moved)
    # of 16 pixels: 2 + 2 of the short ways along the edges lie on the other's, the far side is 2 away
    assert surface(square > 0).sum() == 16
    assert found.hausdorff() == 2
    assert found.mean == surface_distances(moved, square).mean


def test_spacing_is_per_axis() -> None:
    truth, predicted = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
    truth[2, 2] = predicted[5, 6] = True
    assert surface_distances(truth, predicted).mean == 5
    assert surface_distances(truth, predicted, (4, 0.25)).mean == np.hypot(12, 1)


def test_against_all_pairs_in_3d() -> None:
    rng = np.random.default_rng(2)
    regions = [ndimage.gaussian_filter(rng.random((8, 14, 12)), 1.5) > 0.5 for _ in range(2)]
    spacing = (2.0, 0.5, 0.7)
    points = [np.argwhere(surface(region)) * spacing for region in regions]
    pairs = cdist(*points)
    found = surface_distances(*regions, spacing)
    nearest = np.concatenate([pairs.min(axis=1), pairs.min(axis=0)])
    assert found.mean == pytest.approx(nearest.mean())
    assert found.hausdorff() == pytest.approx(nearest.max())


def test_pixels_that_are_not_annotated_belong_to_neither() -> None:
    annotated = np.array([[True] * 4 + [False] * 2])
    assert surface_distances(LINE, LONGER, annotated=annotated).mean == 0


def test_undefined_and_refused() -> None:
    nothing = np.zeros_like(LINE)
    assert isnan(surface_distances(LINE, nothing).mean)
    assert isnan(surface_distances(nothing, nothing).hausdorff(95))
    with pytest.raises(UserError, match="shapes differ"):
        surface_distances(LINE, LINE.T)
    with pytest.raises(UserError, match="for 2 axes"):
        surface_distances(LINE, LINE, (1.0,))
