"""Restored images, float32, of the size and axes of another: an OME-Zarr written chunk by chunk, or a TIFF.

An OME-Zarr lies in NAME.unfinished until `finish`, as labels do (see `ome_zarr`).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unetseg.errors import UserError
from unetseg.files import plain_stem, temporary_name, write_json
from unetseg.images.lazy import LazyImage
from unetseg.images.marks import FILE as MARK_FILE
from unetseg.images.marks import Mark
from unetseg.images.ngff import Grid, create_groups, read_attributes, replace_folder, write_attributes
from unetseg.images.ome_zarr import KEY, check_unfinished, halved_mean, tidy, unfinished
from unetseg.images.whole import write_pages
from unetseg.images.zarrs import zarr_module


class _PixelsAlone:
    """What stores of labels have and those of images do not: maps and intermediate values."""

    def write_map(self, name: str, plane: int, y: slice, x: slice, values: NDArray[Any]) -> NDArray[Any]:
        """There are no maps."""
        raise ValueError(f"{name}: a restored image has no maps")

    def read_map(self, name: str, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """There are no maps."""
        raise ValueError(f"{name}: a restored image has no maps")

    def scratch(self, name: str, dtype: DTypeLike) -> Any:
        """There are no intermediate values."""
        raise ValueError(f"{name}: a restored image has no intermediate values")

    def plane_done(self, plane: int) -> None:
        """Does nothing."""


class ImageStore(_PixelsAlone):
    """An OME-Zarr of every plane and channel of an image; regions are (y, x) slices on chunk borders."""

    def __init__(self, path: Path, grid: Grid) -> None:
        self.path, self.folder, self.grid = path, unfinished(path), grid
        self.pixels = zarr_module().open_array(self.folder / "0", mode="r+")

    @classmethod
    def create(cls, path: Path, image: LazyImage, *, chunk: int) -> Self:
        """A new, unfinished store in chunks of `chunk`²; an unfinished one of this name is replaced."""
        check_unfinished(path)
        channels = image.shape[0] if image.shape[0] > 1 else 0
        grid = replace(Grid.of(image, chunk), channels=channels)
        new = temporary_name(unfinished(path))
        create_groups(new, ("",))
        grid.create(new / "0", grid.yx, np.float32)
        write_attributes(new, {KEY: {"grid": asdict(grid)}})
        replace_folder(new, unfinished(path))
        return cls(path, grid)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The unfinished store of that name, to be resumed."""
        table = read_attributes(unfinished(path)).get(KEY)
        if table is None:
            raise UserError(f"{path}: no unfinished result to resume in {unfinished(path)}.")
        return cls(path, Grid.from_json(table["grid"]))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.path.absolute(),)

    def write(self, plane: int, y: slice, x: slice, labels: NDArray[Any]) -> None:
        """Write grey values (c, y, x) to a region; see `LabelStore.write`."""
        self.pixels[self.grid.place(plane, y, x)] = labels if self.grid.channels else labels[0]

    def read(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """Grey values (c, y, x) of any region; 0 where nothing has been written."""
        found = np.asarray(self.pixels[self.grid.place(plane, y, x)])
        return found if self.grid.channels else found[None]

    def finish(self, image: LazyImage | None = None, mark: Mark | None = None) -> None:
        """Build the pyramid, give the store its name and remove the scratch."""
        self.grid.build_pyramid(self.folder, halved_mean)
        write_attributes(
            self.folder, read_attributes(self.folder) | self.grid.metadata(plain_stem(self.path))
        )
        if mark is not None:
            write_json(self.folder / MARK_FILE, mark)
        replace_folder(self.folder, self.path)
        tidy(self.path)


class ImageStack(_PixelsAlone):
    """Pixels (planes, c, y, x) in memory, written as one TIFF when they are complete."""

    def __init__(self, path: Path, image: LazyImage) -> None:
        self.path, self.image = path, image
        self.pixels = np.zeros((len(image.planes), *image.shape), np.float32)

    def write(self, plane: int, y: slice, x: slice, labels: NDArray[Any]) -> None:
        """Store the grey values (c, y, x) of a region."""
        self.pixels[plane, :, y, x] = labels

    def read(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """The grey values (c, y, x) of a region."""
        return self.pixels[plane, :, y, x]

    def finish(self, image: LazyImage | None = None, mark: Mark | None = None) -> None:
        """Write the TIFF."""
        grey = self.pixels.shape[1] == 1
        write_pages(self.path, self.pixels[:, 0] if grey else self.pixels, self.image, mark)
