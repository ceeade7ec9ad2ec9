"""Several predictions beside several annotations of one image: the generalised energy distance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray


def generalised_energy_distance(truths: Sequence[NDArray[Any]], predictions: Sequence[NDArray[Any]]) -> float:
    """D² = 2·E[d(S, Y)] − E[d(S, S')] − E[d(Y, Y')], with d = 1 − IoU of the foreground; 0 is perfect.

    truths, predictions: labels (*yx), foreground above 0, of annotators Y and of hypotheses S. Small where
    the hypotheses are as different from one another as the annotators are, and in the same ways. Two empty
    maps have a distance of 0. Kohl et al. (NeurIPS 2018), eq. 5 and appendix B.
    """
    ours, theirs = ([np.asarray(labels) > 0 for labels in one] for one in (predictions, truths))
    return 2 * _mean_distance(ours, theirs) - _mean_distance(ours, ours) - _mean_distance(theirs, theirs)


def _mean_distance(one: Sequence[NDArray[np.bool_]], other: Sequence[NDArray[np.bool_]]) -> float:
    return float(np.mean([_distance(a, b) for a, b in product(one, other)]))


def _distance(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    union = (one | other).sum()
    return 1 - float((one & other).sum() / union) if union else 0.0
