"""Objects given as outlines, painted into label images: a pixel is an object's if its centre lies in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

FARTHEST = 1e9
"""Coordinates in pixels beyond this are damage."""


@dataclass(frozen=True)
class Canvas:
    """The image that outlines belong to.

    name: of its file; shape: (pages, y, x), or (z, y, x) of a volume; axes: lengths of the axes that the
    pages run along, in order; channels: of the image.
    """

    name: str
    shape: tuple[int, int, int]
    axes: dict[str, int]
    channels: int = 1


@dataclass(frozen=True)
class ObjectMask:
    """An object, or a piece of one, on a page: its id, and a mask (y, x) whose corner lies at `origin`."""

    page: int
    id: int
    origin: tuple[int, int]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Painted:
    """Label images (pages, y, x) int32 of objects, 0 background, and what the outlines could not keep.

    shared: pixels that lie in more than one object; covered: objects that lie in smaller ones with all their
    pixels, and are lost.
    """

    labels: NDArray[np.int32]
    shared: int
    covered: int


def paint(pieces: Sequence[ObjectMask], shape: tuple[int, int, int]) -> Painted:
    """Label images of objects; a pixel in several of them goes to the smallest, of equal ones to the last."""
    labels, shared = np.zeros(shape, np.int32), np.zeros(shape, bool)
    for piece in sorted(pieces, key=lambda p: -int(p.mask.sum())):
        (top, left), (height, width) = piece.origin, piece.mask.shape
        place = piece.page, slice(top, top + height), slice(left, left + width)
        shared[place] |= piece.mask & (labels[place] != 0) & (labels[place] != piece.id)
        labels[place][piece.mask] = piece.id
    given = {(p.page, p.id) for p in pieces}
    left_over = {(page, number) for page, image in enumerate(labels) for number in np.unique(image).tolist()}
    return Painted(labels, int(shared.sum()), len(given - left_over))


def cropped(mask: NDArray[np.bool_], page: int, number: int) -> ObjectMask | None:
    """The object of a mask of the whole page (y, x), in its bounding box; None if it has no pixel."""
    boxes = find_objects(mask.astype(np.uint8))
    if not boxes:
        return None
    y, x = boxes[0]
    return ObjectMask(page, number, (y.start, x.start), mask[y, x].copy())


def outlined(
    rings: Sequence[NDArray[np.floating]], page: int, number: int, canvas: Canvas
) -> ObjectMask | None:
    """The object within closed rings (n, 2) of (x, y) in pixels; None if no pixel of the image lies in it.

    A pixel lies inside if an odd number of rings is around its centre, so rings within rings are holes.
    The corner of the image is (0, 0), and the centre of its first pixel (0.5, 0.5). Raises ValueError for
    coordinates that are not numbers.
    """
    corners = np.concatenate(rings).astype(float)
    if not (np.abs(corners) <= FARTHEST).all():
        raise ValueError("coordinates that are no numbers, or far outside")
    size = canvas.shape[1:][::-1]
    start = np.clip(np.floor(corners.min(0)), 0, size).astype(int)
    stop = np.clip(np.ceil(corners.max(0)), 0, size).astype(int)
    width, height = (stop - start).tolist()
    mask = fill([np.asarray(ring, float) - start for ring in rings], (height, width))
    return ObjectMask(page, number, (int(start[1]), int(start[0])), mask) if mask.any() else None


def fill(rings: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels (y, x) whose centres lie within rings by the even-odd rule.

    Every edge toggles all pixels to its right in the rows whose centres it crosses.
    """
    height, width = shape
    toggles = np.zeros((height, width + 1), np.int64)
    for ring in rings:
        (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
        first = np.ceil(np.minimum(y0, y1) - 0.5).clip(0, height).astype(int)
        count = np.ceil(np.maximum(y0, y1) - 0.5).clip(0, height).astype(int) - first
        edge = np.repeat(np.arange(len(ring)), count)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count - first, count)
        along = (row + 0.5 - y0[edge]) / (y1 - y0)[edge]
        column = np.ceil(x0[edge] + along * (x1 - x0)[edge] - 0.5).clip(0, width).astype(int)
        np.add.at(toggles, (row, column), 1)
    return np.cumsum(toggles, axis=1)[:, :width] % 2 == 1
