"""Classes by depth inside an object, an alternative to the U-Net paper's ridge and weight map.

With one distance, objects have a border and an interior: the third class of the winning entry of the Data
Science Bowl 2018 (Caicedo et al., Nature Methods 16, 2019). With several, the classes are a quantised
distance transform, the energy of the deep watershed transform (Bai & Urtasun, CVPR 2017). Either way the
deep parts of touching objects are separate, which makes them seeds for a watershed, and no pixel is lost
to a ridge.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import find_boundaries

from unetseg.errors import UserError


def distance_classes(labels: NDArray[np.integer[Any]], distances_px: Sequence[float]) -> NDArray[np.uint8]:
    """Class map (*yx) uint8 of labels (*yx): 0 outside, inside 1 + the number of distances that are reached.

    labels: 0 background, k > 0 object, −1 not annotated (class 0). distances_px: increasing distances in
    pixels to the object's rim, its pixels that have an edge neighbour of another label; a pixel of the rim
    has distance 0, and the edge of the image is no rim. Raises UserError unless they increase.

    >>> distance_classes(np.array([[0, 1, 1, 1, 1, 1, 2, 2, 2]]), distances_px=[1, 2]).tolist()
    [[0, 1, 2, 3, 2, 1, 1, 2, 3]]
    """
    if any(b <= a for a, b in pairwise(distances_px)):
        raise UserError(f"target.distances_px = {list(distances_px)}: must increase, as in [2, 5, 9].")
    inside = labels > 0
    rim = find_boundaries(np.maximum(labels, 0), mode="inner", connectivity=1) & inside
    distance = distance_transform_edt(~rim) if rim.any() else np.full(labels.shape, np.inf)
    deep = 1 + np.searchsorted(np.asarray(distances_px, float), distance, side="right")
    return np.where(inside, deep, 0).astype(np.uint8)


def depth(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Expected depth 0…1 (*yx) of class probabilities (k, *yx): 0 outside and on the rim, 1 deepest."""
    steps = np.maximum(np.arange(len(probabilities)) - 1, 0) / (len(probabilities) - 2)
    expected: NDArray[np.float32] = np.tensordot(steps.astype(np.float32), probabilities, axes=1)
    return expected
