"""Where labels go: an OME-Zarr or OME-TIFF that is created, resumed or already complete; a TIFF; memory.

All are made by the same kind of job. An OME-Zarr and a pyramidal OME-TIFF are written tile by tile and can be
resumed; for any other TIFF the labels of the whole stack are held in memory until it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg import __version__
from unetseg.errors import UserError
from unetseg.files import remove_leftovers
from unetseg.images.disk_space import PYRAMID, check_space, label_bytes
from unetseg.images.image_store import ImageStack, ImageStore
from unetseg.images.kept_maps import map_path
from unetseg.images.marks import Mark, existing_mark
from unetseg.images.ome_zarr import SCRATCH, LabelStore, check_unfinished, tidy, unfinished
from unetseg.images.stack_store import StackStore
from unetseg.images.tiff_pyramid import TiffPyramidStore
from unetseg.locks import locked
from unetseg.streaming.job import Job, Request
from unetseg.streaming.journal import Journal, MemoryJournal, check_same
from unetseg.streaming.work import (
    Estimate,
    Resumed,
    Summary,
    TileDone,
    TileExecutor,
    estimate,
    run_job,
    tiles_here,
)

ZARR, OME_TIFFS = ".zarr", (".ome.tif", ".ome.tiff")
JOURNAL = "journal"


def is_streamed(out: Path) -> bool:
    """Whether a result of this name is written tile by tile: an OME-Zarr, or an OME-TIFF."""
    return out.name.lower().endswith((ZARR, *OME_TIFFS))


def predict_to(
    request: Request, out: Path, *, perform: TileExecutor = tiles_here, overwrite: bool = False
) -> Iterator[Resumed | TileDone | Summary]:
    """Make `out`, or what is missing of it; only a summary if it is already complete.

    Raises InUse while another process writes it; for other errors see `open_job` and `work.run_job`.
    """
    with locked(out):
        remove_leftovers(out.parent)
        job = open_job(request, out, overwrite=overwrite)
        if isinstance(job, Summary):
            yield job
        else:
            yield from make_result(job, perform)


def open_job(request: Request, out: Path, *, overwrite: bool = False) -> Job | Summary:
    """The job that makes `out` (created, or resumed), or the summary of a result that is complete.

    out: NAME.zarr, NAME.ome.tif or NAME.tif. With `overwrite`, a result of other settings is replaced
    when the new one is complete. Raises UserError for such a result without `overwrite`, if something else
    has the name, or if the disk has too little space.
    """
    if out.resolve() == request.source.path.resolve():
        raise UserError(f"{out}: is the image itself. Choose another --out.")
    mark = existing_mark(out)
    if is_streamed(out):
        return _streamed_job(request, out, mark, overwrite=overwrite)
    beside = [existing_mark(map_path(out, name)) for name in request.maps]
    if mark is not None and not overwrite:
        check_same(out, mark["settings"], request.settings)
        if None not in beside:
            return Summary.of(mark["summary"])
    store = ImageStack(out, request.source) if request.model.restores else stack_store(request, out)
    return request.job(store, MemoryJournal())


def make_result(job: Job, perform: TileExecutor = tiles_here) -> Iterator[Resumed | TileDone | Summary]:
    """Do the remaining tiles of a job, then complete its result; see `work.run_job`."""
    for event in run_job(job, perform):
        if isinstance(event, Summary):
            mark = {"unetseg": __version__, "settings": job.settings, "summary": asdict(event)}
            job.store.finish(job.source if job.outputs.image else None, mark)
        yield event


def label_array(request: Request) -> NDArray[Any]:
    """Labels (planes, y, x) in memory: the same as `make_result` writes."""
    store = stack_store(request, None)
    for _ in make_result(request.job(store, MemoryJournal())):
        pass
    return store.labels


def estimate_request(request: Request) -> Estimate:
    """What a prediction will take; nothing is kept."""
    with TemporaryDirectory() as folder:
        store = _create(request, Path(folder) / "dry.zarr")
        return estimate(request.job(store, MemoryJournal()))


def _streamed_job(request: Request, out: Path, mark: Mark | None, *, overwrite: bool) -> Job | Summary:
    """The job of a result that is written tile by tile, or the summary of a complete one."""
    journal = Journal(unfinished(out) / SCRATCH / JOURNAL)
    begun = journal.read_metadata("settings") if check_unfinished(out) else None
    if begun is None or begun != request.settings:
        if mark is not None and not overwrite:
            check_same(out, mark["settings"], request.settings)
            tidy(out)
            return Summary.of(mark["summary"])
        if begun is not None and not overwrite:
            check_same(out, begun, request.settings)
        check_space(out, _bytes_needed(request))
        return request.job(_create(request, out), journal)
    store = _store_class(request, out).open(out)
    return request.job(store, journal)


def _store_class(request: Request, out: Path) -> type[LabelStore] | type[ImageStore]:
    """Of a result that is written tile by tile."""
    if request.model.restores:
        return ImageStore
    return LabelStore if _is_zarr(out) else TiffPyramidStore


def _create(request: Request, out: Path) -> LabelStore | ImageStore:
    """An empty store."""
    if request.model.restores:
        return ImageStore.create(out, request.source, chunk=request.plan.chunk)
    classes = request.model.recipe.kind == "classes"
    return (LabelStore if _is_zarr(out) else TiffPyramidStore).create(
        out,
        request.source,
        chunk=request.plan.chunk,
        kind="classes" if classes else "labels",
        dtype=np.uint8 if classes else np.uint32,
        maps=request.maps,
        predicted=request.image.shape[1:],
    )


def stack_store(request: Request, out: Path | None) -> StackStore:
    """An empty store in memory, written to `out`, if given, when it is complete."""
    return StackStore(
        out,
        request.source,
        request.image.shape[1:],
        dtype=np.uint8 if request.model.recipe.kind == "classes" else np.uint32,
        maps=request.maps,
    )


def _bytes_needed(request: Request) -> int:
    """The most disk space that an unfinished store needs."""
    c, y, x = request.image.shape
    pixels = len(request.image.planes) * y * x
    if request.model.restores:
        return int(pixels * c * np.dtype(np.float32).itemsize * PYRAMID)
    core = 4 * pixels if request.labels.seed_threshold > 0 else 0
    maps = pixels * sum(k * np.dtype(kind).itemsize for k, kind in request.maps.values())
    copy = pixels * c * request.source.dtype.itemsize if request.outputs.image else 0
    return 3 * label_bytes(pixels) + core + int((maps + copy) * PYRAMID)


def _is_zarr(out: Path) -> bool:
    return out.name.lower().endswith(ZARR)
