"""Steps of tiles done in parallel by threads, within the memory of one job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from threading import Condition

import torch


@dataclass
class PixelBudget:
    """Pixels that threads may hold together; a single one may hold more."""

    limit: int
    used: int = 0
    changed: Condition = field(default_factory=Condition)

    @contextmanager
    def reserve(self, window: Sequence[slice]) -> Iterator[None]:
        """Wait until a window fits; leave the block before reserving another."""
        pixels = pixels_in(window)
        with self.changed:
            self.changed.wait_for(lambda: self.used == 0 or self.used + pixels <= self.limit)
            self.used += pixels
        try:
            yield
        finally:
            with self.changed:
                self.used -= pixels
                self.changed.notify_all()


def pixels_in(window: Sequence[slice]) -> int:
    """The size of a window."""
    return prod(s.stop - s.start for s in window)


def side_by_side(act: Callable[[int], None], indices: Sequence[int]) -> Iterator[int]:
    """Do `act` for tiles in as many threads as torch has; yields each finished tile's number, in order."""
    pool = ThreadPoolExecutor(torch.get_num_threads())
    try:
        for index, _ in zip(indices, pool.map(act, indices), strict=True):
            yield index
    finally:
        pool.shutdown(cancel_futures=True)
