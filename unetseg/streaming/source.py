"""An image as the network sees it, downsampled and normalised, read region by region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetseg.images import DamagedRegion
from unetseg.normalise import Normalisation
from unetseg.sample import shrink_image
from unetseg.streaming.statistics import streamed_statistics

BLOCK = 1024
"""Side in pixels of the blocks from which statistics are computed."""
Region = tuple[slice, slice]


class Pixels(Protocol):
    """An object that reads regions (c, y, x) of an image."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, y, x) of the whole."""

    def __getitem__(self, region: tuple[slice, slice, slice]) -> NDArray[Any]: ...


@dataclass(frozen=True)
class Shrunk:
    """A plane (c, y, x) as the means of `factor`² blocks, exactly as `shrink_image` of the whole."""

    plane: Pixels
    factor: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, y, x) of the shrunk image."""
        c, y, x = self.plane.shape
        return c, -(-y // self.factor), -(-x // self.factor)

    def __getitem__(self, region: tuple[slice, slice, slice]) -> NDArray[Any]:
        _, y, x = region
        before = [max(s.start - 1, 0) for s in (y, x)]  # the last block is filled from the previous one
        rows, columns = (
            slice(b * self.factor, min(s.stop * self.factor, n))
            for b, s, n in zip(before, (y, x), self.plane.shape[1:], strict=True)
        )
        pixels = shrink_image(np.asarray(self.plane[:, rows, columns]), self.factor)
        return pixels[:, y.start - before[0] :, x.start - before[1] :]


@dataclass(frozen=True)
class Repaired:
    """A plane whose damaged chunks are read as `fill` (one value per channel) and recorded."""

    plane: Pixels
    chunks: tuple[int, int]
    dtype: np.dtype[Any]
    fill: tuple[float, ...]
    damaged: set[tuple[int, int, int, int]] = field(default_factory=set)
    """(y0, y1, x0, x1) of the damaged chunks found so far."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, y, x)."""
        return self.plane.shape

    def __getitem__(self, region: tuple[slice, slice, slice]) -> NDArray[Any]:
        _, y, x = region
        try:
            return np.asarray(self.plane[:, y, x])
        except DamagedRegion:
            return self._by_chunks(y, x)

    def damage_in(self, region: Region) -> list[tuple[int, int, int, int]]:
        """The damage found so far that lies in a region."""
        y, x = region
        cut = (
            (max(y0, y.start), min(y1, y.stop), max(x0, x.start), min(x1, x.stop))
            for y0, y1, x0, x1 in sorted(self.damaged)
        )
        return [(y0, y1, x0, x1) for y0, y1, x0, x1 in cut if y0 < y1 and x0 < x1]

    def _by_chunks(self, y: slice, x: slice) -> NDArray[Any]:
        across = _cells(x, self.chunks[1])
        return np.block(
            [[self._part(rows, columns) for columns in across] for rows in _cells(y, self.chunks[0])]
        )

    def _part(self, y: slice, x: slice) -> NDArray[Any]:
        try:
            return np.asarray(self.plane[:, y, x])
        except DamagedRegion:
            height, width = self.chunks
            y0, x0 = y.start // height * height, x.start // width * width
            bounds = self.plane.shape[1:]
            self.damaged.add((y0, min(y0 + height, bounds[0]), x0, min(x0 + width, bounds[1])))
            fill = np.array(self.fill).reshape(-1, 1, 1).astype(self.dtype)
            return np.broadcast_to(fill, (len(fill), y.stop - y.start, x.stop - x.start))


@dataclass(frozen=True)
class NetworkInput:
    """Regions (c, y, x) float32 of an image, downsampled, then normalised by a rule with stored values."""

    shrunk: Shrunk
    rule: Normalisation

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, y, x) of the network's input."""
        return self.shrunk.shape

    def __getitem__(self, region: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        return self.rule(self.shrunk[region], "image")


def fit_rule(rule: Normalisation, shrunk: Shrunk, *, skip_damaged: bool) -> Normalisation:
    """The rule with this image's own values stored; with skip_damaged, unreadable blocks are left out."""

    def blocks() -> Iterator[NDArray[Any]]:
        _, height, width = shrunk.shape
        for y, x in product(_cells(slice(0, height), BLOCK), _cells(slice(0, width), BLOCK)):
            try:
                yield shrunk[:, y, x]
            except DamagedRegion:
                if not skip_damaged:
                    raise

    return streamed_statistics(rule, blocks)


def _cells(span: slice, size: int) -> list[slice]:
    """A range of pixels, divided at the multiples of `size`."""
    starts = [span.start, *range((span.start // size + 1) * size, span.stop, size)]
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], span.stop], strict=True)]
