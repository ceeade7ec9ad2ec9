"""Tiles of a large image computed by several processes, here or on many machines, through Dask.

A worker opens the model, the image and the unfinished result by their paths, computes tiles exactly as
one process does, and writes its own chunks and records: only tile numbers travel. The tiles of a
worker that dies are given to another one.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from unetseg.allocator import keep_freed_memory
from unetseg.device import choose_device
from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.pipeline.model import load_model, save_model
from unetseg.streaming.job import Job, PlaneJob
from unetseg.streaming.journal import Journal
from unetseg.streaming.work import TileExecutor, fitted_sources, tiles_here

RETRIES = 3
"""How often a task is tried again when its worker dies, or when it fails through no fault of the user."""
BATCHES = 4
"""Batches in a task: within a task, reading, computing and writing overlap."""
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class JobSpec:
    """A job as it is sent: its fields except the models, which are in its journal; name: of this run."""

    name: str
    device: str
    models: tuple[Path, ...]
    job: dict[str, Any]

    def opened(self) -> Job:
        """The job, in a worker; opened once."""
        if self.name not in OPENED:
            OPENED.clear()
            keep_freed_memory()
            first, *others = (load_model(path, choose_device(self.device)) for path in self.models)
            OPENED[self.name] = Job(model=replace(first, others=tuple(others)), **self.job)
        return OPENED[self.name]


OPENED: dict[str, Job] = {}
"""In a worker: the job that it is working on."""


@contextmanager
def tile_executor(workers: int = 1, scheduler: str | None = None) -> Iterator[TileExecutor]:
    """What `work.run_job` computes tiles with: this process, `workers` new ones, or a Dask scheduler's.

    New processes take a GPU each, in turn, or share the processor's cores. Raises UserError without
    Dask, and if the scheduler does not answer or has no worker.
    """
    if scheduler is None and workers == 1:
        yield tiles_here
        return
    distributed = _distributed()
    if scheduler is not None:
        with _connected(distributed, scheduler) as client:
            yield _Tiles(distributed, client)
        return
    with _cluster(distributed, workers) as cluster, distributed.Client(cluster) as client:
        yield _Tiles(distributed, client)


def job_spec(job: Job) -> JobSpec:
    """The job for workers: its models are stored in its journal, and paths become absolute."""
    if not isinstance(job.journal, Journal):
        raise ValueError("a job in memory cannot be sent to workers")
    journal = replace(job.journal, folder=job.journal.folder.absolute())
    paths = tuple(journal.folder / f"model-{number}.pt" for number in range(len(job.models)))
    for path, model in zip(paths, job.models, strict=True):
        with replacing(path) as temporary:
            save_model(temporary, model.recipe, model.net, {})
    kept = {f.name: getattr(job, f.name) for f in fields(Job) if f.name != "model"}
    return JobSpec(uuid.uuid4().hex, job.model.device.type, paths, {**kept, "journal": journal})


def do_tiles(sent: JobSpec, step: str, plane: int, indices: Sequence[int]) -> list[int] | UserError:
    """In a worker: a step of some tiles; a UserError is returned as a result, since retrying is useless."""
    try:
        return list(tiles_here(sent.opened().plane(plane), step, indices))
    except UserError as error:
        return error


@dataclass(frozen=True)
class _Tiles:
    """Computes tiles on the workers of a client."""

    distributed: Any
    client: Any

    def __call__(self, plane: PlaneJob, step: str, left: Sequence[int]) -> Iterator[int]:
        """The numbers of the tiles as they are finished, in any order."""
        if not left:
            return
        if step == "predict":
            fitted_sources(plane)  # computes the statistics here, once; workers find them in the journal
        sent, batch = job_spec(plane.job), plane.job.plan.batch
        tasks = [
            self.client.submit(do_tiles, sent, step, plane.number, list(group), retries=RETRIES, pure=False)
            for _, group in groupby(left, lambda index: index // (batch * BATCHES))
        ]
        try:
            for task in self.distributed.as_completed(tasks):
                yield from self._result(task)
        finally:
            self.client.cancel(tasks)

    def _result(self, task: Any) -> list[int]:
        try:
            done = task.result()
        except self.distributed.KilledWorker:
            raise UserError(
                f"the same tiles stopped {RETRIES + 1} workers, most likely by running out of memory. Give a "
                "smaller --memory (it counts for each worker) or fewer --workers."
            ) from None
        if isinstance(done, UserError):
            raise done
        return list(done)


def _cluster(distributed: Any, count: int) -> Any:
    """A scheduler in this process and `count` worker processes, each restarted when it dies."""
    address = {"host": "127.0.0.1", "dashboard": False}
    return distributed.SpecCluster(
        workers={
            number: {
                "cls": distributed.Nanny,
                "options": {**address, "nthreads": 1, "memory_limit": 0, "env": _environment(number, count)},
            }
            for number in range(count)
        },
        scheduler={
            "cls": distributed.Scheduler,
            "options": {**address, "port": 0, "allowed_failures": RETRIES},
        },
        silence_logs="ERROR",
    )


def _environment(number: int, count: int) -> dict[str, str]:
    """The GPU of a worker, or its share of the cores."""
    gpus = torch.cuda.device_count()
    if gpus:
        return {"CUDA_VISIBLE_DEVICES": str(number % gpus)}
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count))}


def _connected(distributed: Any, scheduler: str) -> Any:
    try:
        client = distributed.Client(scheduler, timeout=PATIENCE_SECONDS)
    except (OSError, ValueError) as error:
        raise UserError(
            f"--scheduler {scheduler}: no Dask scheduler answers there ({error}). Start one with "
            "`dask scheduler`; it prints its address, such as tcp://10.0.0.1:8786."
        ) from None
    try:
        client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
    except TimeoutError:
        client.close()
        raise UserError(
            f"--scheduler {scheduler}: has no worker. Start some with `dask worker {scheduler}` where the "
            "image and the result can be reached by the same paths."
        ) from None
    return client


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise UserError("several workers need Dask: pip install distributed.") from None
    return distributed
