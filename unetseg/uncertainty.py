"""How uncertain class probabilities are: the entropy of every pixel, and its mean over every object."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.measurements import WINDOW, Columns, windows

MEANING = (
    "entropy of the class probabilities divided by its maximum, the logarithm of the number of classes: "
    "0 where one class is certain, 1 where all classes are equally probable"
)


def entropy(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The normalised entropy (*yx) float32 in 0…1 of class probabilities (k, *yx); see `MEANING`.

    Of averaged probabilities it is the predictive entropy: high where each prediction is undecided, and where
    the predictions contradict one another. 0 where all are 0, as they are where nothing was predicted.

    >>> entropy(np.array([[0.5, 1, 0], [0.5, 0, 0]])).tolist()
    [1.0, 0.0, 0.0]
    """
    total = np.zeros(probabilities.shape[1:], np.float32)
    for p in probabilities:
        total -= p * np.log(np.maximum(p, np.float32(1e-12)))
    return (total / np.float32(np.log(len(probabilities)))).clip(0, 1)


def object_uncertainty(labels: Any, uncertainty: Any, window: int = WINDOW) -> Columns:
    """The mean uncertainty over the pixels of each object, in the order of the ids.

    labels: (y, x) or (z, y, x) object ids, 0 background; uncertainty: the same shape, in 0…1. Both may be
    anything that slices like an array: they are read window by window. Columns: "id" and "uncertainty".
    """
    areas: dict[int, int] = {}
    sums: dict[int, float] = {}
    for region in windows(labels.shape, window):
        ids, dense, counts = np.unique(np.asarray(labels[region]), return_inverse=True, return_counts=True)
        found = np.bincount(dense.ravel(), np.asarray(uncertainty[region], np.float64).ravel())
        for number, area, value in zip(ids.tolist(), counts.tolist(), found.tolist(), strict=True):
            areas[number] = areas.get(number, 0) + area
            sums[number] = sums.get(number, 0.0) + value
    there = sorted(number for number in areas if number > 0)
    means = [sums[number] / areas[number] for number in there]
    return {"id": np.array(there, np.int64), "uncertainty": np.array(means, np.float64)}
