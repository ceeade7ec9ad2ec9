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
from unetseg.images import LazyImage
from unetseg.images.ome_zarr import Kind, LabelStore, unfinished
from unetseg.io import write_json
from unetseg.pipeline.journal import Journal, check_same, read_facts
from unetseg.pipeline.large import Resumed, Summary, TileDone, settings_of, work
from unetseg.pipeline.model import Model, Tiling
from unetseg.pipeline.plan import make_plan
from unetseg.pipeline.tile_steps import Job, Skipping

FACTS = "unetseg.json"
"""In the finished result: the settings it was made with, and the summary."""
BYTES_PER_PIXEL = 1.0
"""Free space that is asked for; labels and scratch take a fraction of it when compressed."""


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


def open_job(
    model: Model, image: LazyImage, out: Path, tiling: Tiling, skipping: Skipping, *, overwrite: bool = False
) -> Job | Summary:
    """The job that makes `out` (begun, or gone on with), or the summary of a result that is finished.

    Raises UserError where `out` was made with other settings, is something else, or has no space.
    """
    plan = make_plan(model, image.shape[1:], tiling)
    journal = Journal(unfinished(out) / "scratch" / "journal")
    settings = settings_of(model, image, plan, skipping, tiling.precision)
    facts = _finished(out, image)
    if overwrite or journal.read_facts("settings") is None:
        if facts is not None and not overwrite:
            check_same(out, facts["settings"], settings)
            return _summary(facts["summary"])
        _check_space(out, image)
        kind: Kind = "classes" if model.recipe.kind == "classes" else "labels"
        dtype = np.uint8 if kind == "classes" else np.uint32
        LabelStore.create(out, image, chunk=plan.chunk, kind=kind, dtype=dtype)
    return Job(model, image, plan, LabelStore.open(out), journal, skipping, tiling.precision)


def make_result(job: Job) -> Iterator[Resumed | TileDone | Summary]:
    """Do what is left of a job of `open_job`, then finish its result; see `large.work`."""
    store = job.store
    for event in work(job):
        if isinstance(event, Summary) and isinstance(store, LabelStore):
            settings = settings_of(job.model, job.image, job.plan, job.skipping, job.precision)
            write_json(store.folder / FACTS, {"settings": settings, "summary": asdict(event)})
            store.finish()
        yield event


def label_array(model: Model, image: LazyImage, tiling: Tiling, skipping: Skipping) -> NDArray[Any]:
    """Labels (planes, y, x) of an image in memory: the same as `make_result` writes."""
    plan = make_plan(model, image.shape[1:], tiling)
    dtype = np.uint8 if model.recipe.kind == "classes" else np.uint32
    store = MemoryStore(np.zeros((len(image.planes), *image.shape[1:]), dtype))
    with TemporaryDirectory() as folder:
        job = Job(model, image, plan, store, Journal(Path(folder)), skipping, tiling.precision)
        for _ in work(job):
            pass
    return store.labels


def _finished(out: Path, image: LazyImage) -> dict[str, Any] | None:
    """The facts of a finished result; None where nothing is. Anything else in the way is an error."""
    if not out.exists():
        return None
    facts = read_facts(out / FACTS)
    if facts is None or out.resolve() == image.path.resolve():
        raise UserError(f"{out}: exists and is no result of this command. Choose another --out.")
    shutil.rmtree(out / "scratch", ignore_errors=True)  # left by who was killed while tidying up
    return facts


def _summary(stored: dict[str, Any]) -> Summary:
    damaged = tuple(tuple(region) for region in stored["damaged"])
    return Summary(**{**stored, "objects": tuple(stored["objects"]), "damaged": damaged})


def _check_space(out: Path, image: LazyImage) -> None:
    """Raise UserError where the disk cannot hold what is about to be written."""
    there = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(there).free
    wanted = BYTES_PER_PIXEL * len(image.planes) * image.shape[1] * image.shape[2]
    if free < wanted:
        raise UserError(
            f"{out}: the disk has {free / 2**30:.1f} GiB free, and the labels of this image may take "
            f"{wanted / 2**30:.1f} GiB while they are made. Make room, or choose another --out."
        )
