"""Calibration of a foreground probability by a monotone cubic polynomial.

Training on balanced pixels overestimates the rarer class. Cireşan et al. (NIPS 2012) therefore
map the network's output through a monotone cubic polynomial, fitted to the fraction of
true foreground at each value of the output.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

BINS = 256


def fit_calibration(
    maps: Iterable[tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> tuple[float, ...]:
    """The four coefficients for `calibrated`: least squares over all pixels of the (probability, truth) maps.

    probability: in 0…1, any shape; truth: whether a pixel is foreground, the same shape. The cubic's
    Bernstein coefficients b0 ≤ b1 ≤ b2 ≤ b3 lie in 0…1, so it rises and stays there.
    """
    counts, sums, hits = np.zeros((3, BINS))
    for probability, truth in maps:
        p = probability.ravel().astype(np.float64)
        bins = np.minimum((p * BINS).astype(np.intp), BINS - 1)
        counts += np.bincount(bins, minlength=BINS)
        sums += np.bincount(bins, p, BINS)
        hits += np.bincount(bins, truth.ravel(), BINS)
    there = counts > 0
    weight = np.sqrt(counts[there])
    # b = cumulative sums of rises ≥ 0, so each rise multiplies the sum of the later basis functions
    rising = _bernstein(sums[there] / counts[there])[:, ::-1].cumsum(1)[:, ::-1]
    fit = lsq_linear(rising * weight[:, None], hits[there] / counts[there] * weight, bounds=(0, 1))
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
