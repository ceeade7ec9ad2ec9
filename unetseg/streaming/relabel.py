"""Labels from probabilities on the disk: the job of a prediction whose predict step only reads them.

So thresholds can be changed at any size of image, in bounded memory, and a job that was ended is resumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import isqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unetseg.images import LazyImage
from unetseg.images.kept_maps import as_fractions
from unetseg.pipeline.model import DEFAULT_MEMORY, Model
from unetseg.streaming.job import LABELS_ALONE, NOTHING_SKIPPED, PlaneJob, Request
from unetseg.streaming.plan import CHUNK, Plan
from unetseg.streaming.threads import PixelBudget, side_by_side
from unetseg.streaming.tile_steps import keep_prediction
from unetseg.streaming.watershed_step import FLOOD_BYTES, flood_pixels
from unetseg.streaming.work import tiles_here
from unetseg.tiles import Partition


def relabel_request(
    model: Model, source: LazyImage, maps: LazyImage, made: Mapping[str, Any], *, chunked: bool
) -> Request:
    """The labels of kept probabilities, by the label settings of the model, whose network is not run.

    source: has the axes, size and scale that the labels get; maps: probabilities (k, y, x) of its planes,
    or those of the foreground alone, at the size at which they were predicted. made: the settings of that
    prediction, whose tiles are taken again: where a watershed's values are equal, its order decides.
    chunked: for an output that is written tile by tile.
    """
    plan = _plan_of(made, maps.shape[1:], chunked=chunked) or _own_plan(maps.shape[1:])
    return Request(model, source, maps, plan, NOTHING_SKIPPED, "float32", (), LABELS_ALONE)


def relabel_tiles(plane: PlaneJob, step: str, left: Sequence[int]) -> Iterator[int]:
    """Do a step of some tiles of a plane; gives the number of each that is done."""
    if step != "predict":
        return tiles_here(plane, step, left)
    return side_by_side(partial(_read_tile, plane, PixelBudget(flood_pixels(plane.job))), left)


def as_probabilities(stored: NDArray[np.generic]) -> NDArray[np.float32]:
    """Kept probabilities (k, *yx) in 0…1; of a foreground alone both classes.

    >>> as_probabilities(np.array([[0, 255]], np.uint8)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    maps = as_fractions(stored)
    return np.concatenate([1 - maps, maps]) if len(maps) == 1 else maps


def _plan_of(made: Mapping[str, Any], shape: tuple[int, int], *, chunked: bool) -> Plan | None:
    """The plan that a prediction was made by; None where it is not known, or not for this output."""
    tile, chunk, memory = (made.get(name) for name in ("tile", "chunk", "memory"))
    match tile, chunk, memory:
        case [int(y), int(x)], int(chunk), int(memory) if min(y, x, chunk, memory) > 0:
            aligned = all(s % chunk == 0 or s >= n for s, n in zip((y, x), shape, strict=True))
            return Plan((), Partition(shape, (y, x)), chunk, 1, memory) if aligned or not chunked else None
    return None


def _own_plan(shape: tuple[int, int]) -> Plan:
    side = isqrt(DEFAULT_MEMORY // (FLOOD_BYTES * torch.get_num_threads()))
    step = max(side // CHUNK, 1) * CHUNK
    return Plan((), Partition(shape, (step, step)), CHUNK, 1, DEFAULT_MEMORY)


def _read_tile(plane: PlaneJob, budget: PixelBudget, index: int) -> None:
    region = plane.partition[index]
    with budget.reserve(region):
        maps = as_probabilities(plane.job.image.plane(plane.number)[:, *region])
        keep_prediction(plane, index, maps, np.any(maps, axis=0), {})  # all are 0 where none were predicted
