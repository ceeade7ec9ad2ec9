"""Scores of class maps, pixel by pixel, from a confusion matrix (`overlap.class_confusion`).

To pool images, add their matrices before applying a function, so that every pixel counts the same.
A score whose denominator is zero, such as the IoU of a class that is in neither map, is undefined: NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unetseg.scores.entry import ratio


def iou_of(counts: NDArray[np.int64], c: int) -> float:
    """Intersection over union (Jaccard index) of class c from a (pooled) confusion matrix."""
    return ratio(counts[c, c], counts[c].sum() + counts[:, c].sum() - counts[c, c])


def dice_of(counts: NDArray[np.int64], c: int) -> float:
    """Dice coefficient of class c from a (pooled) confusion matrix."""
    return ratio(2 * counts[c, c], counts[c].sum() + counts[:, c].sum())


def pixel_error_of(counts: NDArray[np.int64]) -> float:
    """Fraction of pixels off the diagonal of a (pooled) confusion matrix.

    For two classes this is the mean squared difference, the second of the two forms in which the ISBI 2012
    challenge states its pixel error (Arganda-Carreras et al. 2015, Front. Neuroanat. 9, 142). The first is
    one minus the maximal F-score of the pixels over thresholds, see `em`.
    """
    return ratio(counts.sum() - counts.trace(), counts.sum())
