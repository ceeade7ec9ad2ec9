"""What the net learns from labels: classes, and the pixel weights of the U-Net paper (equation 2)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from unetseg.errors import UserError
from unetseg.nearest import two_nearest

Labels = NDArray[np.integer[Any]]

NEGLIGIBLE = 1e-7  # a border term below this is left out: a tenth of the promised accuracy
BLOCK, WORTHWHILE = 16, 0.7  # pixels per side; share of the image up to which boxes are worth while
LARGEST_ID = 2**16 - 1  # ids up to this serve as object numbers and need no sorting


def separate_touching(labels: Labels) -> Labels:
    """`labels` without the ridge: object pixels with a neighbour in another object become 0.

    labels: integers, (y, x) or (z, y, x): 0 background, k > 0 object, -1 not annotated. Neighbours
    are the 8 (3-D: 26) around a pixel, so the remains of two objects are never connected.
    Background and -1 stay as they are and make no ridge. Returns a new array of the same dtype.

    Raises UserError unless labels are integers with 2 or 3 axes.

    >>> separate_touching(np.array([[1, 1, 1, 2, 2, 2]] * 2))[0].tolist()
    [1, 1, 0, 0, 2, 2]
    """
    _check_labels(labels)
    inside = labels > 0
    ridge = np.zeros(labels.shape, bool)
    for here, there in _neighbours(labels.ndim):
        touch = (labels[here] != labels[there]) & inside[here] & inside[there]
        ridge[here] |= touch
        ridge[there] |= touch
    return np.where(ridge, labels.dtype.type(0), labels)


def border_weights(
    labels: Labels, *, w0: float = 10.0, sigma: float = 5.0, spacing: Sequence[float] | None = None
) -> NDArray[np.float32]:
    """The border term of the U-Net paper, w0 * exp(-(d1 + d2)**2 / (2 * sigma**2)).

    labels: integers, (y, x) or (z, y, x), usually after `separate_touching`.
    d1 and d2 are the Euclidean distances from a pixel's centre to the nearest
    pixel centre of the nearest and of the second nearest object (an object is all pixels of one
    id > 0, in one piece or several). sigma and d are in pixels; `spacing` is the size of a pixel
    along each axis in that unit (None: 1 on all axes), for volumes with thick slices.

    Returns float32 of the same shape, 0 to w0, within 1e-6 of the formula for w0 up to 10 (above,
    to float32 precision). The term is 0 on pixels whose label is not 0 (inside objects, and where
    not annotated), and everywhere if there are fewer than two objects.

    Raises UserError for labels that are not integers with 2 or 3 axes, w0 < 0, sigma <= 0, or a
    spacing that is not one positive number per axis. Source: Ronneberger et al. 2015, equation 2.

    >>> border_weights(np.array([[1, 0, 0, 2]])).round(3)
    array([[0.   , 8.353, 8.353, 0.   ]], dtype=float32)
    """
    _check_labels(labels)
    sizes = (1.0,) * labels.ndim if spacing is None else tuple(spacing)
    _check_formula(w0, sigma, sizes, labels.ndim)
    weights = np.zeros(labels.shape, np.float32)
    if w0 <= NEGLIGIBLE or labels.size == 0:
        return weights
    reach = sigma * math.sqrt(2 * math.log(w0 / NEGLIGIBLE))
    numbers = _numbered(labels)
    for box in _clusters(numbers > 0, sizes, reach):
        near, both = two_nearest(numbers[box], labels[box] == 0, sizes, reach)
        part = np.zeros_like(weights[box])
        part.flat[near] = w0 * np.exp(-(both**2) / (2 * sigma**2))
        weights[box] = np.maximum(weights[box], part)  # boxes may overlap: a part of an object weighs less
    return weights


def _clusters(inside: NDArray[np.bool_], sizes: Sequence[float], reach: float) -> list[tuple[slice, ...]]:
    """Boxes outside which no two objects are near; each holds all that matters to the pixels of its cluster.

    A pixel with d1 + d2 < reach is within reach / 2 of one object, and the other one is less than reach
    from that object: grown by half of the reach, the two are connected. Objects grow by whole blocks, which
    is more. If boxes would save little, the whole image is one box.
    """
    blocks = _blocks(inside)
    for axis, size in enumerate(sizes):
        grow = min(math.ceil(reach / 2 / size / BLOCK), blocks.shape[axis])
        blocks = ndimage.maximum_filter1d(blocks.view(np.uint8), 2 * grow + 1, axis).view(bool)
    every = np.ones((3,) * inside.ndim)
    boxes = ndimage.find_objects(ndimage.label(blocks, every)[0])
    found = [tuple(slice(s.start * BLOCK, s.stop * BLOCK) for s in box) for box in boxes]
    area = sum(inside[box].size for box in found)
    return found if area < WORTHWHILE * inside.size else [(slice(None),) * inside.ndim]


def _blocks(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether there is an object in each block of BLOCK pixels per side."""
    for axis, length in enumerate(inside.shape):
        inside = np.logical_or.reduceat(inside, np.arange(0, length, BLOCK), axis)
    return inside


