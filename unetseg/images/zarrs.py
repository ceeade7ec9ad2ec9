"""Regions of Zarr arrays (v2 and v3) and of OME-Zarr images (NGFF 0.4 and 0.5)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.chunks import ChunkCache, read_chunked
from unetseg.images.layout import Layout, one_of
from unetseg.images.lazy import Choice, DamagedRegion, LazyImage, fingerprint, plane_names
from unetseg.images.tiff_tags import UNIT_UM, channel_axis

if TYPE_CHECKING:
    import zarr

METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
"""The metadata files of Zarr v3 and v2."""
LONG_UNITS = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6}


def is_zarr(path: Path) -> bool:
    """Whether the path is a folder that holds a Zarr array or group."""
    return path.is_dir() and any((path / name).is_file() for name in METADATA)


def zarr_module() -> Any:
    """The zarr package, or a UserError that tells how to get it."""
    try:
        import zarr
    except ImportError:
        raise UserError("Zarr files need the zarr package: pip install 'unetseg[zarr]'.") from None
    return zarr


def open_zarr(path: Path, choice: Choice, cache: ChunkCache) -> LazyImage:
    """A Zarr array, or an OME-Zarr image; its pixels stay in it.

    Raises UserError for a series or level that is not there, axes that cannot be guessed, pixels
    that are no numbers, and a folder without an image.
    """
    array, axes, spacing = _array(path, choice)
    axes = choice.axes or axes or _guessed_axes(path, array.shape)
    if len(axes) != array.ndim:
        raise UserError(f"{path}: axes {axes} are given, but its shape is {array.shape}.")
    if array.dtype.kind not in "uifb":
        raise UserError(f"{path}: {array.dtype} pixels; allowed are integers and floats.")
    if 0 in array.shape:
        raise UserError(f"{path}: the image is empty (shape {array.shape}).")
    layout = Layout(axes, array.shape, channel_axis(path, axes))
    chunks = Chunks(path, array, layout, cache)
    return LazyImage(
        path=path,
        planes=plane_names(layout.planes),
        axes=layout.planes,
        shape=(layout.channels, *layout.yx),
        dtype=chunks.dtype,
        spacing_um=spacing,
        chunks=chunks.size,
        identity=fingerprint(path, _metadata_files(path, array), choice),
        read=read_chunked(chunks.size, chunks.dtype, chunks.chunk),
    )


class Chunks:
    """The decoded chunks of a Zarr array."""

    def __init__(self, image: Path, array: zarr.Array[Any], layout: Layout, cache: ChunkCache) -> None:
        self.path, self.array, self.layout, self.cache = image, array, layout, cache
        self.size = array.chunks[layout.axes.index("Y")], array.chunks[layout.axes.index("X")]
        self.dtype = np.dtype(np.uint8) if array.dtype == bool else array.dtype.newbyteorder("=")

    def chunk(self, plane: int, channel: int, iy: int, ix: int) -> NDArray[Any]:
        """One channel (y, x) of the chunk in row iy and column ix."""
        corner = iy * self.size[0], ix * self.size[1]
        place = self.layout.place(plane, channel, *corner)
        key = tuple(i // n for i, n in zip(place, self.array.chunks, strict=True))
        try:
            block = self.cache.get(key, lambda: self._decode(key))
        except Exception as error:  # what a codec raises for a damaged chunk is anybody's guess
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise self._damage(plane, corner, why) from None
        inside = (i % n for i, n in zip(place, self.array.chunks, strict=True))
        yx = [slice(None) if a in "YX" else i for a, i in zip(self.layout.axes, inside, strict=True)]
        pixels: NDArray[Any] = block[tuple(yx)]
        return pixels if self.layout.axes.index("Y") < self.layout.axes.index("X") else pixels.T

    def _decode(self, key: tuple[int, ...]) -> NDArray[Any]:
        sizes = zip(key, self.array.chunks, self.array.shape, strict=True)
        block = np.asarray(self.array[tuple(slice(i * n, min(i * n + n, most)) for i, n, most in sizes)])
        return block * np.uint8(255) if block.dtype == bool else block.astype(self.dtype, copy=False)

    def _damage(self, plane: int, corner: tuple[int, int], why: str) -> DamagedRegion:
        ends = (min(a + n, most) for a, n, most in zip(corner, self.size, self.layout.yx, strict=True))
        (y0, x0), (y1, x1) = corner, ends
        return DamagedRegion(self.path, plane_names(self.layout.planes)[plane], ((y0, y1), (x0, x1)), why)


def _array(path: Path, choice: Choice) -> tuple[zarr.Array[Any], str, tuple[float, float] | None]:
    """The array chosen, its axes ("" where the file does not tell) and pixel size."""
    zarr = zarr_module()
    try:
        node = zarr.open(path, mode="r")
    except Exception as error:  # damaged metadata
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not a readable Zarr array or group ({reason}).") from None
    if isinstance(node, zarr.Array):
        if choice.series or choice.level:
            raise UserError(f"{path}: a Zarr array; it has no other series or level.")
        return node, _named_axes(node), None
    return _multiscale(path, node, choice)


def _multiscale(
    path: Path, group: Any, choice: Choice
) -> tuple[zarr.Array[Any], str, tuple[float, float] | None]:
    """The array of an NGFF image (0.4 in the attributes, 0.5 in their "ome")."""
    attributes = dict(group.attrs.get("ome", group.attrs))
    if "bioformats2raw.layout" in attributes and str(choice.series) in group:
        group = group[str(choice.series)]
        attributes = dict(group.attrs.get("ome", group.attrs))
        choice = replace(choice, series=0)
    images = attributes.get("multiscales", [])
    if not images:
        arrays = ", ".join(sorted(name for name, _ in group.arrays())) or "none"
        raise UserError(
            f"{path}: a Zarr group that is no OME-Zarr image. Name an array in it (arrays: {arrays})."
        )
    image = one_of(path, images, choice.series, "series", [str(i.get("name", "")) for i in images])
    levels = image["datasets"]
    shapes = ["×".join(map(str, group[d["path"]].shape)) for d in levels]
    level = one_of(path, levels, choice.level, "level", shapes)
    axes = [a if isinstance(a, str) else a["name"] for a in image.get("axes", [])]
    return group[level["path"]], "".join(axes).upper(), _spacing(image, level)


def _spacing(image: dict[str, Any], level: dict[str, Any]) -> tuple[float, float] | None:
    """The pixel size in µm of a level; None where an axis has no unit of length."""
    axes = [a if isinstance(a, dict) else {"name": a} for a in image.get("axes", [])]
    steps = [*level.get("coordinateTransformations", []), *image.get("coordinateTransformations", [])]
    scales = [np.asarray(s["scale"], float) for s in steps if s.get("type") == "scale" and "scale" in s]
    if not scales or len(axes) != len(scales[0]):
        return None
    size = np.prod(scales, axis=0)
    found = {}
    for axis, step in zip(axes, size, strict=True):
        unit = LONG_UNITS.get(str(axis.get("unit")), UNIT_UM.get(str(axis.get("unit"))))
        found[axis["name"].upper()] = None if unit is None else float(step) * unit
    y, x = found.get("Y"), found.get("X")
    return None if y is None or x is None else (y, x)


def _named_axes(array: zarr.Array[Any]) -> str:
    """The axes that a Zarr v3 array names, or xarray's attribute; "" if they are none of TCZYX."""
    names: Any = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    letters = [str(name).upper() for name in names or ()]
    known = bool(letters) and all(letter in set("TCZYX") for letter in letters)
    return "".join(letters) if known else ""


def _guessed_axes(path: Path, shape: tuple[int, ...]) -> str:
    """YX, or CYX with at most 4 channels; anything else must be said."""
    if len(shape) == 2:
        return "YX"
    if len(shape) == 3 and shape[0] <= 4:
        return "CYX"
    raise UserError(
        f"{path}: the axes of an array of shape {shape} cannot be guessed. Name them, one letter an "
        "axis: T, Z, C, Y, X (for example ZYX for a stack)."
    )


def _metadata_files(path: Path, array: zarr.Array[Any]) -> list[Path]:
    folder = path / array.path
    return [f for f in (folder / name for name in METADATA) if f.is_file()]
