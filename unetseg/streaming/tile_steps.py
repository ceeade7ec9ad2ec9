"""What is done with one tile of a large image; each step reads and writes only what belongs to its tile.

predict: probabilities, and from them the tile's parts (scratch) or classes (the result);
flood: with seeds, the watershed of the tile's parts from the seeds of the whole image (see `flooding`);
label: the ids of the whole image, grown, into the result.
A step's outcome is a function of the model, the image and the tile, whoever does it and when. At last it
writes its record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from skimage.segmentation import expand_labels

from unetseg.calibration import calibrated
from unetseg.images import LazyImage
from unetseg.inference.predict import stream
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.sample import enlarge
from unetseg.segment import class_labels, median_filtered, object_maps
from unetseg.streaming.journal import Journal, Record, checksum
from unetseg.streaming.optional_outputs import OptionalOutputs, ProbabilityStore, keep_probabilities
from unetseg.streaming.plan import Plan
from unetseg.streaming.source import NetworkInput, Pixels, Region, Repaired
from unetseg.streaming.stitch import TileComponents, split
from unetseg.streaming.threads import PixelBudget
from unetseg.tiles import Tile, inside, read_mirrored, widened

Map = NDArray[Any]


class Store(Protocol):
    """Where labels go: `images.ome_zarr.LabelStore`, or arrays in memory."""

    def write(self, plane: int, y: slice, x: slice, labels: Map) -> None:
        """Labels of a region that starts and ends on chunk borders."""

    def read(self, plane: int, y: slice, x: slice) -> Map:
        """Labels of any region."""

    def scratch(self, name: str, dtype: DTypeLike) -> Any:
        """An array (planes, y, x) for intermediate values."""


@dataclass(frozen=True)
class Skipping:
    """What need not be predicted: chunks whose pixels are all below `below`, and where `mask` is 0.

    damaged: whether damaged regions are passed over too.
    """

    below: float | None = None
    mask: LazyImage | None = None
    damaged: bool = False


@dataclass(frozen=True)
class Job:
    """One image on its way to labels. precision: of the network ("float32", "bf16", "fp16"); engine:
    what computes it, a name in `inference.engines.ENGINES`.
    """  # fmt: skip

    model: Model
    image: LazyImage
    plan: Plan
    store: Store
    journal: Journal
    skipping: Skipping = field(default_factory=Skipping)
    precision: str = "float32"
    extras: OptionalOutputs = field(default_factory=OptionalOutputs)
    maps: ProbabilityStore | None = None
    engine: str = "torch"

    @property
    def scratch(self) -> tuple[tuple[str, DTypeLike], ...]:
        """The arrays that the predict step fills."""
        if self.model.recipe.kind == "classes":
            return ()
        seeded = (("seeds", np.int32), ("core", np.float32))
        return (("parts", np.int32), *(seeded if self.model.recipe.labels.seeds > 0 else ()))

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps in order; each needs the one before of the whole plane."""
        if self.model.recipe.kind == "classes":
            return ("predict",)
        return ("predict", "flood", "label") if self.model.recipe.labels.seeds > 0 else ("predict", "label")

    def written(self, step: str, plane: int, region: Region) -> list[Map]:
        """The data that a step wrote for a region."""
        maps = (
            [] if self.maps is None or step != "predict" else [self.maps.read_probabilities(plane, *region)]
        )
        if step == "label" or not self.scratch:
            return [self.store.read(plane, *region), *maps]
        names = self.scratch if step == "predict" else (("flooded", np.int32),)
        return [*(np.asarray(self.store.scratch(*name)[(plane, *region)]) for name in names), *maps]

    def is_done(self, step: str, plane: int, index: int) -> bool:
        """Whether there is a record, and its data are what they were."""
        record = self.journal.read(step, plane, index)
        if record is None or "checksums" not in record:
            return False
        data = self.written(step, plane, self.plan.partition[index])
        return [checksum(d) for d in data] == record["checksums"].tolist()


