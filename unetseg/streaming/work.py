"""Prediction of images of any size: streamed, exact, resumable, in bounded memory.

`run_job` does what the job's journal does not know as done, and reports each tile. Every step of a tile
is a function of its own data (see `tile_steps`), so a prediction that was ended in any way goes on to
the same bytes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images import LazyImage
from unetseg.images.disk_space import label_bytes
from unetseg.inference.engines import describe_engine
from unetseg.normalise import Normalisation
from unetseg.pipeline.model import Model
from unetseg.streaming.journal import check_same
from unetseg.streaming.optional_outputs import OptionalOutputs
from unetseg.streaming.plan import Plan
from unetseg.streaming.source import NetworkInput, Repaired, Shrunk, fit_rule
from unetseg.streaming.stitch import object_ids
from unetseg.streaming.threads import PixelBudget, pixels_in, side_by_side
from unetseg.streaming.tile_steps import Job, Skipping, components_of, label_tile, predict_tiles
from unetseg.streaming.watershed_step import flood_pixels, flood_tile

TileExecutor = Callable[[Job, str, int, Sequence[int]], Iterator[int]]
"""(job, step, plane, tiles) to the number of each tile as it is done."""


@dataclass(frozen=True)
class TileDone:
    """A step of a tile has been done now; pixels: of the image in it."""

    step: str
    plane: int
    pixels: int


@dataclass(frozen=True)
class Resumed:
    """So many steps of tiles were done before, of so many in all."""

    done: int
    steps: int


@dataclass(frozen=True)
class Summary:
    """What came out: objects (largest class) per plane; tiles skipped; damaged regions per plane
    (plane, y0, y1, x0, x1); cut: objects whose watershed did not fit into a window.
    """  # fmt: skip

    objects: tuple[int, ...]
    tiles: int
    skipped: int
    damaged: tuple[tuple[int, ...], ...]
    cut: int


@dataclass(frozen=True)
class Estimate:
    """What a prediction will take. output_bytes: at most, on the disk; seconds: from one timed tile."""

    plan: Plan
    output_bytes: int
    seconds: float


def settings_of(
    model: Model,
    image: LazyImage,
    plan: Plan,
    skipping: Skipping,
    precision: str,
    extras: OptionalOutputs,
    engine: str,
) -> dict[str, Any]:
    """What decides the result, as plain values: the same ones give the same bytes."""
    return {
        "model": _weights_hash(model),
        "calibration": list(model.recipe.calibration),
        "labels": asdict(model.recipe.labels),
        "image": image.identity,
        "tile": list(plan.partition.step),
        "chunk": plan.chunk,
        "batch": plan.batch,
        "memory": plan.memory,
        "precision": precision,
        "engine": describe_engine(engine),
        "device": model.device.type,
        "skip-below": skipping.below,
        "mask": None if skipping.mask is None else skipping.mask.identity,
        "skip-damaged": skipping.damaged,
        "probabilities": extras.probabilities,
        "copy-image": extras.image,
    }


def job_settings(job: Job) -> dict[str, Any]:
    """What decides the result of a job; see `settings_of`."""
    return settings_of(job.model, job.image, job.plan, job.skipping, job.precision, job.extras, job.engine)


def tiles_here(job: Job, step: str, plane: int, left: Sequence[int]) -> Iterator[int]:
    """Do a step of some tiles of a plane, in this process; gives the number of each that is done."""
    if step == "predict":
        units = sorted({index // job.plan.batch for index in left})
        return predict_tiles(job, plane, fitted_source(job, plane), units) if units else iter(())
    if step == "flood":
        job.store.scratch("flooded", np.int32)  # made before several threads want it
    act = partial(flood_tile if step == "flood" else label_tile, job, plane, PixelBudget(flood_pixels(job)))
    return side_by_side(act, left)


def run_job(job: Job, perform: TileExecutor = tiles_here) -> Iterator[Resumed | TileDone | Summary]:
    """Do what is left, tile by tile; the store is not yet finished at the end.

    perform: does the tiles, here or elsewhere (`pipeline.workers`).
    Raises UserError where the settings differ from those it was begun with, and for a damaged region;
    what is done is kept.
    """
    before = job.journal.read_metadata("settings")
    now = job_settings(job)
    if before is not None:
        check_same(job.image.path, before, now)
    job.journal.write_metadata("settings", now)
    planes, tiles = range(len(job.image.planes)), range(len(job.plan.partition))
    left = {(s, p): [i for i in tiles if not job.is_done(s, p, i)] for s in job.steps for p in planes}
    steps = len(left) * len(tiles)
    yield Resumed(steps - sum(map(len, left.values())), steps)
    for plane in planes:
        for step in job.steps:
            yield from _step(job, step, plane, left[step, plane], perform)
    yield summary(job)


def summary(job: Job) -> Summary:
    """The facts of a prediction whose tiles are all done."""
    planes, tiles = range(len(job.image.planes)), range(len(job.plan.partition))
    damaged: dict[tuple[int, ...], None] = {}
    skipped = cut = 0
    for plane in planes:
        cuts: set[int] = set()
        for index in tiles:  # a record at a time: together they are as long as the image is large
            record = job.journal.read("predict", plane, index) or {}
            damaged |= dict.fromkeys((plane, *map(int, region)) for region in record.get("damaged", ()))
            skipped += bool(record.get("skipped", False))
            if "flood" in job.steps:
                flood = job.journal.read("flood", plane, index) or {}
                cuts.update(map(int, flood.get("cut", ())))
        cut += len(cuts)
    objects = tuple(_count(job, plane) for plane in planes)
    return Summary(objects, len(planes) * len(tiles), skipped, tuple(damaged), cut)


def estimate(job: Job, clock: Callable[[], float] = time.perf_counter) -> Estimate:
    """Tiles, memory, bytes and time; one tile in the middle of the first plane is computed for it."""
    channels = job.model.recipe.normalisation.channels
    plain = Normalisation("training-set", channels, (0.0,) * channels, (1.0,) * channels)
    source = _source(job, 0, plain)
    unit = [job.plan.tile_batches // 2]
    begun = clock()
    for _ in predict_tiles(job, 0, source, unit):
        pass
    seconds = (clock() - begun) * job.plan.tile_batches * len(job.image.planes)
    pixels = prod(job.plan.partition.shape) * len(job.image.planes)
    return Estimate(job.plan, label_bytes(pixels), seconds)


def _step(job: Job, step: str, plane: int, left: Sequence[int], perform: TileExecutor) -> Iterator[TileDone]:
    """One step of a plane, and what follows from all its tiles."""
    for index in perform(job, step, plane, left):
        yield TileDone(step, plane, pixels_in(job.plan.partition[index]))
    _conclude(job, step, plane, fresh=bool(left))


def _conclude(job: Job, step: str, plane: int, *, fresh: bool) -> None:
    """The ids that follow from a step of all tiles of a plane."""
    settings = job.model.recipe.labels
    if step == "predict":
        for name, _ in job.scratch[:2]:
            if fresh or not job.journal.has_rows(f"{name}-{plane}"):
                plain = name == "parts" and settings.seeds == 0
                ids = object_ids(
                    partial(components_of, job, name, plane),
                    job.plan.partition,
                    smallest=settings.smallest if plain else 0,
                    holes=settings.holes if name == "parts" else 0,
                )
                job.journal.write_rows(f"{name}-{plane}", ids)
    if step == "flood" and (fresh or not job.journal.has_rows(f"objects-{plane}")):
        job.journal.write_rows(f"objects-{plane}", [_flooded_ids(job, plane)])


def _flooded_ids(job: Job, plane: int) -> NDArray[np.int64]:
    """From seed to object: those of enough pixels, numbered on."""
    areas = np.zeros(_most(job, f"seeds-{plane}") + 1, np.int64)
    for index in range(len(job.plan.partition)):
        record = job.journal.read("flood", plane, index) or {}
        areas[record["ids"]] += record["areas"]
    kept = areas >= max(job.model.recipe.labels.smallest, 1)
    return np.where(kept, kept.cumsum(), 0)


def _count(job: Job, plane: int) -> int:
    """Objects of a plane; of a class map the number of classes."""
    if job.model.recipe.kind == "classes":
        return job.model.recipe.classes
    if job.model.recipe.labels.seeds > 0:
        return int(job.journal.read_rows(f"objects-{plane}")[0].max(initial=0))
    return _most(job, f"parts-{plane}")


def _most(job: Job, name: str) -> int:
    rows = job.journal.read_rows(name)
    return max(int(rows[index].max(initial=0)) for index in range(len(job.plan.partition)))


def _source(job: Job, plane: int, rule: Normalisation) -> NetworkInput:
    return NetworkInput(Shrunk(job.image.plane(plane), job.model.recipe.shrink), rule)


def fitted_source(job: Job, plane: int) -> NetworkInput:
    """The plane as the network sees it; the statistics of the whole plane are taken once."""
    rule, source = job.model.recipe.normalisation, _source(job, plane, job.model.recipe.normalisation)
    if rule.channels != job.image.shape[0]:
        raise UserError(
            f"{job.image.path}: {job.image.shape[0]} channels, but the model takes {rule.channels}. "
            "Choose them with --channel."
        )
    stored = job.journal.read_metadata(f"grey-values-{plane}")
    if stored is None:
        fixed = fit_rule(rule, source.shrunk, skip_damaged=job.skipping.damaged)
        stored = {"method": fixed.method, "offset": fixed.offset, "scale": fixed.scale}
        job.journal.write_metadata(f"grey-values-{plane}", stored)
    fixed = Normalisation(stored["method"], rule.channels, tuple(stored["offset"]), tuple(stored["scale"]))
    if not job.skipping.damaged:
        return NetworkInput(source.shrunk, fixed)
    fill = fixed.offset or (0.0,) * rule.channels
    repaired = Repaired(source.shrunk.plane, job.image.chunks, job.image.dtype, fill)
    return NetworkInput(Shrunk(repaired, job.model.recipe.shrink), fixed)


def _weights_hash(model: Model) -> str:
    """A short text that changes with the weights."""
    found = hashlib.sha256()
    for name, value in sorted(model.net.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
