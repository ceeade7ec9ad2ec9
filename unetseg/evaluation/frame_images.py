"""The images of scored frames, found by name; only those needed are read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.formats import image_files
from unetseg.images.nifti import read_images
from unetseg.tasks.pairing import pair_names

PAGE = re.compile(r"(.*)\[(\d+)\]", re.DOTALL)


def read_frame_image(source: Path, frame: str, shape: Sequence[int]) -> NDArray[Any]:
    """The image (c, *yx) of a frame: "dish" of dish.tif or dish_labels.tif, "dish[3]" of its page 3.

    source: an image file, or a folder of images whose names pair with the frames'. shape: of the frame's
    labels (*yx). Raises UserError if there is no such image or its size differs.
    """
    path, number = _image_file(source, frame)
    pixels = read_images(path, volumes=len(shape) == 3).pixels
    if number >= len(pixels) or pixels.shape[2:] != tuple(shape):
        size = "×".join(map(str, pixels.shape[2:]))
        raise UserError(
            f"{path}: {len(pixels)} pages of {size} pixels do not fit frame {frame} of "
            f"{'×'.join(map(str, shape))}. Give the images that the labels were made from."
        )
    image: NDArray[Any] = pixels[number]
    return image


def _image_file(source: Path, frame: str) -> tuple[Path, int]:
    """The image file of a frame, and the page."""
    if not source.exists():
        raise UserError(f"{source}: no such file or folder. Give the images that the labels belong to.")
    page = PAGE.fullmatch(frame)
    if source.is_file():
        return source, int(page[2]) if page else 0
    remedy = f"Give a folder in which each image has one name, or the image of {frame} alone."
    names = [(frame, 0), *([(page[1], int(page[2]))] if page else [])]
    files = image_files(source)
    for stem, number in names:
        if found := pair_names([Path(f"{stem}.tif")], files, remedy).pairs:
            return found[0][1], number
    raise UserError(f"{source}: has no image for {frame}. Give the folder that the labels belong to.")