def predict_tiles(job: Job, plane: int, source: NetworkInput, units: Sequence[int]) -> Iterator[int]:
    """The predict step of the batches given; yields the number of each tile that is done.

    source: the plane as the network sees it.
    """
    pixels = source.shrunk.plane
    tiles = [index for unit in units for index in job.plan.tile_batch(unit)]
    keeps: dict[int, NDArray[np.bool_]] = {}

    def read(tile: Tile) -> Map | None:
        index = _index(job.plan, tile)
        keeps[index] = _wanted(job, plane, pixels, job.plan.partition[index])
        return read_mirrored(source, tile.read) if keeps[index].any() else None

    groups = ([job.plan.grid[i] for i in job.plan.tile_batch(unit)] for unit in units)
    average = job.model.recipe.labels.average
    ready = job.model.ready(PredictSettings(precision=job.precision, engine=job.engine))
    found = stream(ready, groups, read, average=average)
    for index, (tile, probabilities) in zip(tiles, found, strict=True):
        region, keep = job.plan.partition[index], keeps.pop(index)
        damage = pixels.damage_in(region) if isinstance(pixels, Repaired) else []
        for y0, y1, x0, x1 in damage:
            keep[inside((slice(y0, y1), slice(x0, x1)), region)] = False
        skipped = np.array(probabilities is None)
        record: Record = {"damaged": np.array(damage, np.int64).reshape(-1, 4), "skipped": skipped}
        own = None if probabilities is None else _own(job, tile, probabilities, region)
        _keep_prediction(job, plane, index, own, keep, record)
        yield index


def label_tile(job: Job, plane: int, budget: PixelBudget, index: int) -> None:
    """The label step: ids of the whole image, grown with a halo, into the result."""
    region, grow = job.plan.partition[index], job.model.recipe.labels.grow
    window = widened(region, grow, job.plan.partition.shape)
    with budget.reserve(window):
        if job.model.recipe.labels.seeds > 0:
            flooded = np.asarray(job.store.scratch("flooded", np.int32)[(plane, *window)])
            labels = job.journal.read_rows(f"objects-{plane}")[0][flooded]
        else:
            labels = ids_in(job, "parts", plane, window)
        if grow > 0:
            labels = expand_labels(labels, grow)
        labels = labels[inside(region, window)].astype(np.uint32)
        job.store.write(plane, *region, labels)
        job.journal.write("label", plane, index, {"checksums": np.array([checksum(labels)])})


def components_of(job: Job, name: str, plane: int, index: int) -> TileComponents:
    """The table that the predict step left of a tile's parts, or seeds."""
    record = job.journal.read("predict", plane, index)
    if record is None:
        raise OSError(f"the record of tile {index} of plane {plane} has gone")
    edges = tuple(record[f"{name}.edge{side}"] for side in range(4))
    first, area, hole = (record[f"{name}.{column}"] for column in ("first", "area", "hole"))
    return TileComponents(first, area, hole, edges, record[f"{name}.touching"])


def ids_in(job: Job, name: str, plane: int, window: Sequence[slice]) -> NDArray[np.int64]:
    """The ids in the whole image of the parts (or seeds) in a window."""
    rows, scratch = job.journal.read_rows(f"{name}-{plane}"), job.store.scratch(name, np.int32)
    ids = np.empty([s.stop - s.start for s in window], np.int64)
    for index in job.plan.partition.within((window[0], window[1])):
        pairs = zip(job.plan.partition[index], window, strict=True)
        y, x = (slice(max(r.start, w.start), min(r.stop, w.stop)) for r, w in pairs)
        ids[inside((y, x), window)] = rows[index][np.asarray(scratch[plane, y, x])]
    return ids


