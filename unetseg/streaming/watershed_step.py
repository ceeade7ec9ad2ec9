"""The flood step of a tile: the watershed of its components from the seeds of the whole image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

from unetseg.streaming.job import Job, PlaneJob
from unetseg.streaming.journal import checksum
from unetseg.streaming.threads import PixelBudget, pixels_in
from unetseg.tiles import inside, widened

FLOOD_HALO = 64
FLOOD_BYTES = 100
"""Bytes per pixel of the window of a watershed."""


def flood_tile(plane: PlaneJob, budget: PixelBudget, index: int) -> None:
    """The flood step: components are flooded whole if they fit into a window of the allowed memory.

    The window grows until the components of the tile end inside it. Objects of components that do not are
    recorded as cut, since their result can differ from that of the whole image.
    """
    region, shape = plane.partition[index], plane.partition.shape
    halo, done = FLOOD_HALO, False
    while not done:
        window, bigger = widened(region, halo, shape), widened(region, 2 * halo, shape)
        last = bigger == window or pixels_in(bigger) > flood_pixels(plane.job)
        with budget.reserve(window):
            done = _flooded(plane, index, window, last=last)
        halo *= 2


def flood_pixels(job: Job) -> int:
    """Pixels of all windows together."""
    return max(job.plan.memory // FLOOD_BYTES, 1)


def _flooded(plane: PlaneJob, index: int, window: Sequence[slice], *, last: bool) -> bool:
    """Flood a tile in a window, unless its components go on beyond and it is not the last; whether it
    was done.
    """  # fmt: skip
    region, shape = plane.partition[index], plane.partition.shape
    components = plane.ids("components", window)
    mine = np.unique(components[inside(region, window)])
    beyond = np.intersect1d(mine[mine > 0], _outer(components, window, shape))
    if len(beyond) and not last:
        return False
    inner = inside(region, window)
    mask = (components > 0) & np.isin(components, mine)
    seeds = np.where(mask, plane.ids("seeds", window), 0)
    flooded = watershed(-plane.scratch("core", window), seeds, mask=mask)[inner].astype(np.int32)
    plane.write_scratch("flooded", region, flooded)
    ids, areas = np.unique(flooded[flooded > 0], return_counts=True)
    cut = np.unique(flooded[np.isin(components[inner], beyond)]) if len(beyond) else ids[:0]
    record = {"ids": ids, "areas": areas, "cut": cut[cut > 0], "checksums": np.array([checksum(flooded)])}
    plane.write_record("flood", index, record)
    return True


def _outer(components: NDArray[np.int64], window: Sequence[slice], shape: Sequence[int]) -> NDArray[np.int64]:
    """What lies on the window's lines, except where the image ends."""
    y, x = window
    lines = [components[:0].ravel()]
    lines += [components[0]] * (y.start > 0) + [components[-1]] * (y.stop < shape[0])
    lines += [components[:, 0]] * (x.start > 0) + [components[:, -1]] * (x.stop < shape[1])
    return np.unique(np.concatenate(lines))
