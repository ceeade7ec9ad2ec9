"""Where the labels of a large image go: an OME-Zarr that is finished, gone on with or begun; or memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unetseg.errors import UserError
from unetseg.files import write_json
from unetseg.images import LazyImage
from unetseg.images.disk_space import PYRAMID, check_space, label_bytes
from unetseg.images.ome_zarr import LabelGroup, LabelStore, state, unfinished
from unetseg.images.tiff_pyramid import write_tiff_pyramid
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.streaming.journal import Journal, check_same, read_metadata
from unetseg.streaming.optional_outputs import OptionalOutputs
from unetseg.streaming.plan import Plan, make_plan
from unetseg.streaming.tile_steps import Job, Skipping
from unetseg.streaming.work import (
    Estimate,
    Resumed,
    Summary,
    TileDone,
    TileExecutor,
    estimate,
    job_settings,
    run_job,
    settings_of,
    tiles_here,
)

FACTS = "unetseg.json"
"""In the finished result: the settings it was made with, and the summary."""
NO_EXTRAS = OptionalOutputs()
OME_TIFFS = (".ome.tif", ".ome.tiff")


@dataclass(frozen=True)
class MemoryStore:
    """Labels and scratch of one plane as arrays."""

    labels: NDArray[Any]
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def write(self, plane: int, y: slice, x: slice, labels: NDArray[Any]) -> None:
        """Put labels into a region."""
        self.labels[plane, y, x] = labels

    def read(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """The labels of a region."""
        return self.labels[plane, y, x]

    def scratch(self, name: str, dtype: DTypeLike) -> NDArray[Any]:
        """An array (planes, y, x) of that name, zeros at first."""
        if name not in self.arrays:
            self.arrays[name] = np.zeros(self.labels.shape, dtype)
        return self.arrays[name]


def is_large_name(path: Path) -> bool:
    """Whether a result of this name is streamed: an OME-Zarr, or an OME-TIFF."""
    return path.name.lower().endswith((".zarr", *OME_TIFFS))


def open_job(
    model: Model,
    image: LazyImage,
    out: Path,
    tiling: PredictSettings,
    skipping: Skipping,
    *,
    extras: OptionalOutputs = NO_EXTRAS,
    overwrite: bool = False,
) -> Job | Summary:
    """The job that makes `out` (begun, or gone on with), or the summary of a result that is finished.

    out: NAME.zarr or NAME.ome.tif. Raises UserError where it was made with other settings, is
    something else, or has no space.
    """
    if out.resolve() == image.path.resolve():
        raise UserError(f"{out}: is the image itself. Choose another --out.")
    if extras != NO_EXTRAS and _store_path(out) != out:
        raise UserError(f"{out}: probabilities and the image's copy need an OME-Zarr: --out NAME.ome.zarr.")
    plan, store = make_plan(model, image.shape[1:], tiling), _store_path(out)
    engine = model.engine(tiling)
    settings = settings_of(model, image, plan, skipping, tiling.precision, extras, engine)
    there = state(store)
    journal = Journal(unfinished(store) / "scratch" / "journal")
    metadata = _finished(out)
    if overwrite or there != "unfinished" or journal.read_metadata("settings") is None:
        if metadata is not None and not overwrite:
            check_same(out, metadata["settings"], settings)
            return _summary(metadata["summary"])
        if store == out or there != "finished":
            _create(store, model, image, plan, extras)
    opened = LabelStore.open(store)
    maps = opened if extras.probabilities else None
    return Job(model, image, plan, opened, journal, skipping, tiling.precision, extras, maps, engine)


def make_result(
    job: Job, out: Path, perform: TileExecutor = tiles_here
) -> Iterator[Resumed | TileDone | Summary]:
    """Do what is left of the job that `open_job` gave for `out`, then finish it; see `work.run_job`."""
    for event in run_job(job, perform):
        if isinstance(event, Summary) and isinstance(job.store, LabelStore):
            settings = job_settings(job)
            write_json(job.store.folder / FACTS, {"settings": settings, "summary": asdict(event)})
            job.store.finish(job.image if job.extras.image else None)
            if job.store.path != out:
                _to_tiff(job.store.path, job.store.metadata.kind, out)
        yield event


def label_array(model: Model, image: LazyImage, tiling: PredictSettings, skipping: Skipping) -> NDArray[Any]:
    """Labels (planes, y, x) of an image in memory: the same as `make_result` writes."""
    plan = make_plan(model, image.shape[1:], tiling)
    dtype = np.uint8 if model.recipe.kind == "classes" else np.uint32
    store = MemoryStore(np.zeros((len(image.planes), *image.shape[1:]), dtype))
    with TemporaryDirectory() as folder:
        engine = model.engine(tiling)
        journal = Journal(Path(folder))
        job = Job(model, image, plan, store, journal, skipping, tiling.precision, engine=engine)
        for _ in run_job(job):
            pass
    return store.labels


def estimate_job(model: Model, image: LazyImage, tiling: PredictSettings, skipping: Skipping) -> Estimate:
    """What a prediction of the image will take; nothing is kept."""
    plan = make_plan(model, image.shape[1:], tiling)
    with TemporaryDirectory() as folder:
        store = LabelStore.create(
            Path(folder) / "dry.zarr", image, chunk=plan.chunk, kind="labels", dtype="u4"
        )
        engine = model.engine(tiling)
        journal = Journal(Path(folder))
        job = Job(model, image, plan, store, journal, skipping, tiling.precision, engine=engine)
        return estimate(job)


def _store_path(out: Path) -> Path:
    """The OME-Zarr that is made: the result itself, or what an OME-TIFF is made from."""
    return out if out.name.lower().endswith(".zarr") else out.with_name(out.name + ".zarr")


def _facts_path(out: Path) -> Path:
    return out / FACTS if out.name.lower().endswith(".zarr") else out.with_name(out.name + ".json")


def _to_tiff(store: Path, kind: str, out: Path) -> None:
    """The finished store as an OME-TIFF; its metadata lie in NAME.ome.tif.json beside it."""
    write_tiff_pyramid(out, store / "labels" / kind)
    metadata = read_metadata(store / FACTS) or {}
    write_json(_facts_path(out), metadata)
    shutil.rmtree(store)


def _create(store: Path, model: Model, image: LazyImage, plan: Plan, extras: OptionalOutputs) -> None:
    """An empty store, if there is room for it and what it takes while it is made."""
    pixels = len(image.planes) * image.shape[1] * image.shape[2]
    core = 4 * pixels if model.recipe.labels.seeds > 0 else 0
    maps = (
        pixels * model.recipe.classes * np.dtype(extras.probabilities).itemsize if extras.probabilities else 0
    )
    copy = pixels * image.shape[0] * image.dtype.itemsize if extras.image else 0
    check_space(store, 3 * label_bytes(pixels) + core + int((maps + copy) * PYRAMID))
    kind: LabelGroup = "classes" if model.recipe.kind == "classes" else "labels"
    dtype = np.uint8 if kind == "classes" else np.uint32
    kept: dict[str, Any] = {}
    if extras.probabilities:
        kept = {"classes": model.recipe.classes, "probabilities": extras.probabilities}
    LabelStore.create(store, image, chunk=plan.chunk, kind=kind, dtype=dtype, **kept)


def _finished(out: Path) -> dict[str, Any] | None:
    """The metadata of a finished result; None where nothing is. Anything else in the way is an error."""
    if not out.exists():
        return None
    metadata = read_metadata(_facts_path(out))
    if metadata is None:
        raise UserError(f"{out}: exists and is no result of this command. Choose another --out.")
    return metadata


def _summary(stored: dict[str, Any]) -> Summary:
    damaged = tuple(tuple(region) for region in stored["damaged"])
    return Summary(**{**stored, "objects": tuple(stored["objects"]), "damaged": damaged})
