"""Scores of objects matched one to one by intersection over union.

The matching is optimal (Hungarian), not greedy, as in StarDist's `matching.py` (Schmidt et al.
2018, MICCAI; Weigert et al. 2020, WACV). Label images are (y, x) or (z, y, x) integers: 0
background, k > 0 object; truth pixels that are not annotated (-1) are left out of both images.
Errors are those of `overlap`.

A pair matches from its IoU threshold on: IoU ≥ 0.5, so that an IoU of exactly 0.5 is a match, as in
StarDist's `matching` and Cellpose's `average_precision` (both compare `>= threshold`). The Data Science
Bowl's own script compares `> threshold`; COCO takes ≥. At exactly 0.5, two predicted objects can reach
the threshold with one true object: the matching gives each object one partner, as many pairs as
possible, and among equally many those of the largest IoU.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from unetseg.errors import UserError
from unetseg.scores.entry import ratio
from unetseg.scores.overlap import Objects, annotated_objects, object_ious, overlap

AP_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
"""IoU thresholds of the average precision: 0.50, 0.55, ..., 0.95 as in the Data Science Bowl 2018, whose
score is the mean over them; StarDist's paper (Schmidt et al. 2018) lists 0.50 to 0.90, one by one."""


@dataclass(frozen=True)
class Matching:
    """True positives, false positives and false negatives among objects, in one or many frames."""

    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float:
        """Share of predicted objects that match: tp / (tp + fp); NaN if nothing is predicted."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of true objects that are matched: tp / (tp + fn); NaN if there are none."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """2 tp / (2 tp + fp + fn), in [0, 1]; NaN without any object."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def average_precision(self) -> float:
        """Tp / (tp + fp + fn), as in the Data Science Bowl 2018; NaN without any object."""
        return ratio(self.tp, self.tp + self.fp + self.fn)


def match_objects(objects: Objects, threshold: float = 0.5) -> Matching:
    """`matching` of objects whose overlaps are already known."""
    n, m = objects.shared.shape
    tp = len(_match(object_ious(objects), threshold)[0])
    return Matching(tp=tp, fp=m - tp, fn=n - tp)


def pool(matchings: Iterable[Matching]) -> Matching:
    """The counts of many frames added up, so that every object weighs the same."""
    counts = [(frame.tp, frame.fp, frame.fn) for frame in matchings]
    tp, fp, fn = np.sum(counts, axis=0, dtype=int) if counts else (0, 0, 0)
    return Matching(int(tp), int(fp), int(fn))


def object_iou(truth: NDArray[Any], predicted: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ids (n,) of the true objects, ascending, and the IoU (n,) of each with its match, 0 if none.

    Objects are matched one to one so that the sum of the IoU is as large as possible.
    """
    return matched_ious(annotated_objects(overlap(truth, predicted)))


def matched_ious(
    objects: Objects, threshold: float | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """`object_iou` of objects whose overlaps are known; with a threshold only pairs that reach it match."""
    ious = object_ious(objects)
    rows, columns = _assign(ious) if threshold is None else _match(ious, threshold)
    chosen = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=ious.shape)
    return objects.truth_ids, ious.multiply(chosen).sum(axis=1)


def _match(ious: sparse.csr_array, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of as many pairs of IoU >= threshold as possible, of the largest IoU among those."""
    if not 0 < threshold <= 1:
        raise UserError(f"an IoU threshold of {threshold} is not in (0, 1]; 0.5 is usual.")
    gains = ious.copy()
    gains.data = np.where(ious.data >= threshold, 1 + ious.data / (2 * max(ious.shape)), 0)
    return _assign(gains)


def _assign(gains: sparse.csr_array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns matched one to one with the largest sum of gains, sparse (n, m) >= 0.

    Every row gets its own column that stands for "no match" at gain 0, so that a full matching
    exists; all gains are raised by 1, since the solver takes a stored 0 for a missing edge.
    """
    n, m = gains.shape
    edges = gains.tocoo()
    rows, columns = edges.coords
    worth = edges.data > 0
    raised = np.concatenate([edges.data[worth] + 1, np.ones(n)])
    ends = (np.append(rows[worth], np.arange(n)), np.append(columns[worth], m + np.arange(n)))
    graph = sparse.csr_array((raised, ends), shape=(n, m + n))
    matched_rows, matched_columns = min_weight_full_bipartite_matching(graph, maximize=True)
    real = matched_columns < m
    return matched_rows[real], matched_columns[real]
