"""Labels as labs have them: label images; outlines of ImageJ, QuPath and COCO; Cellpose's _seg.npy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError, reading
from unetseg.images.cellpose import read_cellpose
from unetseg.images.formats import image_files, is_cellpose
from unetseg.images.nifti import read_images
from unetseg.images.whole import Stack
from unetseg.tasks.label_formats.coco import coco_names, coco_objects
from unetseg.tasks.label_formats.geojson import geojson_objects
from unetseg.tasks.label_formats.imagej import imagej_objects
from unetseg.tasks.label_formats.painting import Canvas, ObjectMask, paint

Read = Callable[[Path, Canvas], tuple[list[ObjectMask], int]]
OUTLINES: dict[str, tuple[str, Read]] = {
    ".zip": ("ImageJ ROIs", imagej_objects),
    ".roi": ("ImageJ ROIs", imagej_objects),
    ".geojson": ("GeoJSON", geojson_objects),
    ".json": ("COCO", coco_objects),
}
"""What files of outlines hold, by their ending, and what reads them."""
CELLPOSE = "Cellpose"


@dataclass(frozen=True)
class Origin:
    """What labels were read from.

    kind: of a file that holds objects by its format, "" for a label image; shared, covered: see
    `painting.Painted`; without_area: shapes that enclose no pixel.
    """

    kind: str = ""
    shared: int = 0
    covered: int = 0
    without_area: int = 0


@dataclass(frozen=True)
class Labels:
    """The labels of an image: pixels (n, c, *yx), as of a label image, and their origin."""

    stack: Stack
    origin: Origin = Origin()


def holds_objects(path: Path) -> bool:
    """Whether a file is one of outlines, or Cellpose's, by its name."""
    return path.suffix.lower() in OUTLINES or is_cellpose(path)


def kinds_of(files: Sequence[Path]) -> str:
    """The formats of files that hold objects, such as "COCO, ImageJ ROIs"; "" if all are label images."""
    objects = [path for path in files if holds_objects(path)]
    kinds = {CELLPOSE if is_cellpose(path) else OUTLINES[path.suffix.lower()][0] for path in objects}
    return ", ".join(sorted(kinds))


def object_files(folder: Path) -> list[Path]:
    """The files of a folder that hold objects, sorted by name; JSON only if it is COCO."""
    found = [p for p in folder.iterdir() if p.is_file() and p.name[0] != "." and holds_objects(p)]
    return sorted(p for p in found if p.suffix.lower() != ".json" or coco_names(p))


def files_for_labels(folder: Path) -> list[Path]:
    """The label images of a folder and its files that hold objects."""
    return [*image_files(folder), *object_files(folder)]


def read_labels(path: Path, image: Stack | None, *, volumes: bool = False) -> Labels:
    """The labels of `path`, the size of `image` where the file does not say it.

    image: the image, or other labels of it, of the same pages (or with `volumes` the one volume).
    Raises UserError for a file that cannot be read, or lies outside the image.
    """
    if is_cellpose(path):
        pages = read_cellpose(path)
        return Labels(_stack(path, pages, image, volumes), Origin(CELLPOSE))
    if not holds_objects(path):
        return Labels(read_images(path, volumes=volumes, palette=True))
    if image is None:
        raise UserError(
            f"{path}: outlines do not say how large their image is. Give the other labels as label images."
        )
    if not path.is_file():
        raise UserError(f"{path}: no such file.")
    kind, read = OUTLINES[path.suffix.lower()]
    canvas = canvas_of(image)
    with reading(path, kind):
        objects, without_area = read(path, canvas)
    painted = paint(objects, canvas.shape)
    stack = _stack(path, painted.labels, image, volumes)
    return Labels(stack, Origin(kind, painted.shared, painted.covered, without_area))


def canvas_of(image: Stack) -> Canvas:
    """The pages of an image, or the slices of a volume, for outlines."""
    channels, *size = image.pixels.shape[1:]
    if len(size) == 3:
        return Canvas(image.path.name, (size[0], size[1], size[2]), {"z": size[0]}, channels)
    shape = len(image.pixels), size[0], size[1]
    return Canvas(image.path.name, shape, image.axes or {"z": shape[0]}, channels)


def _stack(path: Path, pages: NDArray[np.integer], image: Stack | None, volumes: bool) -> Stack:
    """Pages (n, y, x) as a stack with the scale of the image."""
    pixels = pages[None, None] if volumes else pages[:, None]
    return Stack(path, pixels) if image is None else Stack(path, pixels, image.scale, image.axes)
