"""The cover picture of a package: the example, and the outlines of what was predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from unetseg.figures.pictures import grey, middle_slice, outlines
from unetseg.sharing.example import Example

SIDE = 400


def write_cover(path: Path, example: Example) -> None:
    """A PNG of 800×400 pixels: left the image, right the image with the outlines of its labels."""
    image = middle_slice(example.shown)
    labels = middle_slice(example.labels[None])[0]
    side = min(labels.shape)
    y, x = (slice((n - side) // 2, (n - side) // 2 + side) for n in labels.shape)
    image, labels = image[:, y, x], labels[y, x]
    pictures = grey(image), outlines(image, None, labels)
    halves = [Image.fromarray((255 * picture).astype(np.uint8)) for picture in pictures]
    cover = Image.new("RGB", (2 * SIDE, SIDE))
    for number, half in enumerate(halves):
        cover.paste(half.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (number * SIDE, 0))
    cover.save(path, optimize=True)
