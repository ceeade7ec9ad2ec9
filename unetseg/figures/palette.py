"""Colours of labels: neighbouring objects never look alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import expand_labels

PALETTE = np.array(
    [
        (0.90, 0.10, 0.29),  # red
        (0.24, 0.71, 0.29),  # green
        (1.00, 0.93, 0.25),  # yellow
        (0.26, 0.45, 0.95),  # blue
        (0.97, 0.50, 0.05),  # orange
        (0.66, 0.20, 0.85),  # purple
        (0.27, 0.94, 0.94),  # cyan
        (0.98, 0.75, 0.83),  # pink
    ],
    np.float32,
)
"""Eight colours that are easy to distinguish on black and over a grey image."""
NEAR_PX = 8
"""Objects closer to each other than twice this many pixels are neighbours."""


def colours(labels: NDArray[Any]) -> NDArray[np.float32]:
    """(y, x) labels to (y, x, 3): black background, neighbours in different colours, −1 grey.

    Up to eight labels, such as those of a class map, have a fixed colour for each number.
    """
    ids, places = np.unique(np.append(np.maximum(labels, 0), 0), return_inverse=True)
    places = places[:-1].reshape(labels.shape)  # 0 is the background, k the k-th object
    chosen = (ids - 1) % len(PALETTE) if ids[-1] <= len(PALETTE) else _apart(places, len(ids))
    painted = PALETTE[chosen[places]]
    painted[places == 0] = 0
    painted[labels == -1] = 0.35
    return painted


def neighbours(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Pairs (n, 2) of labels > 0 (y, x) that lie near each other, the smaller first, each once."""
    grown = expand_labels(labels, NEAR_PX)
    sides = [(grown[1:], grown[:-1]), (grown[:, 1:], grown[:, :-1])]
    pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in sides])
    touching = pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs > 0).all(axis=1)]
    return np.unique(np.sort(touching, axis=1), axis=0).astype(np.int64)


def _apart(labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    """An index into PALETTE for each of the labels 0…count − 1, different from those of its neighbours.

    Greedy, the labels with most neighbours first; if all eight are taken, the one that the fewest have.
    """
    near: list[list[int]] = [[] for _ in range(count)]
    for a, b in neighbours(labels).tolist():
        near[a].append(b)
        near[b].append(a)
    chosen = np.full(count, -1, np.int64)
    used = np.zeros(len(PALETTE), np.int64)
    for label in sorted(range(count), key=lambda k: -len(near[k])):
        taken = np.bincount([c for c in chosen[near[label]] if c >= 0], minlength=len(PALETTE))
        best = int(np.lexsort((used, taken))[0])
        chosen[label] = best
        used[best] += 1
    return chosen
