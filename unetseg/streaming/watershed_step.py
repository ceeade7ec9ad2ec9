"""The flood step of a tile of a large image: the watershed of its parts from the seeds of the whole image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

from unetseg.streaming.journal import checksum
from unetseg.streaming.threads import PixelBudget, pixels_in
from unetseg.streaming.tile_steps import Job, ids_in, write_scratch
from unetseg.tiles import inside, widened

FLOOD_HALO = 64
FLOOD_BYTES = 100
"""Bytes per pixel of a watershed's window."""


def flood_tile(job: Job, plane: int, budget: PixelBudget, index: int) -> None:
    """The flood step: parts are flooded whole if they lie within a window of the memory allowed.

    The window grows until the parts of the tile end inside it. Objects of those that never do are
    recorded as cut, for there the result can differ from that of the whole image.
    """
    region, shape = job.plan.partition[index], job.plan.partition.shape
    halo, done = FLOOD_HALO, False
    while not done:
        window, bigger = widened(region, halo, shape), widened(region, 2 * halo, shape)
        last = bigger == window or pixels_in(bigger) > flood_pixels(job)
        with budget.reserve(window):
            done = _flooded(job, plane, index, window, last=last)
        halo *= 2


def flood_pixels(job: Job) -> int:
    """Pixels of all windows together."""
    return max(job.plan.memory // FLOOD_BYTES, 1)


def _flooded(job: Job, plane: int, index: int, window: Sequence[slice], *, last: bool) -> bool:
    """Flood a tile in a window, unless its parts go on beyond and it is not the last; whether it was done."""
    region, shape = job.plan.partition[index], job.plan.partition.shape
    parts = ids_in(job, "parts", plane, window)
    mine = np.unique(parts[inside(region, window)])
    beyond = np.intersect1d(mine[mine > 0], _outer(parts, window, shape))
    if len(beyond) and not last:
        return False
    inner = inside(region, window)
    mask = (parts > 0) & np.isin(parts, mine)
    seeds = np.where(mask, ids_in(job, "seeds", plane, window), 0)
    core = np.asarray(job.store.scratch("core", np.float32)[(plane, *window)])
    flooded = watershed(-core, seeds, mask=mask)[inner].astype(np.int32)
    write_scratch(job, "flooded", np.int32, plane, region, flooded)
    ids, areas = np.unique(flooded[flooded > 0], return_counts=True)
    cut = np.unique(flooded[np.isin(parts[inner], beyond)]) if len(beyond) else ids[:0]
    record = {"ids": ids, "areas": areas, "cut": cut[cut > 0], "checksums": np.array([checksum(flooded)])}
    job.journal.write("flood", plane, index, record)
    return True


def _outer(parts: NDArray[np.int64], window: Sequence[slice], shape: Sequence[int]) -> NDArray[np.int64]:
    """What lies on the window's lines, except where the image ends."""
    y, x = window
    lines = [parts[:0].ravel()]
    lines += [parts[0]] * (y.start > 0) + [parts[-1]] * (y.stop < shape[0])
    lines += [parts[:, 0]] * (x.start > 0) + [parts[:, -1]] * (x.stop < shape[1])
    return np.unique(np.concatenate(lines))
