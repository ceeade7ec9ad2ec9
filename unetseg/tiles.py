"""Overlap tiles: the pixels that a tile reads, keeps and writes, so that tiled equals whole.

The overlap-tile strategy of the U-Net paper (Ronneberger 2015, fig. 2): a tile is read with the
context that its output pixels see, mirrored beyond the image's border, and only the pixels with
full context are kept. Max-pooling is shift-equivariant by its stride alone, so tiles start at
multiples of the stride: the paper's 388-pixel tiles laid edge to edge change the result, 384 do
not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError


@dataclass(frozen=True)
class Footprint:
    """What tiling must know about a network, per axis of yx.

    context: pixels on each side that an output pixel can see (in a valid net: that the output lacks;
    a pixel also sees the rest of its stride's block); stride: shift by which the network is
    equivariant (2**depth); valid: whether the output is smaller than the input by the context;
    phase: a legal input size n has n % stride == phase.
    """

    context: tuple[int, ...]
    stride: tuple[int, ...]
    valid: bool
    phase: tuple[int, ...]

    @property
    def margin(self) -> tuple[int, ...]:
        """Pixels read on each side of a tile: the context, for a padded net in whole strides."""
        if self.valid:
            return self.context
        return tuple(-(-c // s) * s for c, s in zip(self.context, self.stride, strict=True))

    @property
    def excess(self) -> tuple[int, ...]:
        """Output pixels beyond a multiple of the stride: 4 in the paper's 388 = 24·16 + 4."""
        return tuple((p - 2 * m) % s for p, m, s in zip(self.phase, self.margin, self.stride, strict=True))

    def legal(self, size: Sequence[int]) -> bool:
        """Whether the network takes an input of this size."""
        smallest = self.smallest
        return all(
            n >= least and n % s == p
            for n, least, s, p in zip(size, smallest, self.stride, self.phase, strict=True)
        )

    @property
    def smallest(self) -> tuple[int, ...]:
        """The smallest legal input size."""
        if not self.valid:
            return self.stride
        return tuple(2 * m + (e or s) for m, e, s in zip(self.margin, self.excess, self.stride, strict=True))

    def nearest_legal(self, size: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The largest legal size not above `size` (or the smallest legal one), and the next."""
        below = tuple(
            max(least, n - (n - p) % s)
            for n, least, s, p in zip(size, self.smallest, self.stride, self.phase, strict=True)
        )
        above = tuple(b if b >= n else b + s for b, n, s in zip(below, size, self.stride, strict=True))
        return below, above

    def output(self, size: Sequence[int]) -> tuple[int, ...]:
        """The size of the network's output for a legal input size."""
        return (
            tuple(n - 2 * c for n, c in zip(size, self.context, strict=True)) if self.valid else tuple(size)
        )


@dataclass(frozen=True)
class Tile:
    """read: (start, stop) per axis, possibly beyond the image; write: the part that is kept, in the image.

    kept: write with the grid's halo, inside the image; crop: the kept region in the net's output.
    """

    read: tuple[tuple[int, int], ...]
    crop: tuple[slice, ...]
    write: tuple[slice, ...]
    kept: tuple[slice, ...]


@dataclass(frozen=True)
class TileGrid:
    """The tiles of an image of `shape` (yx) in steps of `step`; their write regions partition it.

    halo: pixels on each side of a write region whose output is also needed, for steps that use neighbours.
    Raises UserError unless step is a positive multiple of the footprint's stride.
    """

    shape: tuple[int, ...]
    step: tuple[int, ...]
    footprint: Footprint
    halo: int = 0

    def __post_init__(self) -> None:
        pairs = zip(self.step, self.footprint.stride, strict=True)
        if any(step <= 0 or step % stride for step, stride in pairs):
            raise UserError(
                f"tile step {self.step}: not a positive multiple of the network's stride "
                f"{self.footprint.stride}. Other steps would change the result at every tile border."
            )

    def __len__(self) -> int:
        return int(np.prod([len(range(0, n, s)) for n, s in zip(self.shape, self.step, strict=True)]))

    def __iter__(self) -> Iterator[Tile]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Tile:
        """A tile by its number in reading order."""
        counts = [-(-n // s) for n, s in zip(self.shape, self.step, strict=True)]
        place = np.unravel_index(index, counts)
        start = tuple(int(i) * s for i, s in zip(place, self.step, strict=True))
        foot = self.footprint
        read = tuple((a - m, a - m + n) for a, m, n in zip(start, self.margin, self.read_shape, strict=True))
        write = tuple(slice(a, min(a + s, n)) for a, s, n in zip(start, self.step, self.shape, strict=True))
        window = widened(write, self.halo, self.shape)
        lost = foot.context if foot.valid else (0,) * len(start)
        origins = (a + k for (a, _), k in zip(read, lost, strict=True))
        crop = tuple(slice(w.start - o, w.stop - o) for w, o in zip(window, origins, strict=True))
        return Tile(read, crop, write, window)

    @property
    def margin(self) -> tuple[int, ...]:
        """Pixels read on each side of a write region."""
        return read_margin(self.footprint, self.halo)

    @property
    def read_shape(self) -> tuple[int, ...]:
        """The size every tile reads: the network's input."""
        parts = zip(self.step, self.margin, self.footprint.excess, strict=True)
        return tuple(step + 2 * margin + excess for step, margin, excess in parts)


@dataclass(frozen=True)
class Partition:
    """An image of `shape` (y, x) cut into tiles of `step`, the last ones smaller, in reading order."""

    shape: tuple[int, int]
    step: tuple[int, int]

    @property
    def rows(self) -> int:
        """Tiles from top to bottom."""
        return -(-self.shape[0] // self.step[0])

    @property
    def columns(self) -> int:
        """Tiles from left to right."""
        return -(-self.shape[1] // self.step[1])

    @property
    def band(self) -> int:
        """Pixels of a full row of tiles."""
        return self.step[0] * self.shape[1]

    def __len__(self) -> int:
        return self.rows * self.columns

    def __getitem__(self, index: int) -> tuple[slice, slice]:
        """The region of a tile; IndexError beyond the last, so that a loop ends."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        y, x = divmod(index, self.columns)
        starts = (y * self.step[0], x * self.step[1])
        ends = (min(a + s, n) for a, s, n in zip(starts, self.step, self.shape, strict=True))
        first, second = (slice(a, b) for a, b in zip(starts, ends, strict=True))
        return first, second

    def inner(self, index: int) -> tuple[bool, bool, bool, bool]:
        """Whether the tile has a neighbour above, below, on the left and on the right."""
        y, x = divmod(index, self.columns)
        return y > 0, y < self.rows - 1, x > 0, x < self.columns - 1

    def within(self, window: tuple[slice, slice]) -> Iterator[int]:
        """The tiles that overlap the window."""
        lines = (range(w.start // s, -(-w.stop // s)) for w, s in zip(window, self.step, strict=True))
        return (y * self.columns + x for y, x in product(*lines))


def widened(region: Sequence[slice], halo: int | Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    """The region with `halo` more pixels on each side, inside an image of `shape`."""
    halos = [halo] * len(region) if isinstance(halo, int) else halo
    return tuple(
        slice(max(r.start - h, 0), min(r.stop + h, n)) for r, h, n in zip(region, halos, shape, strict=True)
    )


def middle_region(shape: Sequence[int], most: int) -> tuple[slice, ...]:
    """The middle of an image of `shape`, at most `most` pixels a side.

    >>> middle_region((10, 3), 4)
    (slice(3, 7, None), slice(0, 3, None))
    """
    starts = [max(0, (n - most) // 2) for n in shape]
    return tuple(slice(a, min(a + most, n)) for a, n in zip(starts, shape, strict=True))


def read_margin(footprint: Footprint, halo: int) -> tuple[int, ...]:
    """Context and halo on each side; the margin itself or whole strides more, so that tiles stay aligned."""
    if footprint.valid:
        return tuple(c + -(-halo // s) * s for c, s in zip(footprint.context, footprint.stride, strict=True))
    return tuple(-(-(c + halo) // s) * s for c, s in zip(footprint.context, footprint.stride, strict=True))


def inside(region: Sequence[slice], window: Sequence[slice]) -> tuple[slice, ...]:
    """The region's place in an array that holds the window."""
    return tuple(slice(r.start - w.start, r.stop - w.start) for r, w in zip(region, window, strict=True))


def even_grid(shape: Sequence[int], largest_step: Sequence[int], footprint: Footprint) -> TileGrid:
    """The grid with the fewest tiles whose step is at most `largest_step`, with the tiles evened out."""
    step = []
    for n, largest, stride in zip(shape, largest_step, footprint.stride, strict=True):
        count = -(-n // max(largest // stride * stride, stride))
        step.append(-(-n // (count * stride)) * stride)
    return TileGrid(tuple(shape), tuple(step), footprint)


SPARE = 1.05
"""How many times the fewest possible pixels a grid of smaller tiles may compute."""


def leanest_grid(
    shape: Sequence[int], unit: Sequence[int], footprint: Footprint, pixels: int, *, halo: int = 0
) -> TileGrid | None:
    """The grid (y, x) for which the net computes the fewest pixels, in tiles of at most `pixels` read.

    Steps are multiples of `unit`, itself one of the stride, and need not be square. Of the grids that
    compute hardly more (SPARE), the one with the smallest tiles is chosen, so that memory does not depend on
    how an image's size happens to divide. None if not even a tile of one unit fits.
    """
    one = TileGrid(tuple(shape), tuple(unit), footprint, halo)
    counts = [np.arange(1, -(-n // u) + 1) for n, u in zip(shape, unit, strict=True)]
    steps = [-(-n // (c * u)) * u for n, u, c in zip(shape, unit, counts, strict=True)]
    extra = [read - u for read, u in zip(one.read_shape, unit, strict=True)]
    reads = np.multiply.outer(steps[0] + extra[0], steps[1] + extra[1])
    tiles = np.multiply.outer(*(-(-n // step) for n, step in zip(shape, steps, strict=True)))
    fits = reads <= pixels
    if not fits.any():
        return None
    cost = tiles * reads
    lean = fits & (cost <= SPARE * cost[fits].min())
    y, x = np.argwhere(lean)[np.lexsort((cost[lean], reads[lean]))[0]]
    return TileGrid(tuple(shape), (int(steps[0][y]), int(steps[1][x])), footprint, halo)


def mirror_index(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """The pixels start…stop−1 of an axis extended by mirroring without repeating the edge.

    >>> mirror_index(-2, 6, 4)
    array([2, 1, 0, 1, 2, 3, 2, 1])
    """
    period = max(2 * (size - 1), 1)
    folded = np.arange(start, stop) % period
    return np.where(folded < size, folded, period - folded)


def read_mirrored(image: Any, read: Sequence[tuple[int, int]]) -> NDArray[np.generic]:
    """The region `read` of `image` (c, *yx), mirrored beyond its border.

    `image` is anything that slices like an array (numpy, memory map, Zarr): only the pixels inside
    the image are read, once.
    """
    indices = [mirror_index(a, b, n) for (a, b), n in zip(read, image.shape[1:], strict=True)]
    inside = np.asarray(image[(slice(None), *(slice(i.min(), i.max() + 1) for i in indices))])
    for axis, index in enumerate(indices, start=1):
        if not np.array_equal(index, np.arange(index[0], index[0] + len(index))):
            inside = inside.take(index - index.min(), axis=axis)
    return inside
