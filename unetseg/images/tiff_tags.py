"""What a TIFF's tags and descriptions mean: distances of pixels, slices and frames, and colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.lazy import Read
from unetseg.images.scale import SECONDS, UM, Scale, in_unit, pair

LUT_MAKERS = ("imagej", "ome", "stk", "lsm", "metaseries", "fluoview", "micromanager")
"""Programs whose colour tables are only for display: the pixels are the measured values."""
FOREIGN_COLOURS = {5: "CMYK", 8: "CIELAB", 9: "ICCLAB", 10: "ITULAB", 32844: "LOGL", 32845: "LOGLUV"}
"""Photometric interpretations that cannot be read."""
PLAIN_CODECS = (1, 5, 8, 32946, 50000)
"""Compressions (none, LZW, deflate, zstd) that leave YCbCr as it is; JPEG decoders give RGB."""
ALPHA = (1, 2)
"""ExtraSamples: associated and unassociated alpha; 0 is a channel like the others."""


@dataclass(frozen=True)
class Colours:
    """How the stored samples of a pixel become channels.

    keep: the stored samples that are channels, in order; white: the stored value that means 0, None if 0
    does; table: colours (3 or 1, entries) uint8 of a palette, or None.
    """

    keep: tuple[int, ...]
    white: int | None = None
    table: NDArray[np.uint8] | None = None

    @property
    def channels(self) -> int:
        """The number of channels of the image."""
        return len(self.keep) if self.table is None else len(self.table)

    def applied(self, read: Read) -> Read:
        """A reader of channels, made from a reader of stored samples."""

        def read_colours(plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
            if self.table is not None:
                indices = read(plane, [0], y, x)[0]
                return np.stack([self.table[c][indices] for c in channels])
            stored = read(plane, [self.keep[c] for c in channels], y, x)
            return stored if self.white is None else stored.dtype.type(self.white) - stored

        return read_colours


def colours_of(
    path: Path, tiff: tifffile.TiffFile, page: Any, channels: int, *, interleaved: bool, palette: bool
) -> Colours:
    """How to read stored channels, as viewers show them; interleaved: a page holds all of them.

    Alpha is dropped if the file marks it as alpha, or stores four samples of RGB without saying more.
    WhiteIsZero is inverted and a palette becomes its colours, except in ImageJ's files, whose colour
    tables (inverting ones, too) are for display; palette=True leaves indices (label images).
    Raises UserError for colour spaces that cannot be read.
    """
    _check_colours(path, page)
    raw = any(getattr(tiff, f"is_{maker}") for maker in LUT_MAKERS)
    if page.photometric == 3 and page.colormap is not None and channels == 1 and not (raw or palette):
        return Colours((0,), table=_table(page.colormap))
    alpha = _alpha(page, channels) if interleaved else set()
    keep = tuple(i for i in range(channels) if i not in alpha)
    return Colours(keep, None if tiff.is_imagej else _white(page))


def tiff_scale(tiff: tifffile.TiffFile, image: int = 0) -> Scale:
    """The distances of an image of the file, from OME or ImageJ metadata or from resolution tags in cm."""
    if tiff.is_ome and tiff.ome_metadata:
        return _ome_scale(tiff.ome_metadata, image)
    said: dict[str, Any] = tiff.imagej_metadata or {} if tiff.is_imagej else {}
    unit = said.get("unit")
    z = in_unit(said.get("spacing"), said.get("zunit", unit), UM)
    frame = in_unit(said.get("finterval"), said.get("tunit", "sec"), SECONDS)
    return Scale(_resolution(tiff, unit), z, frame)


def _ome_scale(xml: str, image: int) -> Scale:
    images = tifffile.xml2dict(xml)["OME"]["Image"]
    every = images if isinstance(images, list) else [images]
    said = every[image]["Pixels"] if image < len(every) else {}
    y, x, z = (
        in_unit(said.get(f"PhysicalSize{a}"), said.get(f"PhysicalSize{a}Unit", "µm"), UM) for a in "YXZ"
    )
    frame = in_unit(said.get("TimeIncrement"), said.get("TimeIncrementUnit", "s"), SECONDS)
    return Scale(pair(y, x), z, frame)


def _resolution(tiff: tifffile.TiffFile, unit: Any) -> tuple[float, float] | None:
    """(y, x) in µm; inches are a printer's default and mean nothing for the specimen."""
    tags = tiff.pages.first.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None
    if unit is None and "ResolutionUnit" in tags and tags["ResolutionUnit"].value == 3:
        unit = "cm"
    per_unit = [tags[f"{a}Resolution"].value for a in "YX"]
    y, x = (in_unit(d / n, unit, UM) if n and d else None for n, d in per_unit)
    return pair(y, x)


def _check_colours(path: Path, page: Any) -> None:
    name = FOREIGN_COLOURS.get(page.photometric)
    if page.photometric == 6 and page.compression in PLAIN_CODECS:
        name = "YCbCr"
    if name is not None:
        raise UserError(
            f"{path}: its colours are {name}; allowed are grey, RGB and separate channels. "
            "Convert it to RGB and save it again."
        )


def _alpha(page: Any, samples: int) -> set[int]:
    """The stored samples that are alpha."""
    extra = tuple(page.extrasamples)[: samples - 1]
    if not extra and page.photometric == 2 and samples == 4:
        return {3}
    return {samples - len(extra) + i for i, kind in enumerate(extra) if kind in ALPHA}


def _white(page: Any) -> int | None:
    """The stored value that means 0 in a WhiteIsZero page of unsigned integers."""
    if page.photometric != 0 or page.dtype is None or page.dtype.kind not in "ub":
        return None
    return 255 if page.dtype == bool else int(2**page.bitspersample - 1)


def _table(colormap: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Colours (3, entries), or (1, entries) where all are grey; some writers store 8 bits instead of 16."""
    table = (colormap >> 8 if colormap.max() > 255 else colormap).astype(np.uint8)
    return table[:1] if (table == table[:1]).all() else table