def _index(plan: Plan, tile: Tile) -> int:
    row, column = (w.start // s for w, s in zip(tile.write, plan.grid.step, strict=True))
    return row * plan.partition.columns + column


def _wanted(job: Job, plane: int, pixels: Pixels, region: Region) -> NDArray[np.bool_]:
    """Which pixels of a region are to be predicted."""
    keep = np.ones(_shape(region), bool)
    if job.skipping.mask is not None:
        mask = job.skipping.mask
        keep &= np.asarray(mask.plane(min(plane, len(mask.planes) - 1))[:, *region]).any(0)
    if job.skipping.below is not None:
        bright = (np.asarray(pixels[:, *region]) >= job.skipping.below).any(0)
        starts = [np.arange(0, n, job.plan.chunk) for n in bright.shape]
        cells = np.logical_or.reduceat(np.logical_or.reduceat(bright, starts[0], 0), starts[1], 1)
        whole = cells.repeat(job.plan.chunk, 0).repeat(job.plan.chunk, 1)
        keep &= whole[: keep.shape[0], : keep.shape[1]]
    return keep


def _own(job: Job, tile: Tile, probabilities: Map, region: Region) -> Map:
    """The finished probabilities at the image's pixel size, of the tile's own region."""
    recipe = job.model.recipe
    full = [recipe.shrink * n for n in probabilities.shape[1:]]
    window = [slice(recipe.shrink * w.start, recipe.shrink * w.stop) for w in tile.kept]
    around = widened(region, recipe.labels.halo, job.plan.partition.shape)
    large = enlarge(calibrated(probabilities, recipe.calibration), full, recipe.shrink)
    own = median_filtered(large[(slice(None), *inside(around, window))], recipe.labels.median)
    return own[(slice(None), *inside(region, around))]


def _keep_prediction(
    job: Job, plane: int, index: int, probabilities: Map | None, keep: NDArray[np.bool_], record: Record
) -> None:
    """Write what the predict step made of a tile, then its record."""
    region, settings = job.plan.partition[index], job.model.recipe.labels
    maps = keep_probabilities(job.maps, plane, region, probabilities, job.model.recipe.classes)
    if job.model.recipe.kind == "classes":
        classes = np.zeros(_shape(region), np.uint8) if probabilities is None else class_labels(probabilities)
        classes = np.where(keep, classes, 0).astype(np.uint8)
        job.store.write(plane, *region, classes)
        job.journal.write(
            "predict", plane, index, {**record, "checksums": np.array([checksum(classes), *maps])}
        )
        return
    probability, core = np.zeros((2, *_shape(region)), np.float32)
    if probabilities is not None:
        probability, core = object_maps(probabilities)
    foreground = keep & (probability > settings.threshold)
    arrays: dict[str, Map] = {}
    arrays["parts"], parts = split(foreground, job.plan.partition, index, holes=settings.holes)
    tables = {"parts": parts}
    if settings.seeds > 0:
        seeds = (arrays["parts"] > 0) & (core > settings.seeds)
        arrays["seeds"], tables["seeds"] = split(seeds, job.plan.partition, index)
        arrays["core"] = np.where(arrays["parts"] > 0, core, 0)
    for name, dtype in job.scratch:
        write_scratch(job, name, dtype, plane, region, arrays[name])
    sums = np.array([*(checksum(arrays[name]) for name, _ in job.scratch), *maps])
    record = {**record, "checksums": sums}
    for name, table in tables.items():
        record |= _columns(name, table)
    job.journal.write("predict", plane, index, record)


def _columns(name: str, table: TileComponents) -> Record:
    columns = {k: v for k, v in asdict(table).items() if k != "edges"}
    columns |= {f"edge{side}": line for side, line in enumerate(table.edges)}
    return {f"{name}.{k}": v for k, v in columns.items()}


def write_scratch(job: Job, name: str, dtype: DTypeLike, plane: int, region: Region, data: Map) -> None:
    """Intermediate values of a region."""
    job.store.scratch(name, dtype)[(plane, *region)] = data


def _shape(region: Sequence[slice]) -> tuple[int, ...]:
    return tuple(s.stop - s.start for s in region)
