"""A prediction of one image: what every step of it needs, by plane and tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unetseg.errors import UserError
from unetseg.images import LazyImage
from unetseg.images.kept_maps import PROBABILITIES, UNCERTAINTY, MapSpec, MapType
from unetseg.images.rescale import nearest, rescaled
from unetseg.inference.engines import describe_engine
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.settings import LabelSettings
from unetseg.streaming.journal import Record, Records, checksum
from unetseg.streaming.plan import Plan, make_plan
from unetseg.streaming.stitch import TileComponents
from unetseg.tiles import Partition, inside

Map = NDArray[Any]
Region = Sequence[slice]


class Store(Protocol):
    """Where a job's labels and intermediate values go; regions are (y, x) slices of a plane.

    Where images are restored, what is called labels here is their grey values (c, y, x).
    """

    def write(self, plane: int, y: slice, x: slice, labels: Map) -> None:
        """Labels of a region that starts and ends on chunk borders."""

    def read(self, plane: int, y: slice, x: slice) -> Map:
        """Labels of any region."""

    def write_map(self, name: str, plane: int, y: slice, x: slice, values: Map) -> Map:
        """Write (k, y, x) of a map on chunk borders; returns the values as they are stored."""

    def read_map(self, name: str, plane: int, y: slice, x: slice) -> Map:
        """The values as they are stored."""

    def scratch(self, name: str, dtype: DTypeLike) -> Any:
        """An array (planes, y, x) for intermediate values."""

    def plane_done(self, plane: int) -> None:
        """The plane's labels are complete; its intermediate values are no longer needed."""

    def finish(self, image: LazyImage | None, mark: dict[str, Any]) -> None:
        """Complete the result; image: to be copied into it; mark: kept in it."""


@dataclass(frozen=True)
class OptionalOutputs:
    """What a result holds besides labels: maps of a dtype (None: none), a copy of the image."""

    probabilities: MapType | None = None
    image: bool = False
    uncertainty: MapType | None = None

    def maps(self, classes: int) -> dict[str, MapSpec]:
        """The maps of a model of so many classes, by name."""
        asked = ((PROBABILITIES, classes, self.probabilities), (UNCERTAINTY, 1, self.uncertainty))
        return {name: MapSpec(channels, dtype) for name, channels, dtype in asked if dtype is not None}


@dataclass(frozen=True)
class Skipping:
    """What need not be predicted: chunks whose pixels are all below `below`, and pixels where `mask` is 0.

    damaged: whether damaged regions are skipped too.
    """

    below: float | None = None
    mask: LazyImage | None = None
    damaged: bool = False

    def fitted(self, image: LazyImage, yx: tuple[int, int]) -> Skipping:
        """For an image that is predicted at `yx` pixels; raises UserError for a mask of another size."""
        mask = self.mask
        if mask is None:
            return self
        if mask.shape[1:] != image.shape[1:] or len(mask.planes) not in (1, len(image.planes)):
            raise UserError(
                f"{mask.path}: the mask is {_size(mask)}, but the image {image.path} is {_size(image)}. A "
                "mask needs the image's size, and one plane or as many as the image."
            )
        return replace(self, mask=nearest(mask, yx))


LABELS_ALONE, NOTHING_SKIPPED = OptionalOutputs(), Skipping()


@dataclass(frozen=True)
class Request:
    """What is to be computed and how it is divided up: all that decides a result, but not where it goes.

    source: the image as it was opened; image: the same at the size at which it is predicted; precision:
    of the network ("float32", "bf16", "fp16"); engines: names in `inference.engines.ENGINES`, of each model's
    network. Made with `of`.
    """

    model: Model
    source: LazyImage
    image: LazyImage
    plan: Plan
    skipping: Skipping
    precision: str
    engines: tuple[str, ...]
    outputs: OptionalOutputs

    @classmethod
    def of(
        cls,
        model: Model,
        image: LazyImage,
        settings: PredictSettings,
        *,
        skipping: Skipping = NOTHING_SKIPPED,
        outputs: OptionalOutputs = LABELS_ALONE,
        scale: tuple[float, float] | None = None,
        chunked: bool = True,
    ) -> Request:
        """The labels of an image.

        scale: factors (y, x) by which it is resized for the network; the result still has the image's
        size. chunked: for an output that is written tile by tile; see `make_plan`.
        """
        resized = image if scale is None else rescaled(image, scale)
        plan = make_plan(model, resized.shape[1:], settings, chunked=chunked)
        fitted = skipping.fitted(image, resized.shape[1:])
        engines = tuple(m.engine(settings) for m in (model, *model.others))
        return cls(model, image, resized, plan, fitted, settings.precision, engines, outputs)

    def job(self, store: Store, journal: Records) -> Job:
        """The job that writes it to a store."""
        asked = {f.name: getattr(self, f.name) for f in fields(Request)}
        return Job(**asked, store=store, journal=journal)

    @property
    def models(self) -> tuple[Model, ...]:
        """The model and those it is averaged with."""
        return (self.model, *self.model.others)

    @property
    def labels(self) -> LabelSettings:
        """From probabilities to labels."""
        return self.model.recipe.labels

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What decides the result, as plain values: the same values give the same bytes."""
        return {
            "model": [model.weights_hash for model in self.models],
            "calibration": [list(model.recipe.calibration) for model in self.models],
            "labels": asdict(self.labels),
            "kind": [self.model.recipe.kind, *self.model.recipe.values],
            "image": self.image.identity,
            "tile": list(self.plan.partition.step),
            "chunk": self.plan.chunk,
            "batch": "automatic" if self.plan.automatic else self.plan.batch,
            "memory": None if self.plan.automatic else self.plan.memory,
            "precision": self.precision,
            "engine": ", ".join(describe_engine(name, self.model.device) for name in self.engines),
            "device": self.model.device.type,
            "skip-below": self.skipping.below,
            "mask": None if self.skipping.mask is None else self.skipping.mask.identity,
            "skip-damaged": self.skipping.damaged,
            "probabilities": self.outputs.probabilities,
            "uncertainty": self.outputs.uncertainty,
            "copy-image": self.outputs.image,
        }

    @property
    def maps(self) -> dict[str, MapSpec]:
        """The maps that are kept beside the labels."""
        return self.outputs.maps(self.model.recipe.classes)

    @property
    def scratch(self) -> tuple[tuple[str, DTypeLike], ...]:
        """The arrays that the predict step fills."""
        if self.model.recipe.kind != "instances":
            return ()
        seeded = (("seeds", np.int32), ("core", np.float32))
        return (("components", np.int32), *(seeded if self.labels.seed_threshold > 0 else ()))

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps in order; each needs the one before for the whole plane."""
        if self.model.recipe.kind != "instances":
            return ("predict",)
        return ("predict", "flood", "label") if self.labels.seed_threshold > 0 else ("predict", "label")


