"""Regions of TIFF files: only the tiles, strips or rows that a region touches are read and decoded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.chunks import ChunkCache, read_chunked
from unetseg.images.layout import Layout, one_of
from unetseg.images.lazy import Choice, DamagedRegion, LazyImage, Read, fingerprint, plane_names
from unetseg.images.tiff_tags import channel_axis, check_not_cut_off, tiff_spacing

JPEG = {6, 7, 34892, 33007}
"""Compressions whose tables the pages hold."""


def open_tiff(path: Path, choice: Choice, cache: ChunkCache) -> LazyImage:
    """A TIFF, BigTIFF or OME-TIFF file; its pixels stay in it.

    Raises UserError for a series or level that is not there, a compression that is not read, axes
    without Y and X and a file that is cut off.
    """
    tiff = tifffile.TiffFile(path)
    whole = one_of(path, tiff.series, choice.series, "series", [_size(s) for s in tiff.series])
    series = one_of(path, whole.levels, choice.level, "level", [_size(s) for s in whole.levels])
    _check_codec(path, series)
    check_not_cut_off(path, series)
    axes = choice.axes or series.axes
    if len(axes) != series.ndim:
        raise UserError(f"{path}: axes {axes} are given, but it has {series.ndim}: {_size(series)}.")
    layout = Layout(axes, series.shape, channel_axis(path, axes))
    spacing = tiff_spacing(tiff, choice.series)
    segments = Segments(path, series, layout, cache)
    plain = _memory_mapped(path, series, layout) if _plain(series) else None
    return LazyImage(
        path=path,
        planes=plane_names(layout.planes),
        axes=layout.planes,
        shape=(layout.channels, *layout.yx),
        dtype=segments.dtype,
        spacing_um=spacing and _scaled(spacing, whole, layout),
        chunks=segments.size,
        identity=fingerprint(path, [path], choice),
        read=plain or read_chunked(segments.size, segments.dtype, segments.chunk),
    )


def _size(series: tifffile.TiffPageSeries) -> str:
    return f"{'×'.join(str(n) for n in series.shape)} {series.axes}"


def _scaled(
    spacing: tuple[float, float], whole: tifffile.TiffPageSeries, layout: Layout
) -> tuple[float, float]:
    """The pixel size at a pyramid level."""
    y, x = (whole.shape[whole.axes.index(a)] for a in "YX")
    return spacing[0] * y / layout.yx[0], spacing[1] * x / layout.yx[1]


def _check_codec(path: Path, series: tifffile.TiffPageSeries) -> None:
    """Refuse a compression that is not known, by name."""
    page = series.keyframe
    try:
        if page.compression != 1:
            tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError:
        name = getattr(page.compression, "name", str(page.compression))
        raise UserError(
            f"{path}: its compression {name} cannot be read. Save it with zlib, LZW, zstd or JPEG 2000 "
            "compression, or without."
        ) from None
    if series.dtype is None or series.dtype.kind not in "uifb":
        raise UserError(f"{path}: {series.dtype} pixels; allowed are integers and floats.")
    if page.shaped[1] > 1 and not _plain(series):
        raise UserError(f"{path}: volumetric tiles cannot be read. Save its planes as pages of their own.")
    if 0 in series.shape:
        raise UserError(f"{path}: the image is empty (shape {series.shape}).")


def _plain(series: tifffile.TiffPageSeries) -> bool:
    """Whether the pixels lie in the file as in memory, one after the other."""
    return series.dataoffset is not None and series.dtype != bool


def _chunks(series: tifffile.TiffPageSeries) -> tuple[int, int]:
    page = series.keyframe
    if _plain(series):
        return 1, page.imagewidth
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _memory_mapped(path: Path, series: tifffile.TiffPageSeries, layout: Layout) -> Read:
    """Reads through a memory map that lives for one read, so that no page of it counts for longer."""
    dtype = series.dtype.newbyteorder(series.keyframe.parent.byteorder)
    offset, shape = series.dataoffset or 0, series.shape

    def read(plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        mapped = np.memmap(path, dtype, "r", offset, shape)
        out = np.empty((len(channels), y.stop - y.start, x.stop - x.start), dtype.newbyteorder("="))
        for pixels, channel in zip(out, channels, strict=True):
            pixels[:] = mapped[layout.place(plane, channel, y, x)]
        return out

    return read


class Segments:
    """The decoded tiles or strips of a series; colours of a pixel are decoded together."""

    def __init__(
        self, image: Path, series: tifffile.TiffPageSeries, layout: Layout, cache: ChunkCache
    ) -> None:
        self.path, self.series, self.layout, self.cache = image, series, layout, cache
        page = series.keyframe
        page.init_decode()
        self.size = _chunks(series)
        self.grid = tuple(-(-n // size) for n, size in zip(layout.yx, self.size, strict=True))
        self.outer = series.shape[: series.ndim - page.ndim]
        self.dtype = np.dtype(np.uint8) if series.dtype == bool else series.dtype.newbyteorder("=")
        self._lock = Lock()

    def chunk(self, plane: int, channel: int, iy: int, ix: int) -> NDArray[Any]:
        """One channel (y, x) of the segment in row iy and column ix."""
        place = self.layout.place(plane, channel, 0, 0)
        number = int(np.ravel_multi_index(place[: len(self.outer)], self.outer)) if self.outer else 0
        planar = self.series.keyframe.shaped[0] > 1
        inner = zip(place[len(self.outer) :], self.layout.axes[len(self.outer) :], strict=True)
        colour = next((i for i, axis in inner if axis not in "YX"), 0)
        index = (colour if planar else 0) * math.prod(self.grid) + iy * self.grid[1] + ix
        sample = 0 if planar else colour
        try:
            decoded = self.cache.get((number, index), lambda: self._decode(number, index))
        except Exception as error:  # what a decoder raises for a damaged tile is anybody's guess
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise self._damage(plane, iy, ix, why) from None
        return decoded[:, :, sample]

    def _decode(self, number: int, index: int) -> NDArray[Any]:
        """The pixels (y, x, samples) of a segment; one that the file leaves out is filled."""
        page, keyframe = self.series[number], self.series.keyframe
        tables: dict[str, Any] = {}
        data = None
        if page is not None:
            data = self._bytes(page, page.dataoffsets[index], page.databytecounts[index])
            if keyframe.compression in JPEG:
                tables = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
        pixels = keyframe.decode(data, index, **tables)[0]
        if pixels is None:
            return np.full((*self.size, keyframe.shaped[-1]), keyframe.nodata, self.dtype)
        return pixels[0] * np.uint8(255) if self.series.dtype == bool else pixels[0]

    def _bytes(self, page: Any, offset: int, count: int) -> bytes | None:
        if not offset or not count:
            return None
        with self._lock:
            file = page.parent.filehandle
            file.open()
            file.seek(offset)
            data: bytes = file.read(count)
        if len(data) < count:
            raise ValueError("the file ends in the middle of it")
        return data

    def _damage(self, plane: int, iy: int, ix: int, why: str) -> DamagedRegion:
        starts = (iy * self.size[0], ix * self.size[1])
        (y0, y1), (x0, x1) = (
            (a, min(a + n, most)) for a, n, most in zip(starts, self.size, self.layout.yx, strict=True)
        )
        return DamagedRegion(self.path, plane_names(self.layout.planes)[plane], ((y0, y1), (x0, x1)), why)
