"""The warping error of two-dimensional sections: what no topology-preserving warp can correct.

The true cells are warped towards the predicted ones by flipping *simple* pixels, those whose flip
neither joins nor splits, adds nor removes an object or a hole, as long as that reduces the
disagreement. A border in a slightly different place thus costs nothing. The pixels that still disagree are
errors of topology. Cells are 4-connected, membranes 8-connected, and outside the section is membrane.

Sources: Jain et al. 2010, CVPR, 2488 (the warping error, all kinds of mismatch); Bertrand & Malandain
1994, Pattern Recogn. Lett. 15, 169 (simple points); and for the ISBI 2012 challenge, which only counts
splits and mergers ("minimum splits and mergers"), the evaluation script and code that its organisers
published (imagej.net, Segmentation evaluation metrics; trainableSegmentation.metrics.WarpingError in
Fiji). This module follows that code in all that affects the result: mismatches are visited in order of
decreasing certainty, column by column, repeatedly until none can be flipped; the rest are
classified within a radius of 20 pixels; each *pixel* of a split or merger counts, not each error; pixels
of all sections are added up; and the best of the thresholds 0, 0.1, ..., 0.9 counts. So the results are
comparable with the published ones (U-Net 0.000353, in Ronneberger et al. 2015) for the same sections and
truth: those were measured on the hidden test sections.

A peculiarity of that rule: a cell that is not predicted at all shrinks to one pixel, a deleted object, which
is neither split nor merger. A map with no probability above 0.9 therefore scores 0; KINDS counts such cells.

The relaxation is greedy, as in other implementations: the optimal warp may disagree less.
Truth pixels that are not annotated (-1) count as membrane.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetseg.scores.em import THRESHOLDS

KINDS = ("split", "merger", "hole added", "hole deleted", "object added", "object deleted")
SPLIT, MERGER, HOLE_ADDED, HOLE_DELETED, OBJECT_ADDED, OBJECT_DELETED = range(6)
CHALLENGE_KINDS = ("split", "merger")
RADIUS = 20  # pixels; how far around a pixel its removal is checked for splitting a cell
BEFORE_ONE = THRESHOLDS[:-1]  # 0, 0.1, ..., 0.9: at 1 there is nothing left to warp to

# The neighbours of a pixel in the order of the bits of its neighbourhood's code.
STEPS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


def warping_rows(
    truth: NDArray[Any], probabilities: NDArray[Any], kinds: Collection[str] = CHALLENGE_KINDS
) -> NDArray[np.float64]:
    """Mismatched pixels of one section (y, x) at each threshold, and its size: (1, thresholds + 1)."""
    pixels = [_counted(truth > 0, probabilities, threshold, kinds) for threshold in BEFORE_ONE]
    return np.array([[*pixels, truth.size]], np.float64)


def least_share(rows: NDArray[np.float64]) -> float:
    """The least share of mismatched pixels over the thresholds, of the rows of all sections."""
    *pixels, size = rows.sum(axis=0).tolist()
    return float(min(pixels) / size) if size else float("nan")


def mismatches(truth: NDArray[np.bool_], probabilities: NDArray[Any], threshold: float) -> dict[str, int]:
    """How many pixels of each kind of mismatch remain in one section at one threshold.

    truth: (y, x) booleans, True in cells. probabilities: (y, x) floats in [0, 1]; predicted cells are
    where they exceed the threshold, in [0, 1].

    >>> truth = np.array([[1, 1, 0, 1, 1]] * 3) > 0
    >>> mismatches(truth, np.ones((3, 5)), 0.5)["merger"]  # the wall can become thin, but not vanish
    3
    """
    warped = warp(truth, probabilities, threshold)
    found = np.bincount(_kinds(warped, warped != (probabilities > threshold)), minlength=len(KINDS))
    return dict(zip(KINDS, found.tolist(), strict=True))


def warp(truth: NDArray[np.bool_], probabilities: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
    """The true cells (y, x) after every flip of a simple pixel towards `probabilities > threshold`."""
    image = np.pad(truth, 1)
    differ = truth != (probabilities > threshold)
    x, y = np.nonzero(differ.T)  # column by column
    # Fiji treats differences below 1e-4 as ties
    surest = np.argsort(-np.round(np.abs(probabilities[y, x] - threshold), 4), kind="stable")
    width = image.shape[1]
    order = ((y + 1) * width + x + 1)[surest]
    flat = bytearray(image.tobytes())
    _relax(flat, _codes(image), order.tolist(), width)
    relaxed: NDArray[np.bool_] = np.frombuffer(flat, np.bool_).reshape(image.shape)[1:-1, 1:-1]
    return relaxed


@cache
def simple_codes() -> bytes:
    """For each of the 256 neighbourhoods whether its centre is simple (1 or 0).

    Bit i of a code is the neighbour STEPS[i]. The centre is simple if its 4-crossing number, the
    sum of n - n d m over the edge neighbours n, the corner d and the edge neighbour m after it on the
    way around, is 1: one piece of cell and one piece of membrane meet in it.
    """
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    around = bits[:, [1, 2, 4, 7, 6, 5, 3, 0]]  # from the top, clockwise
    edges, corners, following = around[:, 0::2], around[:, 1::2], np.roll(around[:, 0::2], -1, axis=1)
    crossing = (edges - edges * corners * following).sum(axis=1)
    return (crossing == 1).astype(np.uint8).tobytes()


def _relax(image: bytearray, codes: bytearray, order: Sequence[int], width: int) -> None:
    """Flip the pixels of `order` that are simple, pass after pass; image and codes in place.

    A flip changes one bit of each neighbour's code, so one look-up decides whether a pixel is simple.
    """
    simple = simple_codes()
    seen_from = [(dy * width + dx, 1 << (7 - bit)) for bit, (dy, dx) in enumerate(STEPS)]
    left: Sequence[int] = order
    while True:
        waiting, left = left, []
        for pixel in waiting:
            if not simple[codes[pixel]]:
                left.append(pixel)
                continue
            image[pixel] ^= 1
            for step, bit in seen_from:
                codes[pixel + step] ^= bit
        if len(left) == len(waiting):
            return


def _codes(image: NDArray[np.bool_]) -> bytearray:
    """The code of every pixel's neighbourhood, row by row; outside the image is 0."""
    padded = np.pad(image, 1).astype(np.uint8)
    height, width = image.shape
    codes = np.zeros(image.shape, np.uint8)
    for bit, (dy, dx) in enumerate(STEPS):
        codes |= padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] << bit
    return bytearray(codes.tobytes())


