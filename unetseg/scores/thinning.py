"""The border thinning of the ISBI 2012 challenge: segments grow until lines one pixel wide are left.

Source: Soille & Vincent 1990, "Determining watersheds in digital pictures via flooding simulations",
Proc. SPIE 1360, on a map of two levels (cells below, membrane above), visiting pixels and neighbours in
the order of the challenge's code, since this decides where two fronts meet.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

OUTSIDE, QUEUED, DRY, LINE = -3, -2, -1, 0


def thinned_segments(cells: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The 4-connected components of `cells` (y, x), grown over the membrane between them.

    Returns (y, x) int32: 0 on the lines that are left, k > 0 in segments; none is split or merged.
    Without any cell the whole section is one segment.
    """
    if not cells.any():
        return np.ones(cells.shape, np.int32)
    flooded = np.full((cells.shape[1] + 2, cells.shape[0] + 2), OUTSIDE, np.int32)
    components = ndimage.label(cells.T, output=np.int32)[0]
    flooded[1:-1, 1:-1] = np.where(cells.T, components, DRY)
    shore = (flooded == DRY) & ndimage.binary_dilation(flooded > 0)
    flooded[shore] = QUEUED
    labels = flooded.ravel().tolist()
    _flood(labels, deque(np.flatnonzero(shore).tolist()), flooded.shape[1])
    grown = np.array(labels, np.int32).reshape(flooded.shape)
    return np.ascontiguousarray(grown[1:-1, 1:-1].T)


def _flood(labels: list[int], queue: deque[int], column: int) -> None:
    """Label the queued pixels and all that are reached from them, in place, first in, first out.

    `relabel` is the algorithm's flag: a pixel that became a line only because it lies beside one may
    still join a segment.
    """
    relabel = False
    while queue:
        here = queue.popleft()
        for there in (here - column, here - 1, here + column, here + 1):
            label, own = labels[there], labels[here]
            if label > 0:
                if own == QUEUED or (own == LINE and relabel):
                    labels[here] = label
                elif own > 0 and own != label:
                    labels[here], relabel = LINE, False
            elif label == LINE and own == QUEUED:
                labels[here], relabel = LINE, True
            elif label == DRY:
                labels[there] = QUEUED
                queue.append(there)
