"""Neighbouring objects are never painted alike."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy import ndimage

from unetseg.figures.palette import NEAR_PX, PALETTE, colours, neighbours


def test_the_colours_are_easy_to_distinguish() -> None:
    assert min(np.linalg.norm(a - b) for a, b in combinations(PALETTE, 2)) > 0.4


def test_touching_and_near_objects_have_different_colours() -> None:
    """Two hundred cells of a random mosaic, some of them apart."""
    rng = np.random.default_rng(0)
    seeds = np.ones((200, 200), bool)
    seeds[tuple(rng.integers(0, 200, (2, 200)))] = False
    nearest = ndimage.distance_transform_edt(seeds, return_distances=False, return_indices=True)
    labels = nearest[0] * 200 + nearest[1] + 1
    labels[:, 95:100] = 0
    painted = colours(labels)
    pairs = neighbours(labels)
    assert len(pairs) > 400
    first = {k: painted[labels == k][0] for k in np.unique(labels) if k}
    assert all((first[a] != first[b]).any() for a, b in pairs.tolist())
    assert (painted[labels == 0] == 0).all()


def test_neighbours_are_those_within_reach() -> None:
    labels = np.zeros((5, 80), int)
    labels[:, :10], labels[:, 10 + NEAR_PX : 30], labels[:, 60:70] = 3, 7, 9
    assert neighbours(labels).tolist() == [[3, 7]]


def test_classes_keep_their_colour_and_what_is_not_annotated_is_grey() -> None:
    one, other = colours(np.array([[0, 1, 2]])), colours(np.array([[2, -1, 1]]))
    assert (one[0, 1] == other[0, 2]).all()
    assert (one[0, 2] == other[0, 0]).all()
    assert (other[0, 1] == np.float32(0.35)).all()
