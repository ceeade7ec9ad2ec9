"""Pyramids of NGFF 0.4 (Zarr v2): arrays in chunks, halved level by level, and their metadata.

0.4 is what every release of napari-ome-zarr, Fiji and QuPath opens; 0.5 (Zarr v3) needs
napari-ome-zarr 0.6.1 or newer. https://ngff.openmicroscopy.org/0.4/
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unetseg.files import discard, write_json
from unetseg.images.lazy import LazyImage
from unetseg.images.rescale import nearest_index
from unetseg.images.scale import Scale, time_and_slices
from unetseg.images.zarrs import zarr_module

VERSION = "0.4"
Halve = Callable[[NDArray[Any]], NDArray[Any]]
"""(c, 2y, 2x) → (c, y, x), rounded up."""


@dataclass(frozen=True)
class Grid:
    """The planes of an image and their chunks.

    axes: of the planes, among "t" and "z"; yx: rows and columns; chunk: side in pixels; scale: distances
    of pixels, slices and frames; channels: of every plane, 0 if the arrays have no such axis.
    """

    axes: dict[str, int]
    yx: tuple[int, int]
    chunk: int
    scale: Scale
    channels: int = 0

    @classmethod
    def of(cls, image: LazyImage, chunk: int) -> Grid:
        """The image's planes; planes along axes other than t and z follow one another in time."""
        axes, scale = time_and_slices(image.axes, image.scale)
        return cls(axes, image.shape[1:], chunk, scale)

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> Grid:
        """The grid of a table from `asdict`, after a round trip through JSON."""
        yx = table["scale"]["yx_um"]
        scale = Scale(**table["scale"] | {"yx_um": None if yx is None else tuple(yx)})
        return cls(**table | {"yx": tuple(table["yx"]), "scale": scale})

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Rows and columns of the levels, halved until one chunk holds the image."""
        sizes = [self.yx]
        while max(sizes[-1]) > self.chunk:
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        return sizes

    @property
    def names(self) -> list[str]:
        """The axes of the arrays, in NGFF's order: time, channel, space."""
        outer = [*self.axes, *(["c"] if self.channels else [])]
        return [*sorted(outer, key="tcz".index), "y", "x"]

    def lengths(self, yx: tuple[int, int]) -> list[int]:
        """The lengths of the arrays' axes at a level of `yx` pixels."""
        known = {**self.axes, "c": self.channels, "y": yx[0], "x": yx[1]}
        return [known[name] for name in self.names]

    def place(self, plane: int, y: slice, x: slice) -> tuple[int | slice, ...]:
        """The index of a region of a plane, all its channels."""
        sizes = tuple(self.axes.values())
        indices = np.unravel_index(plane, sizes) if sizes else ()
        known: dict[str, int | slice] = {"c": slice(None), "y": y, "x": x}
        known |= {name: int(i) for name, i in zip(self.axes, indices, strict=True)}
        return tuple(known[name] for name in self.names)

    def regions(self, yx: tuple[int, int]) -> Iterator[tuple[int, slice, slice]]:
        """Every chunk of every plane of a level."""
        starts = product(range(0, yx[0], self.chunk), range(0, yx[1], self.chunk))
        for plane, (y, x) in product(range(math.prod(self.axes.values())), list(starts)):
            yield plane, slice(y, min(y + self.chunk, yx[0])), slice(x, min(x + self.chunk, yx[1]))

    def create(self, where: Path, yx: tuple[int, int], dtype: DTypeLike) -> Any:
        """An empty array: nested chunk names, Blosc zstd with byte shuffling; zero chunks are no files."""
        from numcodecs import Blosc

        outer = len(self.names) - 2
        return zarr_module().create_array(
            where,
            shape=self.lengths(yx),
            chunks=(*(1 for _ in range(outer)), *(min(self.chunk, n) for n in self.yx)),
            dtype=np.dtype(dtype),
            compressors=Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE),
            fill_value=0,
            zarr_format=2,
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )

    def build_pyramid(self, group: Path, halve: Halve) -> None:
        """Levels 1… of the array group/0, chunk by chunk; existing levels are computed again."""
        for level, yx in enumerate(self.sizes[1:], start=1):
            fine = zarr_module().open_array(group / str(level - 1), mode="r")
            where = group / str(level)
            if where.exists():
                shutil.rmtree(where)
            coarse = self.create(where, yx, fine.dtype)
            for plane, y, x in self.regions(yx):
                double = (slice(2 * s.start, 2 * s.stop) for s in (y, x))
                block = np.asarray(fine[self.place(plane, *double)])
                if block.any():
                    channels = block.reshape(-1, *block.shape[-2:])
                    halved = halve(channels).reshape(*block.shape[:-2], y.stop - y.start, x.stop - x.start)
                    coarse[self.place(plane, y, x)] = halved

    def resize(self, working: Any, group: Path) -> None:
        """The array group/0 from the nearest pixels of an array of another size, chunk by chunk."""
        old = working.shape[-2:]
        if old == self.yx:
            return
        if (group / "0").exists():
            shutil.rmtree(group / "0")
        array = self.create(group / "0", self.yx, working.dtype)
        for plane, y, x in self.regions(self.yx):
            rows, columns = (nearest_index(s, n, o) for s, n, o in zip((y, x), self.yx, old, strict=True))
            hull = [slice(int(i[0]), int(i[-1]) + 1) for i in (rows, columns)]
            block = np.asarray(working[self.place(plane, hull[0], hull[1])])
            block = block[..., (rows - rows[0])[:, None], columns - columns[0]]
            if block.any():
                array[self.place(plane, y, x)] = block

    def metadata(self, name: str, *, like: tuple[int, int] | None = None) -> dict[str, Any]:
        """The multiscales entry of the pyramid; level n's first pixel is the mean of 2ⁿ×2ⁿ.

        like: size (y, x) of the image that the arrays cover at another number of pixels; `scale` is its.
        """
        kinds, steps, units = {"t": "time", "c": "channel"}, self._steps(), self._units()
        larger = {a: n / own for a, n, own in zip("yx", like or self.yx, self.yx, strict=True)}
        axes = [{"name": n, "type": kinds.get(n, "space"), **units.get(n, {})} for n in self.names]
        datasets = []
        for level in range(len(self.sizes)):
            grown = [2**level * larger[n] if n in larger else 1 for n in self.names]
            scale = [step * by for step, by in zip(steps, grown, strict=True)]
            shift = [(end - start) / 2 for start, end in zip(steps, scale, strict=True)]
            placed = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
            datasets.append({"path": str(level), "coordinateTransformations": placed})
        return {"multiscales": [{"version": VERSION, "name": name, "axes": axes, "datasets": datasets}]}

    def _steps(self) -> list[float]:
        """The distance of neighbours along each axis, 1 if unknown."""
        y, x = self.scale.yx_um or (1.0, 1.0)
        known = {"t": self.scale.frame_s or 1.0, "z": self.scale.z_um or 1.0, "y": y, "x": x}
        return [known.get(name, 1.0) for name in self.names]

    def _units(self) -> dict[str, dict[str, str]]:
        """The units of the axes whose distances are known."""
        scale, um, second = self.scale, {"unit": "micrometer"}, {"unit": "second"}
        known = {
            "t": (scale.frame_s, second),
            "z": (scale.z_um, um),
            "y": (scale.yx_um, um),
            "x": (scale.yx_um, um),
        }
        return {name: unit for name, (size, unit) in known.items() if size is not None}


def write_attributes(group: Path, attributes: dict[str, Any]) -> None:
    """Write the attributes of a Zarr v2 group, completely or not at all."""
    write_json(group / ".zattrs", attributes)


def read_attributes(group: Path) -> dict[str, Any]:
    """The attributes of a Zarr v2 group, empty if there are none."""
    file = group / ".zattrs"
    attributes: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return attributes


def create_groups(folder: Path, names: tuple[str, ...]) -> None:
    """Create empty Zarr v2 groups."""
    for name in names:
        zarr_module().create_group(folder / name, zarr_format=2)


def replace_folder(new: Path, path: Path) -> None:
    """Rename folder `new` to `path`; an existing result of that name is removed.

    Between the two renames nothing has the name: a crash there leaves `new` complete, under its own name.
    """
    discard(path)
    os.replace(new, path)
