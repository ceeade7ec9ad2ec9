"""Regions of TIFF files: only the tiles, strips or rows that a region touches are read and decoded."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.chunks import ChunkCache, gather
from unetseg.images.layout import Layout
from unetseg.images.lazy import Choice, LazyImage, fingerprint, plane_names
from unetseg.images.limits import check_claim
from unetseg.images.scale import Scale
from unetseg.images.tiff_complete import check_chain, check_complete
from unetseg.images.tiff_series import PageRef, PageSet, choose_pages
from unetseg.images.tiff_tags import colours_of, tiff_scale

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it would warn about is checked here

JPEG = {6, 7, 34892, 33007}
"""Compressions whose tables are stored in the pages."""


def open_tiff(path: Path, choice: Choice, cache: ChunkCache) -> LazyImage:
    """A TIFF, BigTIFF or OME-TIFF file; its pixels stay on the disk.

    Raises UserError for a series or level that does not exist, a compression or colour space that cannot be
    read, axes without Y and X, and a file that holds less than it promises (unless choice.damaged).
    """
    with tifffile.TiffFile(path) as tiff:
        check_chain(path, tiff)
        pages = choose_pages(path, tiff, choice)
        _check_pixels(path, pages)
        if not choice.damaged:
            check_complete(path, tiff, pages)
        layout = _layout(path, pages, choice)
        interleaved = layout.channel >= len(pages.outer)
        colours = colours_of(
            path, tiff, pages.keyframe, layout.channels, interleaved=interleaved, palette=choice.palette
        )
        scale = _at_level(tiff_scale(tiff, choice.series or 0), pages, layout)
        _load_tables(pages)
    segments = Segments(pages, layout, cache)
    return LazyImage(
        path=path,
        planes=plane_names(layout.planes),
        axes=layout.planes,
        shape=(colours.channels, *layout.yx),
        dtype=segments.dtype if colours.table is None else colours.table.dtype,
        scale=scale,
        chunks=_chunks(pages.keyframe),
        identity=fingerprint(path, sorted({path, *pages.files}), choice),
        read=colours.applied(segments.read),
    )


def _layout(path: Path, pages: PageSet, choice: Choice) -> Layout:
    layout = Layout.of(path, pages.axes, pages.lengths, choice.axes)
    within = layout.axes[len(pages.outer) :]
    if not 0 <= within.find("Y") < within.find("X"):
        raise UserError(
            f"{path}: axes {layout.axes} do not fit the file: each of its pages holds "
            f"{pages.axes[len(pages.outer) :]}, in this order."
        )
    return layout


def _at_level(scale: Scale, pages: PageSet, layout: Layout) -> Scale:
    """The scale of a pyramid level."""
    if scale.yx_um is None:
        return scale
    y, x = (size * full / n for size, full, n in zip(scale.yx_um, pages.full_yx, layout.yx, strict=True))
    return Scale((y, x), scale.z_um, scale.frame_s)


def _check_pixels(path: Path, pages: PageSet) -> None:
    """Refuse a compression that cannot be decoded, by name, and more pixels than the files can hold."""
    page = pages.keyframe
    for compression in {page.compression, *(k.compression for k in pages.keyframes)} - {1}:
        try:
            tifffile.TIFF.DECOMPRESSORS[compression]
        except KeyError:
            name = getattr(compression, "name", str(compression))
            raise UserError(
                f"{path}: its compression {name} cannot be read. Save it with zlib, LZW, zstd or JPEG 2000 "
                "compression, or without compression."
            ) from None
    if page.dtype is None or page.dtype.kind not in "uifb":
        raise UserError(f"{path}: {page.dtype} pixels; allowed are integers and floats.")
    if 0 in pages.lengths:
        raise UserError(f"{path}: the image is empty (shape {pages.lengths}).")
    if page.shaped[1] > 1 and not _plain(page):
        raise UserError(f"{path}: volumetric tiles cannot be read. Save each plane as a separate page.")
    tile = math.prod(_chunks(page)) * page.samplesperpixel
    claimed = max(math.prod(pages.lengths), tile) * page.dtype.itemsize
    check_claim(path, claimed, sum(file.stat().st_size for file in {path, *pages.files}))


def _load_tables(pages: PageSet) -> None:
    """Read what decoders need later, while the files are open."""
    for page in pages.keyframes:
        page.parent.filehandle.open()
        _ = page.decode, page.nodata  # cached by the page
        page.parent.close()


def _plain(page: Any) -> bool:
    """Whether a page's pixels are stored as they are in memory."""
    return bool(page.is_final) and page.dtype != bool


def _chunks(page: Any) -> tuple[int, int]:
    """Rows and columns that are decoded together."""
    if _plain(page):
        return 1, page.imagewidth
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


class Segments:
    """The stored samples of an image: interleaved colours decoded together, uncompressed rows only mapped."""

    def __init__(self, pages: PageSet, layout: Layout, cache: ChunkCache) -> None:
        self.pages, self.layout, self.cache = pages, layout, cache
        dtype = pages.keyframe.dtype
        self.dtype = np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")
        self.within = layout.axes[len(pages.outer) :]

    def read(self, plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        """Stored samples (channels, y, x) of a region of a plane; 1 bit becomes 0 and 255."""
        out = np.empty((len(channels), y.stop - y.start, x.stop - x.start), self.dtype)
        if out.size:
            for pixels, channel in zip(out, channels, strict=True):
                self._fill(pixels, plane, channel, (y, x))
        return out

    def _fill(self, out: NDArray[Any], plane: int, channel: int, region: tuple[slice, slice]) -> None:
        outer = self.pages.outer
        place = self.layout.place(plane, channel, *region)
        number = int(np.ravel_multi_index(place[: len(outer)], outer)) if outer else 0
        ref, inner = self.pages.page(number), place[len(outer) :]
        if ref.page is None:
            raise ValueError("the file does not hold this plane")
        if _plain(ref.page):
            out[:] = self._mapped(ref, inner)
        else:
            sample = next((i for i, axis in zip(inner, self.within, strict=True) if axis not in "YX"), 0)
            gather(out, region, _chunks(ref.page.keyframe), partial(self._segment, number, ref, sample))

    def _mapped(self, ref: PageRef, inner: tuple[Any, ...]) -> NDArray[Any]:
        """Pixels through a memory map of only these rows, opened for one read and closed after it."""
        page, rows = ref.page.keyframe, inner[self.within.index("Y")]
        before, after = self.within.index("Y"), self.within.index("Y") + 1
        lengths = self.pages.lengths[len(self.pages.outer) :]
        row = math.prod(lengths[after:]) * page.dtype.itemsize
        first = int(np.ravel_multi_index((*inner[:before], rows.start), lengths[:after]))
        mapped = np.memmap(
            ref.page.parent.filehandle.path,
            page.dtype.newbyteorder(page.parent.byteorder),
            "r",
            ref.page.dataoffsets[0] + ref.shift + first * row,
            (rows.stop - rows.start, *lengths[after:]),
        )
        return mapped[(slice(None), *inner[after:])]

    def _segment(self, number: int, ref: PageRef, sample: int, iy: int, ix: int) -> NDArray[Any]:
        """One sample (y, x) of the tile or strip in row iy and column ix of a page."""
        page = ref.page.keyframe
        rows, columns = (-(-n // size) for n, size in zip(self.layout.yx, _chunks(page), strict=True))
        planar = page.shaped[0] > 1
        index = (sample * rows * columns if planar else 0) + iy * columns + ix
        decoded = self.cache.get((number, index), lambda: self._decode(number, index))
        return decoded[:, :, 0 if planar else sample]

    def _decode(self, number: int, index: int) -> NDArray[Any]:
        """The pixels (y, x, samples) of a segment; one that is not in the file gets the fill value."""
        page = self.pages.page(number).page
        keyframe = page.keyframe
        tables: dict[str, Any] = {}
        if keyframe.compression in JPEG:
            tables = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
        data = _bytes(page.parent.filehandle.path, page.dataoffsets[index], page.databytecounts[index])
        pixels = keyframe.decode(data, index, **tables)[0]
        if pixels is None:
            return np.full((*_chunks(keyframe), keyframe.shaped[-1]), keyframe.nodata, self.dtype)
        return pixels[0] * np.uint8(255) if keyframe.dtype == bool else pixels[0]


def _bytes(path: str, offset: int, count: int) -> bytes | None:
    """Bytes of a file; None for a segment that is not in it."""
    if not offset or not count:
        return None
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(count)
    if len(data) < count:
        raise ValueError("the file ends in the middle of it")
    return data
