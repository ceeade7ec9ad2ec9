"""How well probabilities are calibrated, and calibration by a monotone cubic polynomial.

Training on balanced pixels overestimates the rarer class. Cireşan et al. (NIPS 2012) therefore
map the network's output through a monotone cubic polynomial, fitted to the fraction of
true foreground at each value of the output.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

FIT_BINS, ERROR_BINS = 256, 15
"""Bins of the fit, and of the expected calibration error (15 in Guo 2017)."""


@dataclass(frozen=True)
class Reliability:
    """How often what is predicted with a probability is true, in `bins` bins of equal width.

    table: (3, bins) the number of pixels, the sum of their probabilities, and how many were true.
    """

    bins: int = ERROR_BINS
    table: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", np.zeros((3, self.bins)))

    def add(self, probability: NDArray[np.floating], truth: NDArray[np.bool_]) -> None:
        """Count pixels: their probability in 0…1, and whether it came true, of the same shape."""
        p = probability.ravel().astype(np.float64)
        where = np.minimum((p * self.bins).astype(np.intp), self.bins - 1)
        for row, weights in zip(self.table, (None, p, truth.ravel()), strict=True):
            row += np.bincount(where, weights, self.bins)

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The pixels, the mean probability and the frequency of the truth of every bin that has pixels."""
        counts, sums, hits = self.table[:, self.table[0] > 0]
        return counts, sums / counts, hits / counts

    def error(self) -> float:
        """The expected calibration error: the mean over all pixels of |frequency − probability| of their bin.

        Guo et al., "On calibration of modern neural networks" (ICML 2017), eq. 5; 0 without a pixel.
        """
        counts, probability, frequency = self.curve()
        return float((counts * np.abs(frequency - probability)).sum() / max(counts.sum(), 1))


def fit_calibration(
    maps: Iterable[tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> tuple[float, ...]:
    """The four coefficients for `calibrated`: least squares over all pixels of the (probability, truth) maps.

    probability: in 0…1, any shape; truth: whether a pixel is foreground, the same shape. The cubic's
    Bernstein coefficients b0 ≤ b1 ≤ b2 ≤ b3 lie in 0…1, so it rises and stays there.
    """
    found = Reliability(FIT_BINS)
    for probability, truth in maps:
        found.add(probability, truth)
    counts, means, frequencies = found.curve()
    weight = np.sqrt(counts)
    # b = cumulative sums of rises ≥ 0, so each rise multiplies the sum of the later basis functions
    rising = _bernstein(means)[:, ::-1].cumsum(1)[:, ::-1]
    fit = lsq_linear(rising * weight[:, None], frequencies * weight, bounds=(0, 1))
    return tuple(float(b) for b in np.minimum(fit.x.cumsum(), 1))


def calibrated(probabilities: NDArray[np.float32], coefficients: Sequence[float]) -> NDArray[np.float32]:
    """Probabilities (2, *yx) of background and foreground through a fitted cubic, or as they are.

    >>> calibrated(np.array([[0.5], [0.5]], np.float32), (0, 0, 0, 1))
    array([[0.875],
           [0.125]], dtype=float32)
    """
    if not coefficients:
        return probabilities
    foreground = (_bernstein(probabilities[1]) @ np.asarray(coefficients, np.float32)).clip(0, 1)
    return np.stack([1 - foreground, foreground]).astype(np.float32)


def _bernstein(p: NDArray[np.floating]) -> NDArray[np.floating]:
    """The cubic Bernstein polynomials at p (*n), as (*n, 4)."""
    q = 1 - p
    return np.stack([q**3, 3 * p * q**2, 3 * p**2 * q, p**3], axis=-1)
