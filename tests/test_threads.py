"""Tiles side by side: no more than there is room for, each once, in order."""

import time
from collections.abc import Iterator
from threading import Lock

import pytest
import torch

from unetseg.streaming.threads import PixelBudget, pixels_in, side_by_side


@pytest.fixture
def _four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def windows(*pixels: int) -> list[list[slice]]:
    return [[slice(3, 4), slice(2, 2 + n)] for n in pixels]


@pytest.mark.usefixtures("_four_threads")
def test_windows_held_together_fit_into_the_budget() -> None:
    """10 pixels: three windows of 3 or two of 5 at once, and one of 40 by itself."""
    wanted = windows(3, 3, 40, 5, 5, 3, 40, 3, 3, 3, 5)
    budget, lock, held, seen = PixelBudget(10), Lock(), [0, 0], []

    def act(index: int) -> None:
        with budget.reserve(wanted[index]):
            with lock:
                held[:] = held[0] + pixels_in(wanted[index]), held[1] + 1
                seen.append(tuple(held))
            time.sleep(0.02)
            with lock:
                held[:] = held[0] - pixels_in(wanted[index]), held[1] - 1

    assert list(side_by_side(act, range(len(wanted)))) == list(range(len(wanted)))
    assert all(pixels <= 10 or count == 1 for pixels, count in seen)
    assert max(count for _, count in seen) > 1
    assert budget.used == 0


@pytest.mark.usefixtures("_four_threads")
def test_an_error_ends_it_and_gives_the_budget_back() -> None:
    budget, done = PixelBudget(10), []

    def act(index: int) -> None:
        with budget.reserve(windows(5)[0]):
            if index == 2:
                raise OSError("full")
            time.sleep(0.01)
            done.append(index)

    with pytest.raises(OSError, match="full"):
        list(side_by_side(act, range(100)))
    assert budget.used == 0
    assert len(done) < 100
