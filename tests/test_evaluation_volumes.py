"""Scores volume by volume, worked by hand."""

import numpy as np
import pytest

from unetseg.evaluation.by_kind import score_pairs
from unetseg.evaluation.volumes import volume_scores


def row(*values: int) -> np.ndarray:
    return np.array(values).reshape(-1, 1, 1)


def test_dice_is_the_mean_over_volumes_not_over_voxels() -> None:
    """Class 1: Dice 2/3 in a volume of 3 voxels, 1 in one of 6; class 2 is in the second alone."""
    pairs = [
        ("a", row(1, 1, 0), row(1, 0, 0)),
        ("b", row(1, 1, 1, 1, 2, 2), row(1, 1, 1, 1, 2, 0)),
    ]
    found = volume_scores(pairs, [None, None], "classes", 3)
    assert found["volume-dice-1"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["volume-dice-2"] == pytest.approx(2 / 3)
    assert "surface-um-1" not in found
    pooled = score_pairs(pairs, "classes", 3, ["dice", "dice-1", "dice-2"]).pooled
    np.testing.assert_allclose(pooled, [(10 / 11 + 2 / 3) / 2, 10 / 11, 2 / 3])


def test_surface_distance_is_in_micrometres_along_every_axis() -> None:
    """One voxel of truth, predicted one slice too far: 3 µm both ways; −1 does not count."""
    pairs = [("a", row(0, 1, 0, -1), row(0, 0, 1, 1))]
    found = volume_scores(pairs, [(3.0, 0.5, 0.5)], "instances", 2)
    assert found["surface-um-1"] == pytest.approx(3.0)
    assert found["volume-dice-1"] == 0


def test_images_have_none() -> None:
    flat = np.ones((2, 2), int)
    assert volume_scores([("a", flat, flat)], [(1.0, 1.0)], "instances", 2) == {}
