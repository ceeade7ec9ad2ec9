"""Labels of a stack held in memory, and written as one TIFF when complete."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unetseg.images.lazy import LazyImage
from unetseg.images.marks import Mark
from unetseg.images.rescale import nearest_resized
from unetseg.images.whole import label_dtype, write_pages


class StackStore:
    """Labels (planes, y, x) of an image, predicted at `yx` pixels, and optionally probabilities.

    path: the TIFF that `finish` writes, None for none. Intermediate values are kept for one plane at a
    time. classes: more than 0 to keep that many probability maps, of dtype `probabilities`.
    """

    def __init__(
        self,
        path: Path | None,
        image: LazyImage,
        yx: tuple[int, int],
        *,
        dtype: DTypeLike,
        classes: int = 0,
        probabilities: DTypeLike = np.float32,
    ) -> None:
        self.path, self.image, self.yx = path, image, yx
        self.labels = np.zeros((len(image.planes), *yx), dtype)
        size = yx if classes else (0, 0)
        self.maps = np.zeros((len(image.planes), classes, *size), probabilities)
        self._scratch: dict[str, PlaneArrays] = {}

    def write(self, plane: int, y: slice, x: slice, labels: NDArray[Any]) -> None:
        """Store the labels of a region."""
        self.labels[plane, y, x] = labels

    def read(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """The labels of a region."""
        return self.labels[plane, y, x]

    def write_probabilities(self, plane: int, y: slice, x: slice, maps: NDArray[Any]) -> NDArray[Any]:
        """Store probabilities (k, y, x) in 0…1, as uint8 rounded to 1/255; returns what is stored."""
        whole = self.maps.dtype == np.uint8
        stored: NDArray[Any] = (np.rint(maps * 255) if whole else maps).astype(self.maps.dtype)
        self.maps[plane, :, y, x] = stored
        return stored

    def read_probabilities(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """Probabilities (k, y, x) as they are stored."""
        return self.maps[plane, :, y, x]

    def scratch(self, name: str, dtype: DTypeLike) -> PlaneArrays:
        """An array (y, x) of that name for each plane, initially zero."""
        return self._scratch.setdefault(name, PlaneArrays(self.yx, dtype))

    def plane_done(self, plane: int) -> None:
        """Forget the plane's intermediate values."""
        for arrays in self._scratch.values():
            arrays.planes.pop(plane, None)

    def finish(self, image: LazyImage | None, mark: Mark) -> None:
        """Bring the labels to the image's size and write them, after the probabilities, which keep theirs."""
        self.labels = nearest_resized(self.labels, self.image.shape[1:])
        if self.path is None:
            return
        if self.maps.shape[1]:
            self._write_maps(probabilities_path(self.path), mark)
        write_pages(self.path, label_dtype(self.labels), self.image, mark)

    def _write_maps(self, path: Path, mark: Mark) -> None:
        """The probabilities, with the size and pixel size of the image in their mark."""
        maps = self.maps[:, 1] if self.maps.shape[1] == 2 else self.maps
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


def probabilities_path(labels: Path) -> Path:
    """Where probabilities go, beside the labels.

    >>> probabilities_path(Path("a_labels.tif")).name, probabilities_path(Path("b.nii.gz")).name
    ('a_probabilities.tif', 'b_probabilities.nii.gz')
    """
    ending = next((e for e in (".nii.gz", ".nii") if labels.name.lower().endswith(e)), labels.suffix)
    stem = labels.name[: len(labels.name) - len(ending)]
    name = stem.removesuffix("_labels").removesuffix("_classes") or stem
    return labels.with_name(f"{name}_probabilities{ending}")
