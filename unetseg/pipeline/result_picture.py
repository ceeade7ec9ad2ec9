"""A picture beside a result: the first plane and the outlines of its labels, small enough to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.figures import write_overlay
from unetseg.figures.restored import write_restored
from unetseg.images import LazyImage, open_image
from unetseg.images.marks import existing_mark

LARGEST = 2048
"""The most pixels of a picture's side."""
STRIP = 512


def write_result_picture(image: LazyImage, out: Path, kind: str, count: int) -> None:
    """The overlay of the first plane of a result, or of a restored image the middle beside the input.

    A large image is read strip by strip and subsampled. kind: as of a recipe; count: of the objects.
    Raises UserError if another file has the picture's name.
    """
    if kind == "restoration":
        existing_mark(picture_path(out))
        panels = {"input": _thinned(image), "restored": _thinned(open_image(out))}
        write_restored(picture_path(out), panels, {}, image.path.name)
        return
    noun = "classes" if kind == "classes" else "objects"
    labels = open_image(
        out / "labels" / ("classes" if kind == "classes" else "labels") if out.is_dir() else out
    )
    existing_mark(picture_path(out))
    title = image.path.name if len(image.planes) == 1 else f"{image.path.name}, {image.planes[0]}"
    found = _thinned(labels)[0].astype(np.int32)
    write_overlay(picture_path(out), _thinned(image), None, found, title, noun=noun, count=count)


def picture_path(out: Path) -> Path:
    """Where the picture of a result goes.

    >>> picture_path(Path("a_labels.tif")).name, picture_path(Path("a.ome.zarr")).name
    ('a_labels.png', 'a.png')
    """
    name = out.name
    for ending in (".zarr", ".gz", ".nii", ".tiff", ".tif", ".ome"):
        name = name[: -len(ending)] if name.lower().endswith(ending) else name
    return out.with_name(f"{name or 'labels'}.png")


def _thinned(image: LazyImage) -> NDArray[Any]:
    """The first plane (c, y, x), every n-th pixel of it."""
    plane, height = image.plane(0), image.shape[1]
    step = -(-max(image.shape[1:]) // LARGEST)
    starts = range(0, height, STRIP * step)
    return np.concatenate([np.asarray(plane[:, y : y + STRIP * step : step, ::step]) for y in starts], axis=1)
