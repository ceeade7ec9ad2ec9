"""RGB images as grey ones, computed for the requested region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.lazy import LazyImage, fingerprint

WEIGHTS = (0.2125, 0.7154, 0.0721)
"""Of red, green and blue in the luminance (ITU-R BT.709, as in scikit-image)."""


def as_grey(image: LazyImage) -> LazyImage:
    """The luminance of an RGB image (3, y, x), float32 (1, y, x) in the range of its values; grey ones stay.

    Raises UserError, which names the file, for another number of channels.
    """
    channels = image.shape[0]
    if channels == 1:
        return image
    if channels != len(WEIGHTS):
        raise UserError(f"{image.path}: --grey converts images of 3 channels (RGB); this one has {channels}.")
    return replace(
        image,
        shape=(1, *image.shape[1:]),
        dtype=np.dtype(np.float32),
        identity=fingerprint(image.path, [], image.identity, "grey"),
        read=Luminance(image),
    )


@dataclass(frozen=True)
class Luminance:
    """Reads of the weighted sum of an image's three channels."""

    image: LazyImage

    def __call__(self, plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        """Read the three channels whatever the one that is asked for."""
        red, green, blue = self.image.read(plane, range(len(WEIGHTS)), y, x).astype(np.float32)
        r, g, b = WEIGHTS
        found: NDArray[np.float32] = (r * red + g * green + b * blue)[None]
        return found
