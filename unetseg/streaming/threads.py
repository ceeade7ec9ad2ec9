"""Steps of tiles done side by side by threads, within the memory of one job."""

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
    """Pixels that threads may hold together; one alone may hold more."""

    limit: int
    used: int = 0
    changed: Condition = field(default_factory=Condition)

    @contextmanager
    def reserve(self, window: Sequence[slice]) -> Iterator[None]:
        """Wait for room for a window; to be left before another is taken."""
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
    """Do `act` for tiles in as many threads as torch has; gives the number of each that is done, in order."""
    pool = ThreadPoolExecutor(torch.get_num_threads())
    try:
        for index, _ in zip(indices, pool.map(act, indices), strict=True):
            yield index
    finally:
        pool.shutdown(cancel_futures=True)
