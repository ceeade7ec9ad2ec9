"""Label pixels of a file as one plane of integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError

MOST_ID = int(np.iinfo(np.int32).max)
BRIGHT = 128
"""A colour in label images has a channel at least this bright; darker ones are more likely ids."""


def label_plane(pixels: NDArray[Any], name: str) -> NDArray[np.int64]:
    """The integers (*yx) of label pixels (c, *yx).

    Channels that are all equal (a grey image saved as RGB) count as one. Different colours become
    different integers, 0xRRGGBB, so that black is 0. Raises UserError for other channels, fractions
    and integers beyond 2³¹ − 1.
    """
    plane, _ = one_channel(pixels, name)
    if plane.dtype.kind == "f" and not np.array_equal(plane, np.round(plane)):
        raise UserError(
            f"{name}: label values are not whole numbers, and not a mask with grey edges either. "
            "Save the labels as integers."
        )
    if plane.max(initial=0) > MOST_ID:
        raise UserError(
            f"{name}: label {plane.max()}; at most {MOST_ID} is allowed. Renumber the labels from 1."
        )
    return plane.astype(np.int64)


def one_channel(pixels: NDArray[Any], name: str) -> tuple[NDArray[Any], bool]:
    """The plane (*yx) of label pixels (c, *yx), and whether its values are packed RGB colours."""
    if all(np.array_equal(pixels[0], p) for p in pixels[1:]):
        return pixels[0], False
    if len(pixels) == 3 and pixels.dtype == np.uint8 and pixels.max() >= BRIGHT:
        red, green, blue = pixels.astype(np.int64)
        return red << 16 | green << 8 | blue, True
    hint = (
        " Three pages saved as RGB by mistake? Save them as a stack of pages (photometric "
        '"minisblack" in Python\'s tifffile; in Fiji Image > Color > RGB Stack, then save).'
        if len(pixels) == 3
        else ""
    )
    raise UserError(
        f"{name}: a label image of {len(pixels)} different channels. Save it as one channel of "
        f"integers: 0 background, and one value per class or object.{hint}"
    )


def check_not_negative(least: int, name: str) -> None:
    """Refuse a negative label, unless it is declared as not annotated."""
    if least < 0:
        raise UserError(
            f"{name}: label {least}; labels must be 0 or more. If it marks pixels that "
            f"are not annotated, set data.not_annotated = [{least}]."
        )


def value_text(value: int, colours: bool) -> str:
    """A label value as the user knows it: its number, or its colour as #rrggbb."""
    return f"#{value:06x}" if colours else str(value)
