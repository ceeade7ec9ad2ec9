"""Scores of a two-class segmentation inside a mask, as used for vessels in retinal images.

The counts are int64 (2, 2), indexed [true, predicted], as from `overlap.foreground_confusion`; those of many
images are added before a score is taken. A score whose denominator is zero is undefined: NaN.

Sources: Staal et al. 2004, IEEE TMI 23(4), 501 (DRIVE: all pixels of the test images inside the field of
view); Cohen 1960, Educ. Psychol. Meas. 20, 37.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.scores.entry import ratio


def sensitivity_of(counts: NDArray[np.int64]) -> float:
    """Share of the true pixels that were found (recall): tp / (tp + fn)."""
    return ratio(counts[1, 1], counts[1].sum())


def specificity_of(counts: NDArray[np.int64]) -> float:
    """Share of the background pixels that are predicted as background: tn / (tn + fp)."""
    return ratio(counts[0, 0], counts[0].sum())


def accuracy_of(counts: NDArray[np.int64]) -> float:
    """Share of the pixels whose class is right."""
    return ratio(counts.trace(), counts.sum())


def kappa_of(counts: NDArray[np.int64]) -> float:
    """Cohen's kappa, agreement beyond chance: (p_o - p_e) / (1 - p_e), in [-1, 1].

    p_o is the accuracy, p_e what independent raters with the same class frequencies would reach.
    """
    shares = counts / counts.sum() if counts.sum() else np.zeros((2, 2))
    observed = shares.trace()
    expected = shares.sum(axis=0) @ shares.sum(axis=1)
    return ratio(observed - expected, 1 - expected) if counts.sum() else float("nan")


def auc(truth: NDArray[Any], predicted: NDArray[Any], annotated: NDArray[np.bool_] | None = None) -> float:
    """Area under the ROC curve, in [0, 1]; NaN if the annotated pixels are all of one class.

    It is the chance that a true pixel is predicted higher than a background pixel, ties counting half
    (Mann-Whitney; Hanley & McNeil 1982, Radiology 143, 29), from mid-ranks, without thresholds. To
    pool images, concatenate their pixels.
    truth: boolean or 0/1 array of any shape. predicted: real numbers of the same shape, higher means
    more likely true, such as probabilities. annotated: boolean array of that shape, False for pixels to
    ignore; None for all pixels. Raises UserError if the shapes differ, or a prediction inside is NaN.

    >>> auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    inside = np.ones(truth.shape, bool) if annotated is None else annotated
    if not truth.shape == predicted.shape == inside.shape:
        raise UserError(
            f"the shapes differ: true {truth.shape}, predicted {predicted.shape}, annotated {inside.shape}; "
            "they must show the same pixels."
        )
    values, positive = predicted[inside], truth[inside].astype(bool)
    if np.isnan(values).any():
        raise UserError("a predicted value is NaN; give a number for every annotated pixel.")
    n = int(np.count_nonzero(positive))
    wins = float(_mid_ranks(values)[positive].sum()) - n * (n + 1) / 2
    return ratio(wins, n * (positive.size - n))


def _mid_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Rank of each value (n,), from 1; equal values share the mean of their ranks."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[index]
    return ranks
