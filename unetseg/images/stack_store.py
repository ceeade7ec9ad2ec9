"""Labels of a stack held in memory, and written as one TIFF when complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unetseg.images.kept_maps import NO_MAPS, MapSpec, as_stored, map_path, meaning
from unetseg.images.lazy import LazyImage
from unetseg.images.marks import Mark
from unetseg.images.rescale import nearest_resized
from unetseg.images.whole import label_dtype, write_pages


class StackStore:
    """Labels (planes, y, x) of an image, predicted at `yx` pixels, and the maps that are kept beside them.

    path: the TIFF that `finish` writes, None for none. Intermediate values are kept for one plane at a
    time.
    """

    def __init__(
        self,
        path: Path | None,
        image: LazyImage,
        yx: tuple[int, int],
        *,
        dtype: DTypeLike,
        maps: Mapping[str, MapSpec] = NO_MAPS,
    ) -> None:
        self.path, self.image, self.yx = path, image, yx
        self.labels = np.zeros((len(image.planes), *yx), dtype)
        self.maps = {name: np.zeros((len(image.planes), k, *yx), kind) for name, (k, kind) in maps.items()}
        self._scratch: dict[str, PlaneArrays] = {}

    def write(self, plane: int, y: slice, x: slice, labels: NDArray[Any]) -> None:
        """Store the labels of a region."""
        self.labels[plane, y, x] = labels

    def read(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """The labels of a region."""
        return self.labels[plane, y, x]

    def write_map(self, name: str, plane: int, y: slice, x: slice, values: NDArray[Any]) -> NDArray[Any]:
        """Store values (k, y, x) in 0…1 of a map, as uint8 rounded to 1/255; returns what is stored."""
        stored = as_stored(values, self.maps[name].dtype)
        self.maps[name][plane, :, y, x] = stored
        return stored

    def read_map(self, name: str, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """Values (k, y, x) of a map as they are stored."""
        return self.maps[name][plane, :, y, x]

    def scratch(self, name: str, dtype: DTypeLike) -> PlaneArrays:
        """An array (y, x) of that name for each plane, initially zero."""
        return self._scratch.setdefault(name, PlaneArrays(self.yx, dtype))

    def plane_done(self, plane: int) -> None:
        """Forget the plane's intermediate values."""
        for arrays in self._scratch.values():
            arrays.planes.pop(plane, None)

    def finish(self, image: LazyImage | None, mark: Mark) -> None:
        """Bring the labels to the image's size and write them, after the maps, which keep theirs."""
        self.labels = nearest_resized(self.labels, self.image.shape[1:])
        if self.path is None:
            return
        for name, values in self.maps.items():
            about = mark | {"meaning": meaning(name, values.dtype)}
            self._write_map(map_path(self.path, name), values, about)
        write_pages(self.path, label_dtype(self.labels), self.image, mark)

    def _write_map(self, path: Path, values: NDArray[Any], mark: Mark) -> None:
        """A map (n, k, y, x), of 2 channels the last one; its mark has the image's size and pixel size."""
        maps = values[:, -1] if values.shape[1] <= 2 else values
        size, um = self.image.shape[1:], self.image.spacing_um
        scale = replace(
            self.image.scale, yx_um=um and (um[0] * size[0] / self.yx[0], um[1] * size[1] / self.yx[1])
        )
        image = {"yx": list(size), "yx_um": um and list(um)}
        write_pages(path, maps, replace(self.image, scale=scale), mark | {"image": image})


class PlaneArrays:
    """An array (planes, y, x) of which only the planes in use are held; indexed by (plane, y, x)."""

    def __init__(self, yx: tuple[int, int], dtype: DTypeLike) -> None:
        self.yx, self.dtype = yx, dtype
        self.planes: dict[int, NDArray[Any]] = {}

    def __getitem__(self, key: tuple[int, slice, slice]) -> NDArray[Any]:
        return self._plane(key[0])[key[1:]]

    def __setitem__(self, key: tuple[int, slice, slice], values: NDArray[Any]) -> None:
        self._plane(key[0])[key[1:]] = values

    def _plane(self, plane: int) -> NDArray[Any]:
        if plane not in self.planes:  # if two threads create it at the same time, the first one wins
            self.planes.setdefault(plane, np.zeros(self.yx, self.dtype))
        return self.planes[plane]
