"""Labels written chunk by chunk into an OME-Zarr (NGFF 0.4), by any number of writers without a lock.

NGFF 0.4 (Zarr v2) is what every release of napari-ome-zarr, Fiji and QuPath opens; 0.5 (Zarr v3)
needs napari-ome-zarr 0.6.1 or newer. https://ngff.openmicroscopy.org/0.4/
Until `finish` the store lies in a folder of its own, NAME.unfinished, so that a half-written result
is never taken for a finished one. The same labels give the same bytes in whatever order they come.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unetseg.errors import UserError
from unetseg.images.lazy import LazyImage
from unetseg.images.zarrs import zarr_module
from unetseg.io import write_json
from unetseg.sample import majority

Kind = Literal["labels", "classes"]
FACTS = "scratch/store.json"
NGFF = "0.4"


@dataclass(frozen=True)
class Facts:
    """What a store keeps of its image: the planes' axes, rows and columns, pixel size (y, x) in µm."""

    kind: Kind
    axes: dict[str, int]
    yx: tuple[int, int]
    chunk: int
    spacing_um: tuple[float, float] | None
    identity: str


class LabelStore:
    """The labels (object ids or a class map) of every plane of an image, read and written by regions.

    path: the OME-Zarr that it becomes; folder: where it lies now; facts: of its image.
    """

    def __init__(self, path: Path, folder: Path, facts: Facts) -> None:
        self.path, self.folder, self.facts = path, folder, facts
        self.labels = zarr_module().open_array(folder / "labels" / facts.kind / "0", mode="r+")

    @classmethod
    def create(cls, path: Path, image: LazyImage, *, chunk: int, kind: Kind, dtype: DTypeLike) -> LabelStore:
        """A new, unfinished store of `chunk`² chunks; an unfinished one of this name is removed.

        A finished one stays until `finish` replaces it.
        """
        folder = unfinished(path)
        if folder.exists():
            shutil.rmtree(folder)
        facts = Facts(kind, _ngff_axes(image.axes), image.shape[1:], chunk, image.spacing_um, image.identity)
        for group in ("", "labels", f"labels/{kind}"):
            zarr_module().create_group(folder / group, zarr_format=2)
        _create_array(folder / "labels" / kind / "0", facts.yx, facts, dtype)
        write_json(folder / FACTS, asdict(facts))
        return cls(path, folder, facts)

    @classmethod
    def open(cls, path: Path) -> LabelStore:
        """An unfinished store of that name, to go on with."""
        folder = unfinished(path)
        try:
            table = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UserError(f"{path}: no unfinished result to go on with in {folder}.") from None
        spacing = table["spacing_um"]
        yx, spacing = tuple(table["yx"]), None if spacing is None else tuple(spacing)
        return cls(path, folder, Facts(**{**table, "yx": yx, "spacing_um": spacing}))

    def write(self, plane: int, y: slice, x: slice, labels: NDArray[Any]) -> None:
        """Write a region that starts and ends on chunk borders (or the image's edge): no lock needed."""
        self._check_aligned(y, x)
        self.labels[(*self._place(plane), y, x)] = labels

    def read(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """A region, of any place; 0 where nothing was written."""
        return np.asarray(self.labels[(*self._place(plane), y, x)])

    def scratch(self, name: str, dtype: DTypeLike) -> Any:
        """An array (planes, y, x) for intermediate values, chunked alike; made if it is not there."""
        where = self.scratch_folder / name
        if not where.exists():
            planes = math.prod(self.facts.axes.values())
            _create_array(where, self.facts.yx, replace(self.facts, axes={"t": planes}), dtype)
        return zarr_module().open_array(where, mode="r+")

    @property
    def scratch_folder(self) -> Path:
        """A folder for records and intermediate values; it goes when the store is finished."""
        return self.folder / "scratch"

    def finish(self) -> None:
        """Build the pyramid, write the metadata, drop the scratch and give the store its name."""
        group = self.folder / "labels" / self.facts.kind
        levels = _pyramid(group, self.facts)
        _write_attributes(self.folder / "labels", {"labels": [self.facts.kind]})
        _write_attributes(group, _multiscales(self.facts, levels) | {"image-label": {"version": NGFF}})
        shutil.rmtree(self.scratch_folder)
        _remove_partial(self.folder)
        _replace_folder(self.folder, self.path)

    def _place(self, plane: int) -> tuple[int, ...]:
        sizes = tuple(self.facts.axes.values())
        return tuple(int(i) for i in np.unravel_index(plane, sizes)) if sizes else ()

    def _check_aligned(self, y: slice, x: slice) -> None:
        chunk = self.facts.chunk
        for s, n in zip((y, x), self.facts.yx, strict=True):
            if s.start % chunk or (s.stop % chunk and s.stop != n):
                raise ValueError(f"{s}: not on borders of {chunk}-pixel chunks of {n} pixels")


def unfinished(path: Path) -> Path:
    """Where a store lies until it is finished."""
    return path.with_name(path.name + ".unfinished")


def _create_array(where: Path, yx: tuple[int, int], facts: Facts, dtype: DTypeLike) -> Any:
    """Zarr v2, nested chunk names, Blosc zstd with byte shuffling; chunks of zeros are not stored."""
    from numcodecs import Blosc

    return zarr_module().create_array(
        where,
        shape=(*facts.axes.values(), *yx),
        chunks=(*(1 for _ in facts.axes), *(min(facts.chunk, n) for n in yx)),
        dtype=np.dtype(dtype),
        compressors=Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE),
        fill_value=0,
        zarr_format=2,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )


