"""Scores of the ISBI 2012 challenge for cells in sections of electron microscopy.

Source: Arganda-Carreras et al. 2015, Front. Neuroanat. 9, 142, with the treatment of membrane
pixels of the challenge's code (trainableSegmentation.metrics in Fiji). A probability map of "cell"
is cut at thresholds 0, 0.1, ..., 1, its 4-connected components are compared with those of the true
cells, and the best threshold counts. Only pixels in true cells count; one that is predicted
as membrane counts as a segment of its own.

    V_rand = sum p_ij^2 / (sum s_k^2 / 2 + sum t_k^2 / 2)    equation 3, alpha = 0.5, after border thinning
    V_info = I(S; T) / (H(S) / 2 + H(T) / 2)                 equation 6, alpha = 0.5, after border thinning
    early Rand error = 1 - the same F-score of pairs of pixels as V_rand, without thinning
    early pixel error = 1 - 2 tp / (2 tp + fp + fn)

p_ij, s_k and t_k are the shares of the pixels in overlaps, predicted and true segments; V_info is 1 if both
have one segment.

Sections are pooled as in that code, at each threshold: V_rand and V_info are means over
sections, the early Rand error adds the sections' pairs of pixels and the early pixel error their
pixels. Truth pixels that are not annotated (-1) are not in a cell, so they do not count, nor does a
section without a cell.

The challenge's warping error is in `warping`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetseg.errors import UserError
from unetseg.scores.overlap import overlap

# Summed as the challenge's code does, in float64: the last stays just below 1, so that a pixel of
# probability 1 is a cell at every threshold.
THRESHOLDS = np.cumsum([0.0] + 10 * [0.1])

Segments = NDArray[np.int32]  # (y, x): 0 membrane, k > 0 segment
Terms = NDArray[np.float64]  # (3,): of the overlaps, of the truth, of the prediction
Rows = NDArray[np.float64]  # (sections with a cell, thresholds × 3): the terms of each threshold in turn
Cut = Callable[[NDArray[np.bool_]], Segments]  # a map of cells to segments


def segments(cells: NDArray[np.bool_]) -> Segments:
    """The 4-connected components of a (y, x) boolean map of cells, numbered from 1."""
    found: Segments = ndimage.label(cells, output=np.int32)[0]
    return found


def as_they_are(cells: NDArray[np.bool_]) -> Segments:
    """All cells as one segment, for scores of pixels."""
    return cells.astype(np.int32)


def cuts(probabilities: NDArray[Any], cut: Cut) -> tuple[Segments, ...]:
    """The segments of a section's map (y, x) at each of THRESHOLDS."""
    return tuple(cut(probabilities > threshold) for threshold in THRESHOLDS)


def section_rows(
    truth: NDArray[Any], found: Sequence[Segments], terms: Callable[[Segments, Segments], Terms]
) -> Rows:
    """The terms of one section at all thresholds: one row, or none if the truth (y, x) has no cell."""
    if not (truth > 0).any():
        return np.empty((0, 3 * len(THRESHOLDS)))
    true = segments(truth > 0)
    return np.concatenate([terms(true, at_threshold) for at_threshold in found])[None]


def best_mean(rows: Rows) -> float:
    """The highest mean of the sections' F-scores over the thresholds; NaN without a section."""
    if not len(rows):
        return float("nan")
    of_thresholds = rows.reshape(len(rows), -1, 3).swapaxes(0, 1)
    return max(float(np.mean([_f_score(terms) for terms in sections])) for sections in of_thresholds)


def best_of_sums(rows: Rows) -> float:
    """The highest F-score of the sections' added terms over the thresholds; NaN without a section."""
    if not len(rows):
        return float("nan")
    return max(_f_score(terms) for terms in rows.sum(axis=0).reshape(-1, 3))


def rand_terms(truth: Segments, predicted: Segments) -> Terms:
    """Ordered pairs of pixels in one overlap, true and predicted segment of one section.

    A pixel also pairs with itself: the N² normalisation of the challenge's code.
    """
    return np.array([np.sum(areas**2) for areas in _areas(truth, predicted)])


def info_terms(truth: Segments, predicted: Segments) -> Terms:
    """Mutual information, entropy of the truth and of the prediction of one section, in nats."""
    joint, true, found = (-np.sum(p * np.log(p)) for p in (a / a.sum() for a in _areas(truth, predicted)))
    return np.array([max(true + found - joint, 0.0), true, found])


def pixel_terms(truth: Segments, predicted: Segments) -> Terms:
    """Pixels in cells of both, of the truth and of the prediction of one section."""
    true, found = truth > 0, predicted > 0
    return np.array([np.count_nonzero(both) for both in (true & found, true, found)], np.float64)


def _areas(truth: Segments, predicted: Segments) -> tuple[NDArray[np.float64], ...]:
    """Pixels of true cells in each overlap, true segment and predicted segment.

    A pixel predicted as membrane is an overlap and a predicted segment of one pixel.
    """
    pairs = overlap(truth, predicted)
    inside = pairs.truth > 0
    membrane = inside & (pairs.predicted == 0)
    both = inside & (pairs.predicted > 0)
    alone = np.ones(int(pairs.pixels[membrane].sum()))
    true = np.bincount(pairs.truth[inside], pairs.pixels[inside])
    found = np.bincount(pairs.predicted[both], pairs.pixels[both])
    areas = (np.append(pairs.pixels[both], alone), true[true > 0], np.append(found[found > 0], alone))
    return tuple(area.astype(np.float64) for area in areas)


def _f_score(terms: Terms) -> float:
    """The shared term over the mean of the two others; 1 without any entropy, where the two agree."""
    shared, true, predicted = terms
    return float(2 * shared / (true + predicted)) if true + predicted else 1.0


def check_sections(truth: NDArray[Any], probabilities: NDArray[Any]) -> None:
    """Raise UserError unless both show the same sections and the second holds probabilities."""
    if truth.shape != probabilities.shape or truth.ndim not in (2, 3):
        raise UserError(
            f"the truth has shape {truth.shape} and the probabilities {probabilities.shape}; "
            "both must be the same (y, x) section or (z, y, x) sections."
        )
    if not np.all((probabilities >= 0) & (probabilities <= 1)):
        raise UserError("a probability is not in [0, 1]; give softmax output, not logits.")
