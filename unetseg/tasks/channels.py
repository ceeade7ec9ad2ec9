"""Grey and RGB images in one data set: one rule for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError, some_of
from unetseg.tasks.file_summary import FileSummary


def common_channels(files: Sequence[FileSummary]) -> tuple[int, str]:
    """The number of channels that all images are given, and a note if some of them are changed for it.

    If grey and RGB images are mixed, grey ones are repeated in three channels; if no RGB image has
    any colour, those become grey instead. Raises UserError for any other mixture.
    """
    counts = sorted({f.channels for f in files})
    if len(counts) == 1:
        return counts[0], ""
    if counts != [1, 3]:
        few = [next(f for f in files if f.channels == c) for c in counts]
        listed = ", ".join(f"{f.image.name} {f.channels}" for f in few)
        raise UserError(
            f"{files[0].image.parent}: images with different numbers of channels ({listed}). Give images "
            "that all have the same channels."
        )
    grey, rgb = ([f.image.name for f in files if f.channels == c] for c in (1, 3))
    if any(f.colours for f in files):
        return 3, f"images: {len(rgb)} RGB, {len(grey)} grey; repeated in three channels: {some_of(grey)}"
    return 1, f"images: {len(grey)} grey, {len(rgb)} RGB without any colour; read as grey: {some_of(rgb)}"


def to_channels(image: NDArray[Any], channels: int) -> NDArray[Any]:
    """An image (c, *yx) of one or three channels with as many `channels` as `common_channels` found."""
    if len(image) == channels:
        return image
    return np.repeat(image, 3, axis=0) if channels == 3 else image[:1]