def _pyramid(group: Path, facts: Facts) -> list[tuple[int, int]]:
    """Halve until a level is one chunk, each pixel the most frequent of four; the sizes of the levels."""
    sizes = [facts.yx]
    while max(sizes[-1]) > facts.chunk:
        fine = zarr_module().open_array(group / str(len(sizes) - 1), mode="r")
        y, x = (-(-n // 2) for n in sizes[-1])
        sizes.append((y, x))
        where = group / str(len(sizes) - 1)
        if where.exists():
            shutil.rmtree(where)
        _halve(fine, _create_array(where, (y, x), facts, fine.dtype), facts.chunk)
    return sizes


def _halve(fine: Any, coarse: Any, chunk: int) -> None:
    """Fill `coarse` chunk by chunk with the majority of each 2×2 block of `fine`."""
    *outer, height, width = coarse.shape
    for place in np.ndindex(*outer):
        for y, x in product(range(0, height, chunk), range(0, width, chunk)):
            region = np.asarray(fine[(*place, slice(2 * y, 2 * (y + chunk)), slice(2 * x, 2 * (x + chunk)))])
            if region.any():
                coarse[(*place, slice(y, y + chunk), slice(x, x + chunk))] = majority(region, 2)


def _ngff_axes(axes: dict[str, int]) -> dict[str, int]:
    """T and z, which NGFF knows in this order; planes along any others follow one another in time."""
    if tuple(axes) in {(), ("t",), ("z",), ("t", "z")}:
        return dict(axes)
    return {"t": math.prod(axes.values())}


def _multiscales(facts: Facts, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    """NGFF 0.4 metadata of a pyramid."""
    unit = {} if facts.spacing_um is None else {"unit": "micrometer"}
    axes = [{"name": n, "type": "time" if n == "t" else "space"} for n in facts.axes]
    axes += [{"name": n, "type": "space", **unit} for n in "yx"]
    spacing = facts.spacing_um or (1.0, 1.0)
    datasets = []
    for level in range(len(sizes)):
        scale = [1.0] * len(facts.axes) + [s * 2**level for s in spacing]
        shift = [0.0] * len(facts.axes) + [s * (2**level - 1) / 2 for s in spacing]
        steps = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    return {"multiscales": [{"version": NGFF, "name": facts.kind, "axes": axes, "datasets": datasets}]}


def _write_attributes(group: Path, attributes: dict[str, Any]) -> None:
    write_json(group / ".zattrs", attributes)


def _remove_partial(folder: Path) -> None:
    """What killed writers left of chunks that were then written again."""
    for path in folder.rglob("*.partial"):
        path.unlink()


def _replace_folder(new: Path, path: Path) -> None:
    """Give `new` the name `path`; what has it now goes."""
    old = path.with_name(path.name + ".old")
    if path.exists():
        os.replace(path, old)
    os.replace(new, path)
    if old.exists():
        shutil.rmtree(old)
