"""Masks with grey edges are distinguished from images and label images."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from unetseg.tasks.soft_masks import soft_mask_range

YX = np.hypot(*np.mgrid[-40:40, -40:40])
MASK = np.where(YX < 25, 255.0, 0.0)


def test_a_smoothed_mask_has_the_range_of_its_two_clusters() -> None:
    smooth = gaussian_filter(MASK, 1.5)
    assert soft_mask_range(smooth.astype(np.uint8)) == pytest.approx((0, 255), abs=2)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((80, 80)),
        np.full((80, 80), 7.0),
        np.random.default_rng(0).normal(100, 20, (80, 80)),  # an image
        np.where(YX < 25, np.where(YX < 17, 2.0, 1.0), 0.0),  # two classes: the second lies on no edge
        np.where(YX < 1.5, 255.0, 0.0),  # too few pixels to know
    ],
    ids=["empty", "constant", "image", "classes", "speck"],
)
def test_other_images_have_none(image: np.ndarray) -> None:
    assert soft_mask_range(image) is None
