"""Notes about an image that differs from the training images: its pixel size, its grey values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images import LazyImage
from unetseg.images.formats import is_lossy
from unetseg.images.rescale import pixel_size_note
from unetseg.normalise import grey_value_note
from unetseg.pipeline.recipe import Recipe

PARTS, SIDE = 3, 384
"""Grey values are looked at in so many squares along y and x, of so many pixels a side."""
VOXELS = 128
"""Of a volume, about so many planes along each axis are looked at."""


def image_notes(recipe: Recipe, image: LazyImage, *, resized: bool) -> Iterator[str]:
    """The notes for an image; its pixel size does not matter where it was resized for the network."""
    if is_lossy(image.path):
        yield "JPEG compression changed the grey values; predict the original file if you have it"
    if not resized:
        note = pixel_size_note(image.spacing_um, recipe.image_spacing_um)
        if note:
            yield f"{note} (--rescale)"
    if not recipe.normalisation.bright:  # no note can come of the pixels: they are not read twice
        return
    with suppress(UserError):  # what cannot be read is found, or skipped, by the prediction
        note = grey_value_note(recipe.normalisation, _grey_values(image))
        if note:
            yield note


def volume_notes(recipe: Recipe, pixels: NDArray[Any], spacing_um: tuple[float, ...] | None) -> Iterator[str]:
    """The notes for a volume (c, z, y, x)."""
    few = tuple(slice(None, None, max(1, n // VOXELS)) for n in pixels.shape[1:])
    yield from filter(
        None,
        (
            pixel_size_note(spacing_um, recipe.image_spacing_um),
            grey_value_note(recipe.normalisation, pixels[:, *few]),
        ),
    )


def _grey_values(image: LazyImage) -> NDArray[Any]:
    """Pixels (c, n) of the middle plane: all, or those of squares that are spread over a large image."""
    plane = image.plane(len(image.planes) // 2)
    squares = product(*(_spread(n) for n in image.shape[1:]))
    return np.concatenate(
        [np.asarray(plane[:, y, x]).reshape(image.shape[0], -1) for y, x in squares], axis=1
    )


def _spread(size: int) -> Sequence[slice]:
    """Slices of an axis: the whole, or PARTS of them in the middle of equal parts."""
    if size <= PARTS * SIDE:
        return [slice(None)]
    starts = ((2 * k + 1) * size // (2 * PARTS) - SIDE // 2 for k in range(PARTS))
    return [slice(start, start + SIDE) for start in starts]