@dataclass(frozen=True)
class Job(Request):
    """A request that is being computed, with its store and journal."""

    store: Store
    journal: Records

    @property
    def planes(self) -> list[PlaneJob]:
        """The planes of the image, in order."""
        return [PlaneJob(self, number) for number in range(len(self.image.planes))]

    def plane(self, number: int) -> PlaneJob:
        """One plane of the job."""
        return PlaneJob(self, number)


@dataclass(frozen=True)
class PlaneJob:
    """One plane of a job: its tiles, their records and intermediate values."""

    job: Job
    number: int

    @property
    def partition(self) -> Partition:
        """The tiles."""
        return self.job.plan.partition

    def record(self, step: str, index: int) -> Record | None:
        """What a step recorded for a tile; None if there is no readable record."""
        return self.job.journal.read(step, self.number, index)

    def write_record(self, step: str, index: int, record: Record) -> None:
        """Record that a step of a tile is done and its data are in the store."""
        self.job.journal.write(step, self.number, index, record)

    def is_done(self, step: str, index: int) -> bool:
        """Whether there is a record, and its data are unchanged."""
        record = self.record(step, index)
        if record is None or "checksums" not in record:
            return False
        return [checksum(d) for d in self.written(step, index)] == record["checksums"].tolist()

    def written(self, step: str, index: int) -> list[Map]:
        """The data that a step wrote for a tile."""
        region, job = self.partition[index], self.job
        names = [] if step == "label" else [name for name, _ in job.scratch]
        if step == "flood":
            names = ["flooded"]
        data = [self.scratch(name, region) for name in names] or [job.store.read(self.number, *region)]
        if step == "predict":
            data += [job.store.read_map(name, self.number, *region) for name in job.maps]
        return data

    def scratch(self, name: str, window: Region) -> Map:
        """Intermediate values of a window."""
        return np.asarray(self.job.store.scratch(name, SCRATCH[name])[(self.number, *window)])

    def write_scratch(self, name: str, region: Region, data: Map) -> None:
        """Keep intermediate values of a region."""
        self.job.store.scratch(name, SCRATCH[name])[(self.number, *region)] = data

    def components(self, name: str, index: int) -> TileComponents:
        """The table of a tile's components, or seeds, from the predict step."""
        record = self.record("predict", index)
        if record is None:
            raise OSError(f"the record of tile {index} of plane {self.number} is missing")
        edges = tuple(record[f"{name}.edge{side}"] for side in range(4))
        first, area, hole = (record[f"{name}.{column}"] for column in ("first", "area", "hole"))
        return TileComponents(first, area, hole, edges, record[f"{name}.touching"])

    def ids(self, name: str, window: Region) -> NDArray[np.int64]:
        """The ids in the whole plane of the components (or seeds) in a window."""
        rows = self.job.journal.read_rows(f"{name}-{self.number}")
        ids = np.empty([s.stop - s.start for s in window], np.int64)
        for index in self.partition.within((window[0], window[1])):
            pairs = zip(self.partition[index], window, strict=True)
            y, x = (slice(max(r.start, w.start), min(r.stop, w.stop)) for r, w in pairs)
            ids[inside((y, x), window)] = rows[index][self.scratch(name, (y, x))]
        return ids


SCRATCH: dict[str, DTypeLike] = {
    "components": np.int32,
    "seeds": np.int32,
    "core": np.float32,
    "flooded": np.int32,
}
"""The intermediate values and their dtypes."""


def _size(image: LazyImage) -> str:
    _, y, x = image.shape
    return f"{y}×{x} pixels in {len(image.planes)} planes" if len(image.planes) > 1 else f"{y}×{x} pixels"
