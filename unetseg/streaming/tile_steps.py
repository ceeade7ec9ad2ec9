"""What is done with one tile of an image; each step reads and writes only what belongs to its tile.

predict: probabilities, and from them the tile's components (scratch) or classes (the result);
flood: with seeds, the watershed of the components from the seeds of the whole image (see `watershed_step`);
label: the ids of the whole image, grown, into the result.
The outcome of a step depends only on the model, the image and the tile, not on which process runs it or when.
At its end it writes its record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import expand_labels

from unetseg.calibration import calibrated
from unetseg.images.kept_maps import PROBABILITIES
from unetseg.inference.predict import stream
from unetseg.inference.reduce import Reduce, everything, most_probable, not_first_class, second_class
from unetseg.pipeline.model import Model, PredictSettings, in_files
from unetseg.sample import enlarge
from unetseg.segment import class_labels, median_filtered, object_maps
from unetseg.streaming.job import PlaneJob, Request
from unetseg.streaming.journal import Record, checksum
from unetseg.streaming.plan import Plan
from unetseg.streaming.source import NetworkInput, Pixels, Region, Repaired
from unetseg.streaming.stitch import TileComponents, split
from unetseg.streaming.threads import PixelBudget
from unetseg.tiles import Tile, TileGrid, inside, read_mirrored, widened
from unetseg.uncertainty import entropy

Map = NDArray[Any]
Kept = dict[int, NDArray[np.bool_]]
"""For each tile: which of its pixels are to be predicted."""


def predict_tiles(plane: PlaneJob, sources: Sequence[NetworkInput], batches: Sequence[int]) -> Iterator[int]:
    """The predict step of the given batches; yields the number of each finished tile.

    sources: the plane as each network sees it.
    """
    job, kept = plane.job, Kept()
    tiles = [index for batch in batches for index in job.plan.tile_batch(batch)]
    streams = [_stream(plane, number, source, batches, kept) for number, source in enumerate(sources)]
    for index, *found in zip(tiles, *streams, strict=True):
        maps = [
            _own(plane, model, tile, _in_grey_values(model, source, one), index)
            for model, source, (tile, one) in zip(job.models, sources, found, strict=True)
            if one is not None
        ]
        keep, record = _without_damage(plane, sources[0], kept.pop(index), index)
        keep_prediction(plane, index, _averaged(plane, maps, index) if maps else None, keep, record)
        yield index


def keep_prediction(
    plane: PlaneJob, index: int, found: Map | None, keep: NDArray[np.bool_], record: Record
) -> None:
    """Write the result of the predict step for a tile, then its record."""
    if plane.job.model.restores:
        sums, columns = _keep_image(plane, index, found), Record()
    elif plane.job.model.recipe.kind == "classes":
        sums, columns = _keep_classes(plane, index, found, keep), Record()
    else:
        sums, columns = _keep_components(plane, index, found, keep)
    sums += _keep_maps(plane, index, found, keep)
    plane.write_record("predict", index, {**record, **columns, "checksums": np.array(sums)})


def label_tile(plane: PlaneJob, budget: PixelBudget, index: int) -> None:
    """The label step: ids of the whole image, grown with a halo, into the result."""
    region, grow = plane.partition[index], plane.job.labels.grow
    window = widened(region, grow, plane.partition.shape)
    with budget.reserve(window):
        if plane.job.labels.seed_threshold > 0:
            ids = plane.job.journal.read_rows(f"objects-{plane.number}")[0]
            labels = ids[plane.scratch("flooded", window)]
        else:
            labels = plane.ids("components", window)
        if grow > 0:
            labels = expand_labels(labels, grow)
        labels = labels[inside(region, window)].astype(np.uint32)
        plane.job.store.write(plane.number, *region, labels)
        plane.write_record("label", index, {"checksums": np.array([checksum(labels)])})


def _stream(
    plane: PlaneJob, number: int, source: NetworkInput, batches: Sequence[int], kept: Kept
) -> Iterator[tuple[Tile, Map | None]]:
    """The tiles of the batches with what `reduction` leaves of one of the networks' probabilities."""
    job, grid, model = plane.job, plane.job.plan.grids[number], plane.job.models[number]
    settings = PredictSettings(precision=job.precision, engine=job.engines[number])
    return stream(
        model.ready(settings),
        ([grid[i] for i in job.plan.tile_batch(batch)] for batch in batches),
        _reader(plane, source, grid, kept),
        average=model.recipe.labels.test_time_augmentation,
        reduce=reduction(job),
    )


