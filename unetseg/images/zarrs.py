"""Regions of Zarr arrays (v2 and v3) and of OME-Zarr images (NGFF 0.4 and 0.5)."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.chunks import ChunkCache, read_chunked
from unetseg.images.layout import Layout, one_of
from unetseg.images.lazy import Choice, LazyImage, fingerprint, plane_names
from unetseg.images.limits import check_memory
from unetseg.images.scale import SECONDS, UM, Scale, in_unit, pair

if TYPE_CHECKING:
    import zarr

METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
"""The metadata files of Zarr v3 and v2."""


def is_zarr(path: Path) -> bool:
    """Whether the path is a folder that holds a Zarr array or group."""
    return path.is_dir() and any((path / name).is_file() for name in METADATA)


def zarr_module() -> Any:
    """The zarr package, or a UserError that says how to install it."""
    try:
        import zarr
    except ImportError:
        raise UserError("Zarr files need the zarr package: pip install zarr.") from None
    return zarr


def open_zarr(path: Path, choice: Choice, cache: ChunkCache) -> LazyImage:
    """A Zarr array, or an OME-Zarr image; its pixels stay on the disk.

    Raises UserError for a series or level that does not exist, axes that cannot be guessed, pixels
    that are not numbers, a folder without an image, and paths that lead out of it.
    """
    array, axes, scale = _array(path, choice)
    if array.dtype.kind not in "uifb":
        raise UserError(f"{path}: {array.dtype} pixels; allowed are integers and floats.")
    if 0 in array.shape:
        raise UserError(f"{path}: the image is empty (shape {array.shape}).")
    check_memory(path, math.prod(array.chunks) * array.dtype.itemsize, "Save it in smaller chunks.")
    layout = Layout.of(path, axes or _guessed_axes(path, array.shape, choice), array.shape, choice.axes)
    chunks = Chunks(array, layout, cache)
    return LazyImage(
        path=path,
        planes=plane_names(layout.planes),
        axes=layout.planes,
        shape=(layout.channels, *layout.yx),
        dtype=chunks.dtype,
        scale=scale,
        chunks=chunks.size,
        identity=fingerprint(path, _metadata_files(path, array), choice),
        read=read_chunked(chunks.size, chunks.dtype, chunks.chunk),
    )


class Chunks:
    """The decoded chunks of a Zarr array."""

    def __init__(self, array: zarr.Array[Any], layout: Layout, cache: ChunkCache) -> None:
        self.array, self.layout, self.cache = array, layout, cache
        self.size = array.chunks[layout.axes.index("Y")], array.chunks[layout.axes.index("X")]
        self.dtype = np.dtype(np.uint8) if array.dtype == bool else array.dtype.newbyteorder("=")

    def chunk(self, plane: int, channel: int, iy: int, ix: int) -> NDArray[Any]:
        """One channel (y, x) of the chunk in row iy and column ix."""
        corner = iy * self.size[0], ix * self.size[1]
        place = self.layout.place(plane, channel, *corner)
        key = tuple(i // n for i, n in zip(place, self.array.chunks, strict=True))
        block = self.cache.get(key, lambda: self._decode(key))
        inside = (i % n for i, n in zip(place, self.array.chunks, strict=True))
        yx = [slice(None) if a in "YX" else i for a, i in zip(self.layout.axes, inside, strict=True)]
        pixels: NDArray[Any] = block[tuple(yx)]
        return pixels if self.layout.axes.index("Y") < self.layout.axes.index("X") else pixels.T

    def _decode(self, key: tuple[int, ...]) -> NDArray[Any]:
        sizes = zip(key, self.array.chunks, self.array.shape, strict=True)
        block = np.asarray(self.array[tuple(slice(i * n, min(i * n + n, most)) for i, n, most in sizes)])
        return block * np.uint8(255) if block.dtype == bool else block.astype(self.dtype, copy=False)


def _array(path: Path, choice: Choice) -> tuple[zarr.Array[Any], str, Scale]:
    """The chosen array, its axes ("" if the file does not name them) and scale."""
    zarr = zarr_module()
    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        if choice.series or choice.level:
            raise UserError(f"{path}: a Zarr array; it has no other series or level.")
        return node, _named_axes(node), Scale()
    return _multiscale(path, node, choice)


def _multiscale(path: Path, group: Any, choice: Choice) -> tuple[zarr.Array[Any], str, Scale]:
    """The array of an NGFF image (0.4 in the attributes, 0.5 in their "ome")."""
    attributes = dict(group.attrs.get("ome", group.attrs))
    if "bioformats2raw.layout" in attributes:
        group = _series(path, group, choice)
        attributes = dict(group.attrs.get("ome", group.attrs))
        choice = replace(choice, series=0)
    images = attributes.get("multiscales", [])
    if not images:
        arrays = ", ".join(sorted(name for name, _ in group.arrays())) or "none"
        raise UserError(
            f"{path}: a Zarr group without an OME-Zarr image. Name an array in it (arrays: {arrays})."
        )
    names = [str(one.get("name", "")) for one in images]
    if choice.series is None and len(images) > 1:
        known = ", ".join(f"{i} ({name})" for i, name in enumerate(names))
        raise UserError(f"{path}: holds {len(images)} images: {known}. Choose one with --series.")
    image = one_of(path, images, choice.series or 0, "series", names)
    levels = [_level(path, group, entry) for entry in image["datasets"]]
    array = one_of(path, levels, choice.level, "level", ["×".join(map(str, a.shape)) for a in levels])
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in image.get("axes", [])]
    return (
        array,
        "".join(axis["name"] for axis in axes).upper(),
        _scale(image, axes, image["datasets"][choice.level]),
    )


def _series(path: Path, group: Any, choice: Choice) -> Any:
    """The image of a series in bioformats2raw's layout: groups 0, 1, …"""
    names = sorted((name for name, _ in group.groups() if name.isdecimal()), key=int)
    if choice.series is None and len(names) > 1:
        raise UserError(
            f"{path}: holds {len(names)} images, {names[0]} to {names[-1]}. Choose one with --series."
        )
    return group[one_of(path, names, choice.series or 0, "series", names)]


