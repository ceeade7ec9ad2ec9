"""PNG and JPEG files, which are decoded whole: 8 and 16 bits, palettes, and the pixel size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unetseg.errors import UserError
from unetseg.images.limits import check_claim, check_memory
from unetseg.images.scale import Scale

Image.MAX_IMAGE_PIXELS = None  # slide scans are large; what a file claims is compared with its size instead

SCREEN_DPI = 1000
"""Pixels per inch up to which a resolution is that of a screen or printer."""


def read_picture(path: Path, *, palette: bool) -> tuple[NDArray[Any], Scale]:
    """Pixels (c, y, x) uint8 or uint16 without alpha, and their scale.

    A palette gives its colours (grey if all are), or with palette=True its indices (label images).
    """
    with Image.open(path) as image:
        claimed = image.width * image.height * len(image.getbands()) * 2
        check_claim(path, claimed, path.stat().st_size)
        check_memory(path, claimed)
        dpi = image.info.get("dpi")
        pixels = _pixels(path, image, palette)
        alpha = image.mode in ("RGBA", "LA")
    channels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    spacing = (25400 / dpi[1], 25400 / dpi[0]) if dpi and min(dpi) > SCREEN_DPI else None
    return channels[:-1] if alpha else channels, Scale(spacing)


def _pixels(path: Path, image: Image.Image, palette: bool) -> NDArray[Any]:
    """(y, x) or (y, x, channels), 8 or 16 bit."""
    if image.mode == "P":
        colours = np.asarray(image.getpalette()).reshape(-1, 3)
        grey = bool((colours == colours[:, :1]).all())  # as Fiji saves its 8-bit images
        return np.asarray(image if palette else image.convert("L" if grey else "RGB"))
    if image.mode == "CMYK":
        raise UserError(f"{path}: colours for print (CMYK) cannot be read. Save the image as RGB.")
    if image.mode in ("RGB", "RGBA", "LA") and image.format == "PNG":
        return imagecodecs.png_decode(path.read_bytes())  # Pillow would cut 16 bit to 8
    pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
    return pixels.astype(np.uint16) if pixels.dtype == np.int32 else pixels  # mode I: 16 bit
