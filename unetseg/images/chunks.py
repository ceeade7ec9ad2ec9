"""Regions assembled from decoded chunks, and a cache of those chunks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import product
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.lazy import BrokenChunk, Read

Chunk = NDArray[Any]
GetChunk = Callable[[int, int, int, int], Chunk]
"""(plane, channel, row of chunks, column of chunks) → the chunk's pixels (y, x)."""


class ChunkCache:
    """The chunks last used, at most `limit` bytes or one chunk; none is decoded twice at the same time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: OrderedDict[Hashable, Chunk] = OrderedDict()
        self._coming: dict[Hashable, Future[Chunk]] = {}
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: Hashable, decode: Callable[[], Chunk]) -> Chunk:
        """The chunk of this key, from the cache or from `decode`; its errors are not cached."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
            coming = self._coming.get(key)
            if coming is None:
                mine: Future[Chunk] = Future()
                self._coming[key] = mine
        return coming.result() if coming is not None else self._decoded(key, mine, decode)

    def _decoded(self, key: Hashable, mine: Future[Chunk], decode: Callable[[], Chunk]) -> Chunk:
        try:
            chunk = decode()
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            mine.set_exception(error)
            raise
        self._keep(key, chunk)
        mine.set_result(chunk)
        return chunk

    def _keep(self, key: Hashable, chunk: Chunk) -> None:
        with self._lock:
            del self._coming[key]
            self._held[key] = chunk
            self._bytes += chunk.nbytes
            while self._bytes > self.limit and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].nbytes


def read_chunked(size: tuple[int, int], dtype: np.dtype[Any], get: GetChunk) -> Read:
    """A reader of regions from chunks of `size` (y, x)."""

    def read(plane: int, channels: Sequence[int], y: slice, x: slice) -> NDArray[Any]:
        out = np.empty((len(channels), y.stop - y.start, x.stop - x.start), dtype)
        for pixels, channel in zip(out, channels, strict=True):
            gather(pixels, (y, x), size, partial(get, plane, channel))
        return out

    return read


def gather(
    out: NDArray[Any], region: tuple[slice, slice], size: tuple[int, int], get: Callable[[int, int], Chunk]
) -> None:
    """Fill `out`, a region (y, x), from the chunks that it touches; `get` takes their row and column.

    Raises BrokenChunk for one that cannot be decoded.
    """
    y, x = region
    for iy, ix in product(_touched(y, size[0]), _touched(x, size[1])):
        corner = iy * size[0], ix * size[1]
        into = tuple(_overlap(s, at, n, s.start) for s, at, n in zip(region, corner, size, strict=True))
        of = tuple(_overlap(s, at, n, at) for s, at, n in zip(region, corner, size, strict=True))
        try:
            out[into] = get(iy, ix)[of]
        except UserError:
            raise
        except Exception as error:  # a decoder of damaged data may raise anything
            rows, columns = (slice(at, at + n) for at, n in zip(corner, size, strict=True))
            raise BrokenChunk((rows, columns), error) from None


def _touched(wanted: slice, size: int) -> range:
    """The numbers of the chunks that a range of pixels touches."""
    return range(wanted.start // size, -(-wanted.stop // size) if wanted.stop > wanted.start else 0)


def _overlap(wanted: slice, start: int, size: int, origin: int) -> slice:
    """What a chunk and a range of pixels have in common, counted from `origin`."""
    return slice(max(wanted.start, start) - origin, min(wanted.stop, start + size) - origin)