def _level(path: Path, group: Any, entry: dict[str, Any]) -> zarr.Array[Any]:
    """The array of a level's entry, which lies within the group."""
    name = entry["path"]
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or "\\" in name:
        raise UserError(f"{path}: its metadata names the array {name!r}, which is outside of it.")
    array = group[name]
    if not isinstance(array, zarr_module().Array):
        raise UserError(f"{path}: its metadata names {name!r}, which is not an array.")
    return array


def _scale(image: dict[str, Any], axes: list[dict[str, Any]], level: dict[str, Any]) -> Scale:
    """The distances along the axes of a level; None for an axis without a unit of length or time."""
    steps = [*level.get("coordinateTransformations", []), *image.get("coordinateTransformations", [])]
    scales = [np.asarray(s["scale"], float) for s in steps if s.get("type") == "scale" and "scale" in s]
    if not scales or any(len(one) != len(axes) for one in scales):
        return Scale()
    sizes = zip(axes, np.prod(scales, axis=0), strict=True)
    known = {a["name"].lower(): in_unit(size, a.get("unit"), UM | SECONDS) for a, size in sizes}
    return Scale(pair(known.get("y"), known.get("x")), known.get("z"), known.get("t"))


def _named_axes(array: zarr.Array[Any]) -> str:
    """The axes that a Zarr v3 array names, or xarray's attribute; "" if they are none of TCZYX."""
    names: Any = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    letters = [str(name).upper() for name in names or ()]
    known = bool(letters) and all(letter in set("TCZYX") for letter in letters)
    return "".join(letters) if known else ""


def _guessed_axes(path: Path, shape: tuple[int, ...], choice: Choice) -> str:
    """YX, or CYX with at most 4 channels; anything else must be given."""
    if choice.axes is not None or len(shape) == 2:
        return choice.axes or "YX"
    if len(shape) == 3 and shape[0] <= 4:
        return "CYX"
    raise UserError(
        f"{path}: the axes of an array of shape {shape} cannot be guessed. Name them, one letter per "
        "axis: T, Z, C, Y, X (for example ZYX for a stack)."
    )


def _metadata_files(path: Path, array: zarr.Array[Any]) -> list[Path]:
    folder = path / array.path
    return [f for f in (folder / name for name in METADATA) if f.is_file()]