def reduction(job: Request) -> Reduce:
    """What the device makes of probabilities: the class or the foreground, where no more is needed."""
    recipe, labels = job.model.recipe, job.labels
    changed = recipe.calibration or recipe.downsample > 1 or labels.median_radius or job.model.others
    if changed or job.maps or job.model.restores:
        return everything
    if recipe.kind == "classes":
        own = recipe.classes == 2 and labels.threshold != 0.5
        return second_class(labels.threshold) if own else most_probable
    if labels.seed_threshold > 0:
        return everything
    return (second_class if recipe.classes == 2 else not_first_class)(labels.threshold)


def _reader(
    plane: PlaneJob, source: NetworkInput, grid: TileGrid, kept: Kept
) -> Callable[[Tile], Map | None]:
    """A reader of tiles, which returns None for a tile without pixels to predict."""

    def read(tile: Tile) -> Map | None:
        index = _index(plane.job.plan, grid, tile)
        kept[index] = _wanted(plane, source.shrunk.plane, plane.partition[index])
        return read_mirrored(source, tile.read) if kept[index].any() else None

    return read


def _index(plan: Plan, grid: TileGrid, tile: Tile) -> int:
    row, column = (w.start // s for w, s in zip(tile.write, grid.step, strict=True))
    return row * plan.partition.columns + column


def _wanted(plane: PlaneJob, pixels: Pixels, region: Region) -> NDArray[np.bool_]:
    """Which pixels of a region are to be predicted."""
    keep, chunk = np.ones(_shape(region), bool), plane.job.plan.chunk
    mask, below = plane.job.skipping.mask, plane.job.skipping.below
    if mask is not None:
        number = plane.number if len(mask.planes) > 1 else 0
        keep &= np.asarray(mask.plane(number)[:, *region]).any(0)
    if below is not None:
        cells = [slice(s.start // chunk * chunk, -(-s.stop // chunk) * chunk) for s in region]
        whole = y, x = widened(cells, 0, plane.partition.shape)
        bright = (np.asarray(pixels[:, y, x]) >= below).any(0)
        starts = [np.arange(0, n, chunk) for n in bright.shape]
        found = np.logical_or.reduceat(np.logical_or.reduceat(bright, starts[0], 0), starts[1], 1)
        keep &= found.repeat(chunk, 0).repeat(chunk, 1)[inside(region, whole)]
    return keep


def _without_damage(
    plane: PlaneJob, source: NetworkInput, keep: NDArray[np.bool_], index: int
) -> tuple[NDArray[np.bool_], Record]:
    """The pixels to keep that could be read, and the record of the others."""
    region, pixels = plane.partition[index], source.shrunk.plane
    skipped = np.array(not keep.any())
    damage = pixels.damage_in(region) if isinstance(pixels, Repaired) else []
    for y0, y1, x0, x1 in damage:
        keep[inside((slice(y0, y1), slice(x0, x1)), region)] = False
    return keep, {"damaged": np.array(damage, np.int64).reshape(-1, 4), "skipped": skipped}


def _own(plane: PlaneJob, model: Model, tile: Tile, found: Map, index: int) -> Map:
    """A model's calibrated probabilities at the image's pixel size, of the tile and its halo.

    found: its probabilities (k, y, x), or what was made of them (y, x), see `reduction`; so of all below.
    """
    shrink = model.recipe.downsample
    full = [shrink * n for n in found.shape[-2:]]
    window = [slice(shrink * w.start, shrink * w.stop) for w in tile.kept]
    large = enlarge(calibrated(found, model.recipe.calibration), full, shrink)
    return _cut(large, inside(_around(plane, index), window))


def _averaged(plane: PlaneJob, maps: Sequence[Map], index: int) -> Map:
    """The mean of the models' probabilities, then the median filter, for the tile without its halo."""
    total: Map = maps[0]
    for other in maps[1:]:
        total = total + other
    mean: Map = total / np.float32(len(maps)) if len(maps) > 1 else total
    filtered = median_filtered(mean, plane.job.labels.median_radius)
    return _cut(filtered, inside(plane.partition[index], _around(plane, index)))


def _cut(maps: Map, window: Sequence[slice]) -> Map:
    """A window of one map (y, x) or of several (k, y, x)."""
    y, x = window
    return maps[..., y, x]


def _around(plane: PlaneJob, index: int) -> tuple[slice, ...]:
    return widened(plane.partition[index], plane.job.labels.halo, plane.partition.shape)


def _in_grey_values(model: Model, source: NetworkInput, output: Map) -> Map:
    """A restored image in the grey values of its source; the output of other networks as it is."""
    return source.rule.undo(output) if model.restores else output


def _keep_image(plane: PlaneJob, index: int, found: Map | None) -> list[int]:
    """A restored image into the result; its checksum."""
    if found is not None:
        plane.job.store.write(plane.number, *plane.partition[index], found)
    return [checksum(plane.job.store.read(plane.number, *plane.partition[index]))]


def _keep_classes(plane: PlaneJob, index: int, found: Map | None, keep: NDArray[np.bool_]) -> list[int]:
    """The class map into the result; its checksum."""
    region = plane.partition[index]
    classes = np.zeros(_shape(region), np.uint8)
    if found is not None:
        if found.ndim == 3:
            found = class_labels(found, plane.job.labels.threshold)
        classes = np.where(keep, in_files(plane.job.model.recipe, found), 0).astype(np.uint8)
    plane.job.store.write(plane.number, *region, classes)
    return [checksum(classes)]


def _foreground(plane: PlaneJob, found: Map | None, keep: NDArray[np.bool_]) -> tuple[Map, Map]:
    """Where a tile has objects (y, x) bool, and its core (y, x) float32 where seeds need it."""
    if found is None or found.ndim == 2:
        return np.zeros_like(keep) if found is None else keep & (found > 0), np.zeros(keep.shape, np.float32)
    probability, core = object_maps(found)
    return keep & (probability > plane.job.labels.threshold), core


def _keep_components(
    plane: PlaneJob, index: int, found: Map | None, keep: NDArray[np.bool_]
) -> tuple[list[int], Record]:
    """Write components and seeds into the scratch; returns their checksums, and tables for the record."""
    settings = plane.job.labels
    foreground, core = _foreground(plane, found, keep)
    arrays: dict[str, Map] = {}
    tables: dict[str, TileComponents] = {}
    arrays["components"], tables["components"] = split(
        foreground, plane.partition, index, max_hole_area=settings.max_hole_area
    )
    if settings.seed_threshold > 0:
        seeds = (arrays["components"] > 0) & (core > settings.seed_threshold)
        arrays["seeds"], tables["seeds"] = split(seeds, plane.partition, index)
        arrays["core"] = np.where(arrays["components"] > 0, core, 0)
    for name, data in arrays.items():
        plane.write_scratch(name, plane.partition[index], data)
    columns = Record()
    for name, table in tables.items():
        columns |= _columns(name, table)
    return [checksum(arrays[name]) for name, _ in plane.job.scratch], columns


def _keep_maps(plane: PlaneJob, index: int, found: Map | None, keep: NDArray[np.bool_]) -> list[int]:
    """Write a tile's maps that are kept (0 where nothing is predicted); returns their checksums.

    found: the probabilities (k, y, x).
    """
    sums, region = [], plane.partition[index]
    for name, spec in plane.job.maps.items():
        values = np.zeros((spec.channels, *keep.shape), np.float32)
        if found is not None:
            np.copyto(values, found if name == PROBABILITIES else entropy(found)[None], where=keep)
        sums.append(checksum(plane.job.store.write_map(name, plane.number, *region, values)))
    return sums


def _columns(name: str, table: TileComponents) -> Record:
    columns = {k: v for k, v in asdict(table).items() if k != "edges"}
    columns |= {f"edge{side}": line for side, line in enumerate(table.edges)}
    return {f"{name}.{k}": v for k, v in columns.items()}


def _shape(region: Sequence[slice]) -> tuple[int, ...]:
    return tuple(s.stop - s.start for s in region)