def balance_weights(counts: ArrayLike) -> NDArray[np.float32]:
    """Class weights that make every class count the same: sum / (present * counts[c]).

    counts: (k,), pixels of each class over the training set. `present` is the number of classes
    that occur; a class that never occurs gets weight 0. The mean weight over the pixels is 1.
    Returns float32 (k,). Source: the class term w_c of Ronneberger et al. 2015, equation 2.

    Raises UserError if counts are not one row of numbers >= 0 with one above 0.

    >>> balance_weights([6, 2, 0]).round(3)
    array([0.667, 2.   , 0.   ], dtype=float32)
    """
    pixels = np.asarray(counts, dtype=np.float64)
    if pixels.ndim != 1 or not np.isfinite(pixels).all() or (pixels < 0).any() or not pixels.any():
        raise UserError(
            f"class counts are {pixels.tolist()}; allowed is one list of pixel counts >= 0 that are"
            " not all 0: check that the training samples are annotated."
        )
    present = np.where(pixels > 0, pixels, np.inf)
    weights = pixels.sum() / (np.count_nonzero(pixels) * present)
    return np.asarray(weights, np.float32)


def weight_map(
    classes: NDArray[np.integer[Any]],
    border: NDArray[np.float32],
    class_weights: NDArray[np.float32],
    *,
    annotated: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """The loss weight of every pixel: class_weights[classes] + border, 0 where not annotated.

    classes: (y, x) or (z, y, x), values 0 to k-1. border: same shape, from `border_weights`.
    class_weights: (k,), from `balance_weights`. annotated: bool, same shape; None means all.
    Returns float32, same shape. Source: Ronneberger et al. 2015, equation 2.

    Raises UserError if the shapes differ or a class has no weight.
    """
    shapes = [a.shape for a in (classes, border, annotated) if a is not None]
    if len(set(shapes)) > 1:
        raise UserError(
            f"the shapes of classes, border and annotated are {shapes}; allowed is one shape:"
            " make all of them from the same labels."
        )
    if classes.size and not 0 <= classes.min() <= classes.max() < len(class_weights):
        raise UserError(
            f"classes go from {classes.min()} to {classes.max()}; allowed are 0 to"
            f" {len(class_weights) - 1}: give balance_weights the counts of all classes."
        )
    weights = (class_weights[classes] + border).astype(np.float32)
    return weights if annotated is None else np.where(annotated, weights, np.float32(0))


def _numbered(labels: Labels) -> Labels:
    """Object numbers 1, 2, ... instead of ids that are too large for a key; 0 elsewhere."""
    inside = labels > 0
    if labels.max() <= LARGEST_ID:
        return np.where(inside, labels, 0)
    numbers = np.zeros(labels.shape, np.int64)
    numbers[inside] = np.unique(labels[inside], return_inverse=True)[1] + 1
    return numbers


def _neighbours(ndim: int) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """All pairs of neighbouring pixels, once each: (pixels, their neighbours) per direction."""
    moved = {-1: slice(None, -1), 0: slice(None), 1: slice(1, None)}
    for direction in itertools.product((-1, 0, 1), repeat=ndim):
        if direction > (0,) * ndim:
            yield (
                tuple(moved[-step] for step in direction),
                tuple(moved[step] for step in direction),
            )


def _check_labels(labels: Labels) -> None:
    if labels.ndim not in (2, 3) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"labels are {labels.dtype} with {labels.ndim} axes; allowed are integers with axes"
            " (y, x) or (z, y, x): number the objects of a mask with skimage.measure.label."
        )


def _check_formula(w0: float, sigma: float, sizes: Sequence[float], ndim: int) -> None:
    if not (0 <= w0 < math.inf and 0 < sigma < math.inf):
        raise UserError(
            f"w0 is {w0} and sigma is {sigma}; allowed are w0 >= 0 (0: no border term) and"
            " sigma > 0 pixels: the paper uses 10 and 5."
        )
    if len(sizes) != ndim or not all(0 < size < math.inf for size in sizes):
        raise UserError(
            f"spacing is {sizes}; allowed are {ndim} numbers above 0, one for each axis of the"
            " labels: give the pixel sizes in the order of the axes, in units of sigma's pixels."
        )
