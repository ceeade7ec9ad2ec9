"""Overlap-tile prediction, identical to whole-image prediction whatever the tile size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unetseg.device import memory_errors
from unetseg.inference.engines import InferenceNet
from unetseg.inference.pieces import Pieces
from unetseg.inference.reduce import Reduce, everything
from unetseg.inference.transfer import Arriving, Transfer, transfer_to
from unetseg.tiles import Tile, TileGrid, read_mirrored

IN_FLIGHT = 2
"""Groups of tiles that are read or computed while one is handed out."""
Region = tuple[slice, ...]
READERS = 4
"""Threads that read tiles; they mostly wait for the disk and for decoders outside Python."""


def predict(
    net: InferenceNet,
    image: Any,
    grid: TileGrid,
    *,
    batch: int = 1,
    average: int = 1,
    progress: Callable[[int], None] = lambda tiles: None,
) -> NDArray[np.float32]:
    """Softmax probabilities (k, *yx) float32 of an image (c, *yx), normalised as in training.

    Of a network that restores images, the restored image in the same normalised grey values.

    The image is extended by mirroring and cut into the tiles of `grid` (made with the net's
    footprint); the result equals the net on the whole extended image to 1e-4. `image` may be
    anything that slices like an array. average: 1, 4 or 8 predictions of flipped (and turned)
    tiles are averaged. `progress` is called with the number of tiles just done.
    """
    out = np.empty((net.classes, *grid.shape), np.float32)

    def read(tile: Tile) -> NDArray[Any]:
        return read_mirrored(image, tile.read)

    for tile, probabilities in stream(net, batched(grid, batch), read, average=average):
        out[(slice(None), *tile.write)] = probabilities
        progress(1)
    return out


def stream(
    net: InferenceNet,
    groups: Iterable[Sequence[Tile]],
    read: Callable[[Tile], NDArray[Any] | None],
    *,
    average: int = 1,
    reduce: Reduce = everything,
) -> Iterator[tuple[Tile, NDArray[Any] | None]]:
    """Each tile with the probabilities (k, *yx) float32 of its window, in order, group after group.

    While one group is handed out the next is computed and another read, by threads of their own;
    nothing else is alive, and what was handed out is valid until the next tile is asked for. `read` (of
    the tile's read region, (c, *yx)) may be called from several threads; where it returns None nothing
    is computed and None is handed out. The tiles of a group are one batch, which is halved where memory
    runs out. reduce: what of probabilities (b, k, *yx), on the device, is copied and handed out, (…, *yx).
    """
    compute = _Compute(net, average, reduce, transfer_to(net.device, alive=IN_FLIGHT + 1), Pieces())
    readers = ThreadPoolExecutor(READERS)
    computer = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),))
    running: deque[tuple[Sequence[Tile], Future[_Done]]] = deque()
    try:
        for group in groups:
            reads = [readers.submit(read, tile) for tile in group]
            running.append((group, computer.submit(compute, reads, _kept(group))))
            if len(running) > IN_FLIGHT:
                yield from _handed_out(*running.popleft())
        while running:
            yield from _handed_out(*running.popleft())
    finally:
        for pool in (readers, computer):
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Done:
    """The results (b, …) of the tiles that were read."""

    results: Arriving | None
    read: list[bool]


@dataclass(frozen=True)
class _Compute:
    net: InferenceNet
    average: int
    reduce: Reduce
    transfer: Transfer
    pieces: Pieces

    @torch.no_grad()
    def __call__(self, reads: list[Future[NDArray[Any] | None]], keep: Region) -> _Done:
        pixels = [future.result() for future in reads]
        reads.clear()
        there = [p.astype(np.float32, copy=False) for p in pixels if p is not None]
        read = [p is not None for p in pixels]
        if not there:
            return _Done(None, read)

        def compute(images: Tensor) -> Tensor:
            return self.reduce(_averaged(self.net, images, keep, self.average))

        with memory_errors("Give a smaller --memory or --tile."):
            images = self.transfer.upload(there)
            del pixels, there
            return _Done(self.transfer.download(self.pieces(compute, images)), read)


def _handed_out(group: Sequence[Tile], job: Future[_Done]) -> Iterator[tuple[Tile, NDArray[Any] | None]]:
    done, origin = job.result(), [region.start for region in _kept(group)]
    maps = iter(()) if done.results is None else iter(done.results())
    for tile, read in zip(group, done.read, strict=True):
        crop = (slice(c.start - o, c.stop - o) for c, o in zip(tile.crop, origin, strict=True))
        yield tile, next(maps)[(..., *crop)] if read else None


def _kept(group: Sequence[Tile]) -> Region:
    """The region of the net's output that holds the crops of all tiles."""
    axes = list(zip(*(tile.crop for tile in group), strict=True))
    return tuple(slice(min(c.start for c in crops), max(c.stop for c in crops)) for crops in axes)


def _averaged(net: InferenceNet, images: Tensor, keep: Region, average: int) -> Tensor:
    """Probabilities, or restored images, in the region `keep`, averaged over the first `average` symmetries.

    They are: itself, 3 flips, and the 4 transposed; of volumes the last 4 are flipped along z
    instead: slices are seldom as thick as pixels.
    """
    total: Tensor | None = None
    for turn, flips in _symmetries(average, net.dims):
        turned = images.transpose(-1, -2) if turn else images
        logits = net(turned.flip(flips) if flips else turned)
        logits = logits.flip(flips) if flips else logits
        logits = logits.transpose(-1, -2) if turn else logits
        kept = logits[(slice(None), slice(None), *keep)]
        found = kept.clone() if net.restores else _softmax(kept)
        total = found if total is None else total + found
    return cast(Tensor, total).div_(average)


def _softmax(logits: Tensor) -> Tensor:
    """Probabilities (b, k, *yx); of two classes by two sigmoids, which are several times as fast."""
    if logits.shape[1] != 2:
        return torch.softmax(logits, dim=1)
    more = logits[:, 1] - logits[:, 0]
    out = torch.empty_like(logits, memory_format=torch.contiguous_format)
    torch.sigmoid(more, out=out[:, 1])
    torch.sigmoid(more.neg_(), out=out[:, 0])
    return out


def _symmetries(average: int, dims: int) -> list[tuple[bool, tuple[int, ...]]]:
    """(whether to transpose y and x, axes to flip) of each prediction."""
    flips: list[tuple[int, ...]] = [(), (-1,), (-2,), (-2, -1)]
    every = [(turn, flip) for turn in (False, True) for flip in flips]
    if dims == 3:
        every = [(False, (*z, *flip)) for z in ((), (-3,)) for flip in flips]
    return every[:average]


def batched(tiles: Iterable[Tile], size: int) -> Iterator[list[Tile]]:
    """The tiles in groups of `size`, the last one smaller."""
    remaining = iter(tiles)
    while group := list(islice(remaining, size)):
        yield group
