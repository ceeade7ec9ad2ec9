"""A finished label store as one tiled, compressed, pyramidal BigTIFF (OME-TIFF), in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetseg.files import discard, replacing
from unetseg.images.lazy import LazyImage
from unetseg.images.marks import Mark, tiff_tags
from unetseg.images.ome_zarr import LabelStore
from unetseg.images.opening import open_image
from unetseg.images.whole import ome_metadata, resolution_per_cm

TILE = 512


class TiffPyramidStore(LabelStore):
    """Labels that become an OME-TIFF; until it is complete they lie in an unfinished OME-Zarr."""

    def finish(self, image: LazyImage | None = None, mark: Mark | None = None) -> None:
        """Write the TIFF, then remove the store; if killed in between, it can be called again."""
        self.complete()
        write_tiff_pyramid(self.path, self.folder / "labels" / self.metadata.kind, mark)
        discard(self.folder)


def write_tiff_pyramid(path: Path, labels: Path, mark: Mark | None = None) -> None:
    """Write the NGFF labels in folder `labels` with all levels of their pyramid to a BigTIFF.

    Levels are SubIFDs, as in OME-TIFF 6; tiles of 512², zlib; object ids are uint16 if
    they fit, else uint32. Written tile by tile; the same labels give the same bytes. mark: see `marks`.
    """
    levels = _levels(labels)
    first = levels[0]
    axes = "".join(first.axes).upper() + "YX"
    dtype = np.dtype(np.uint16 if _largest(first) < 2**16 else np.uint32)
    with replacing(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=True, ome=True) as writer:
        for number, level in enumerate(levels):
            head: dict[str, Any] = {"subfiletype": 1}
            if number == 0:
                head = {"subifds": len(levels) - 1, "metadata": ome_metadata(axes, first.scale)}
                head["extratags"] = tiff_tags(mark)
            writer.write(
                _tiles(level, dtype),
                shape=(*level.axes.values(), *level.shape[1:]),
                dtype=dtype,
                tile=(TILE, TILE),
                compression="zlib",
                photometric="minisblack",
                maxworkers=1,
                **resolution_per_cm(level.scale),
                **head,
            )


def _levels(labels: Path) -> list[LazyImage]:
    """The levels of a pyramid that halves until a level is one chunk."""
    levels = [open_image(labels, cache_bytes=0)]
    while max(levels[-1].shape[1:]) > max(levels[0].chunks):
        levels.append(open_image(labels, level=len(levels), cache_bytes=0))
    return levels


def _largest(image: LazyImage) -> int:
    return max((int(tile.max(initial=0)) for tile in _tiles(image, image.dtype)), default=0)


def _tiles(image: LazyImage, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """The tiles of all planes in the order of the file, those at the edge padded with 0."""
    _, height, width = image.shape
    for number in range(len(image.planes)):
        plane = image.plane(number)
        for y in range(0, height, TILE):
            for x in range(0, width, TILE):
                part = plane[0, y : y + TILE, x : x + TILE]
                tile = np.zeros((TILE, TILE), dtype)
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile
