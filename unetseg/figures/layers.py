"""Transparent layers of labels to put over an image, and cut-outs that point to an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from skimage.segmentation import find_boundaries

from unetseg.figures.palette import colours
from unetseg.figures.pictures import BOTH, PREDICTED, TRUTH, grey, outline

FILL, UNKNOWN = 0.38, 0.45
"""Opacity of the objects' colours, and of the stripes over what is not annotated."""
COLUMNS = 256  # of a colour bar
STROKE = 250  # pixels of a cut-out per pixel that its outlines are widened to each side


def label_layer(labels: NDArray[Any], colour: tuple[float, float, float]) -> NDArray[np.float32]:
    """(y, x) labels to (y, x, 4): objects in distinct colours, outlined in `colour`, −1 striped."""
    layer = np.zeros((*labels.shape, 4), np.float32)
    layer[..., :3] = colours(labels)
    layer[..., 3] = np.where(labels > 0, FILL, 0)
    y, x = np.indices(labels.shape)
    layer[(labels < 0) & ((y + x) % 12 < 3)] = (0.6, 0.6, 0.6, UNKNOWN)
    layer[outline(labels)] = (*colour, 1)
    return layer


def agreement_layer(truth: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float32]:
    """Outlines of both, (y, x, 4): truth green, prediction pink, where they agree yellow."""
    layer = np.zeros((*truth.shape, 4), np.float32)
    true, found = outline(truth), outline(predicted)
    layer[true], layer[found], layer[true & found] = (*TRUTH, 1), (*PREDICTED, 1), (*BOTH, 1)
    return layer


def focus_picture(
    image: NDArray[Any],
    labels: tuple[NDArray[Any], NDArray[Any]],
    chosen: tuple[Sequence[int], Sequence[int]],
    scale: int,
) -> NDArray[np.float32]:
    """A cut-out (c, y, x), enlarged `scale` times, (y, x, 3): the chosen objects' outlines stand out.

    labels: truth and prediction (y, x); chosen: the ids in each to point out, the others are faint.
    """
    picture = grey(image).repeat(scale, 0).repeat(scale, 1)
    large = [array.repeat(scale, 0).repeat(scale, 1) for array in labels]
    wide = max(1, len(picture) // STROKE)
    meant = [
        binary_dilation(_inner(np.where(np.isin(array, ids), array, 0)), iterations=wide)
        for array, ids in zip(large, chosen, strict=True)
    ]
    for array, colour in zip(large, (TRUTH, PREDICTED), strict=True):
        others = _inner(array)
        picture[others] = 0.65 * picture[others] + 0.35 * np.array(colour, np.float32)
    picture[meant[0]], picture[meant[1]], picture[meant[0] & meant[1]] = TRUTH, PREDICTED, BOTH
    return picture


def heat_layer(probability: NDArray[Any]) -> NDArray[np.float32]:
    """(y, x) probabilities in 0…1, or 8 bits, to (y, x, 4): dark to bright, covering the image."""
    top = np.iinfo(probability.dtype).max if probability.dtype.kind == "u" else 1
    painted: NDArray[np.float32] = mpl.colormaps["magma"](probability / top).astype(np.float32)
    return painted


def heat(values: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(y, x) values to (y, x, 3), dark to bright from the least to the largest, and its colour bar."""
    low, high = float(values.min()), float(values.max())
    bar = np.linspace(0, 1, COLUMNS)[None].repeat(8, axis=0)
    paint = mpl.colormaps["magma"]
    scaled = (values - low) / max(high - low, 1e-9)
    return paint(scaled)[..., :3].astype(np.float32), paint(bar)[..., :3].astype(np.float32)


def _inner(labels: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = find_boundaries(np.maximum(labels, 0), mode="inner")
    return found
