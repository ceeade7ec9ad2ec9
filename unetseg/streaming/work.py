"""Prediction of an image: streamed, exact, resumable, in bounded memory.

`run_job` does what the job's journal does not record as done, and reports each tile. Every step of a tile
is a function of its own data (see `tile_steps`), so a prediction that was interrupted in any way resumes to
the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.disk_space import label_bytes
from unetseg.normalise import Normalisation
from unetseg.pipeline.model import Model
from unetseg.streaming.job import Job, PlaneJob
from unetseg.streaming.journal import check_same
from unetseg.streaming.plan import Plan
from unetseg.streaming.source import NetworkInput, Repaired, Shrunk, fit_rule
from unetseg.streaming.stitch import object_ids
from unetseg.streaming.threads import PixelBudget, pixels_in, side_by_side
from unetseg.streaming.tile_steps import label_tile, predict_tiles
from unetseg.streaming.watershed_step import flood_pixels, flood_tile

TileExecutor = Callable[[PlaneJob, str, Sequence[int]], Iterator[int]]
"""(plane, step, tiles) → the number of each tile when it is done."""


@dataclass(frozen=True)
class TileDone:
    """A step of a tile has been done; pixels: of the image in the tile."""

    step: str
    plane: int
    pixels: int


@dataclass(frozen=True)
class Resumed:
    """How many steps of tiles had been done before, and how many there are in all."""

    done: int
    steps: int


@dataclass(frozen=True)
class Summary:
    """The outcome: objects (largest class) per plane; tiles skipped; damaged regions per plane
    (plane, y0, y1, x0, x1); cut: objects whose watershed did not fit into a window.
    """  # fmt: skip

    objects: tuple[int, ...]
    tiles: int
    skipped: int
    damaged: tuple[tuple[int, ...], ...]
    cut: int

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Summary:
        """The summary of a table from `asdict`, after JSON."""
        damaged = tuple(tuple(region) for region in stored["damaged"])
        return cls(**{**stored, "objects": tuple(stored["objects"]), "damaged": damaged})


@dataclass(frozen=True)
class Estimate:
    """What a prediction will take. output_bytes: at most, on the disk; seconds: from one timed tile."""

    plan: Plan
    output_bytes: int
    seconds: float


def tiles_here(plane: PlaneJob, step: str, left: Sequence[int]) -> Iterator[int]:
    """Do a step of some tiles of a plane, in this process; yields the number of each finished tile."""
    if step == "predict":
        batches = sorted({index // plane.job.plan.batch for index in left})
        return predict_tiles(plane, fitted_sources(plane), batches) if batches else iter(())
    if step == "flood":
        plane.job.store.scratch("flooded", np.int32)  # created before several threads need it
    act = flood_tile if step == "flood" else label_tile
    return side_by_side(partial(act, plane, PixelBudget(flood_pixels(plane.job))), left)


def run_job(job: Job, perform: TileExecutor = tiles_here) -> Iterator[Resumed | TileDone | Summary]:
    """Do what is left, tile by tile; at the end the store is not yet finished.

    perform: does the tiles, here or elsewhere (`streaming.dask_workers`).
    Raises UserError if the settings differ from those it was started with, and for a damaged region;
    finished tiles are kept.
    """
    before = job.journal.read_metadata("settings")
    if before is not None:
        check_same(job.image.path, before, job.settings)
    job.journal.write_metadata("settings", job.settings)
    tiles = range(len(job.plan.partition))
    left = {(p.number, s): [i for i in tiles if not p.is_done(s, i)] for p in job.planes for s in job.steps}
    steps = len(left) * len(tiles)
    yield Resumed(steps - sum(map(len, left.values())), steps)
    for plane in job.planes:
        for step in job.steps:
            yield from _step(plane, step, left[plane.number, step], perform)
        job.store.plane_done(plane.number)
    yield summary(job)


def summary(job: Job) -> Summary:
    """The summary of a prediction whose tiles are all done."""
    tiles = range(len(job.plan.partition))
    damaged: dict[tuple[int, ...], None] = {}
    skipped = cut = 0
    for plane in job.planes:
        cuts: set[int] = set()
        for index in tiles:  # one record at a time: together they are as large as the image
            record = plane.record("predict", index) or {}
            damaged |= dict.fromkeys(
                (plane.number, *map(int, region)) for region in record.get("damaged", ())
            )
            skipped += bool(record.get("skipped", False))
            if "flood" in job.steps:
                cuts.update(map(int, (plane.record("flood", index) or {}).get("cut", ())))
        cut += len(cuts)
    objects = tuple(_count(plane) for plane in job.planes)
    return Summary(objects, len(objects) * len(tiles), skipped, tuple(damaged), cut)


def estimate(job: Job, clock: Callable[[], float] = time.perf_counter) -> Estimate:
    """Tiles, memory, bytes and time; one tile in the middle of the first plane is computed to time it."""
    plane = job.plane(0)
    _check_channels(job)
    sources = [_source(plane, model, _plain(model)) for model in job.models]
    begun = clock()
    for _ in predict_tiles(plane, sources, [job.plan.tile_batches // 2]):
        pass
    seconds = (clock() - begun) * job.plan.tile_batches * len(job.planes)
    pixels = prod(job.plan.partition.shape) * len(job.planes)
    return Estimate(job.plan, label_bytes(pixels), seconds)


def fitted_sources(plane: PlaneJob) -> list[NetworkInput]:
    """The plane as each network sees it; the statistics of the whole plane are computed once."""
    _check_channels(plane.job)
    return [_fitted_source(plane, model, number) for number, model in enumerate(plane.job.models)]


def _step(plane: PlaneJob, step: str, left: Sequence[int], perform: TileExecutor) -> Iterator[TileDone]:
    """One step of a plane, and what follows from all its tiles."""
    for index in perform(plane, step, left):
        yield TileDone(step, plane.number, pixels_in(plane.partition[index]))
    _conclude(plane, step, fresh=bool(left))


def _conclude(plane: PlaneJob, step: str, *, fresh: bool) -> None:
    """Compute the ids that follow from a step of all tiles of a plane."""
    labels, journal = plane.job.labels, plane.job.journal
    if step == "predict":
        for name, _ in plane.job.scratch[:2]:
            rows = f"{name}-{plane.number}"
            if fresh or not journal.has_rows(rows):
                smallest = labels.min_seed_area if name == "seeds" else 0
                if labels.seed_threshold == 0:
                    smallest = labels.min_area
                ids = object_ids(
                    partial(plane.components, name),
                    plane.partition,
                    min_area=smallest,
                    max_hole_area=labels.max_hole_area if name == "components" else 0,
                )
                journal.write_rows(rows, ids)
    if step == "flood" and (fresh or not journal.has_rows(f"objects-{plane.number}")):
        journal.write_rows(f"objects-{plane.number}", [_flooded_ids(plane)])


def _flooded_ids(plane: PlaneJob) -> NDArray[np.int64]:
    """From seed to object: those with enough pixels, numbered consecutively."""
    areas = np.zeros(_most(plane, "seeds") + 1, np.int64)
    for index in range(len(plane.partition)):
        record = plane.record("flood", index) or {}
        areas[record["ids"]] += record["areas"]
    kept = areas >= max(plane.job.labels.min_area, 1)
    return np.where(kept, kept.cumsum(), 0)


def _count(plane: PlaneJob) -> int:
    """The number of objects of a plane; for a class map, of classes; 0 for a restored image."""
    if plane.job.model.restores:
        return 0
    if plane.job.model.recipe.kind == "classes":
        return plane.job.model.recipe.classes
    if plane.job.labels.seed_threshold > 0:
        return int(plane.job.journal.read_rows(f"objects-{plane.number}")[0].max(initial=0))
    return _most(plane, "components")


def _most(plane: PlaneJob, name: str) -> int:
    rows = plane.job.journal.read_rows(f"{name}-{plane.number}")
    return max(int(rows[index].max(initial=0)) for index in range(len(plane.partition)))


def _source(plane: PlaneJob, model: Model, rule: Normalisation) -> NetworkInput:
    return NetworkInput(Shrunk(plane.job.image.plane(plane.number), model.recipe.downsample), rule)


def _fitted_source(plane: PlaneJob, model: Model, number: int) -> NetworkInput:
    """The plane as one network sees it, its grey values normalised by the rule stored in the journal."""
    job, rule = plane.job, model.recipe.normalisation
    source = _source(plane, model, rule)
    name = f"grey-values-{plane.number}-{number}"
    stored = job.journal.read_metadata(name)
    if stored is None:
        fixed = fit_rule(rule, source.shrunk, skip_damaged=job.skipping.damaged)
        stored = {"method": fixed.method, "offset": fixed.offset, "scale": fixed.scale}
        job.journal.write_metadata(name, stored)
    fixed = replace(
        rule, method=stored["method"], offset=tuple(stored["offset"]), scale=tuple(stored["scale"])
    )
    if not job.skipping.damaged:
        return NetworkInput(source.shrunk, fixed)
    fill = fixed.offset or (0.0,) * job.image.shape[0]
    repaired = Repaired(source.shrunk.plane, job.image.chunks, job.image.dtype, fill)
    return NetworkInput(Shrunk(repaired, model.recipe.downsample), fixed)


def _plain(model: Model) -> Normalisation:
    """A rule that needs no pass over the image."""
    rule = model.recipe.normalisation
    zeros, ones = (0.0,) * rule.channels, (1.0,) * rule.channels
    return replace(rule, method="training-set", offset=zeros, scale=ones)


def _check_channels(job: Job) -> None:
    there, rule = job.image.shape[0], job.model.recipe.normalisation
    if not rule.accepts(there):
        raise UserError(
            f"{job.image.path}: {there} channels, but {rule.channels} are expected, as in training. "
            "Choose them with --channel, or convert RGB with --grey."
        )