def _counted(
    truth: NDArray[np.bool_], probabilities: NDArray[Any], threshold: float, kinds: Collection[str]
) -> int:
    found = mismatches(truth, probabilities, threshold)
    return sum(found[kind] for kind in kinds)


def _kinds(warped: NDArray[np.bool_], differ: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The kind of every pixel in which the warped section differs, (n,) indices into KINDS.

    By the components among its neighbours: none but membrane, one object, one object and membrane,
    or several objects.
    """
    y, x = np.nonzero(differ)
    components = np.pad(ndimage.label(warped)[0], 1, constant_values=-1)  # -1 beyond the section
    around = np.sort(np.stack([components[y + 1 + dy, x + 1 + dx] for dy, dx in STEPS], axis=1), axis=1)
    distinct = 1 + (np.diff(around, axis=1) != 0).sum(axis=1) - (around[:, 0] < 0)
    cell, nothing, alone = warped[y, x], around[:, -1] == 0, distinct == 1
    kinds = np.select(
        [alone & nothing & cell, alone & nothing, alone & cell, alone, (distinct == 2) & ~cell, ~cell],
        [OBJECT_DELETED, OBJECT_ADDED, HOLE_ADDED, HOLE_DELETED, HOLE_ADDED, MERGER],
        default=SPLIT,
    )
    for i in np.flatnonzero((distinct == 2) & cell):
        if not _joins(warped, int(y[i]), int(x[i])):
            kinds[i] = HOLE_DELETED
    return kinds


def _joins(warped: NDArray[np.bool_], y: int, x: int) -> bool:
    """Whether removing the pixel splits its cell, as far as can be seen within RADIUS of (y, x)."""
    top, left = max(y - RADIUS, 0), max(x - RADIUS, 0)
    part = warped[top : y + RADIUS + 1, left : x + RADIUS + 1].copy()
    y, x = y - top, x - left
    part[y, x] = False
    parts = ndimage.label(part)[0][max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
    return len(np.unique(parts)) > 2
