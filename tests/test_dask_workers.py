"""Several workers, one of them killed on the way: the same bytes as one process writes."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from unetseg.errors import UserError
from unetseg.images import open_image
from unetseg.normalise import Normalisation
from unetseg.pipeline.model import Model, PredictSettings, save_model
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.settings import LabelSettings
from unetseg.streaming.dask_workers import JobSpec, do_tiles, job_spec, tile_executor
from unetseg.streaming.job import Job, Request
from unetseg.streaming.output import make_result, open_job
from unetseg.streaming.work import Summary, TileDone, tiles_here

pytest.importorskip("distributed")
pytest.importorskip("zarr")
PATIENCE_SECONDS = 900


@pytest.fixture
def model() -> Model:
    """A narrow net with random weights."""
    net = {"name": "unet", "width": 4, "depth": 2, "padding": "same", "norm": "batch", "dropout": 0.0}
    labels = LabelSettings(threshold=0.45, min_area=3, max_hole_area=4, grow=1)
    recipe = Recipe({**net}, 2, "instances", Normalisation("per-image", 1), 1, labels, None)
    return Model(recipe, new_net(recipe, seed=3).eval(), torch.device("cpu"))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 2**16, (2, 300, 250)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return tmp_path / "a.tif"


def job(model: Model, picture: Path, out: str) -> Job:
    opened = open_job(Request.of(model, open_image(picture), PredictSettings(side=64)), picture.parent / out)
    assert isinstance(opened, Job)
    return opened


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def alone(model: Model, picture: Path) -> dict[str, bytes]:
    """What one process writes."""
    out = picture.parent / "alone.zarr"
    events = list(make_result(job(model, picture, "alone.zarr")))
    assert isinstance(events[-1], Summary)
    assert events[-1].objects[0] > 10
    return tree(out)


def test_a_job_that_has_travelled_does_the_same(model: Model, picture: Path) -> None:
    here, there = job(model, picture, "here.zarr"), job(model, picture, "there.zarr")
    sent: JobSpec = pickle.loads(pickle.dumps(job_spec(there)))  # noqa: S301
    assert (
        list(tiles_here(here.plane(1), "predict", [3, 4])) == do_tiles(sent, "predict", 1, [3, 4]) == [3, 4]
    )
    for index in (3, 4):
        assert there.plane(1).is_done("predict", index)
        written = [j.plane(1).written("predict", index) for j in (here, there)]
        for a, b in zip(*written, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_damaged_tile_is_reported_by_a_worker(model: Model, picture: Path) -> None:
    sent = job_spec(job(model, picture, "there.zarr"))
    picture.write_bytes(picture.read_bytes()[:9000])
    found = do_tiles(pickle.loads(pickle.dumps(sent)), "predict", 1, [3])  # noqa: S301
    assert isinstance(found, UserError)
    assert "a.tif" in str(pickle.loads(pickle.dumps(found)))  # noqa: S301


@pytest.mark.slow
def test_a_worker_is_killed_on_the_way(model: Model, picture: Path) -> None:
    expected = alone(model, picture)
    out = picture.parent / "several.zarr"
    with tile_executor(2) as perform:
        victims = list(perform.client.run(os.getpid).values())  # type: ignore[attr-defined]
        tiles = 0
        for event in make_result(job(model, picture, "several.zarr"), perform):
            if isinstance(event, TileDone):
                tiles += 1
                if tiles == 1:
                    os.kill(victims[0], signal.SIGKILL)
        survivors = list(perform.client.run(os.getpid).values())  # type: ignore[attr-defined]
    assert victims[0] not in survivors
    assert tree(out) == expected


@contextmanager
def processes() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts programs, and ends them."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object) -> subprocess.Popen[bytes]:
        begun.append(
            subprocess.Popen([sys.executable, "-m", *map(str, arguments)], stderr=subprocess.DEVNULL)
        )
        return begun[-1]

    try:
        yield start
    finally:
        for process in begun:
            process.kill()
            process.wait()


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


@pytest.mark.slow
def test_a_scheduler_of_the_users_own(model: Model, picture: Path) -> None:
    expected = alone(model, picture)
    folder = picture.parent
    save_model(folder / "model.pt", model.recipe, model.net, {})
    file, out = folder / "scheduler.json", folder / "several.zarr"
    with processes() as start:
        quiet = ("--host", "127.0.0.1", "--no-dashboard")
        start("distributed.cli.dask_scheduler", *quiet, "--port", 0, "--scheduler-file", file)
        wait_for(file.exists)
        address = json.loads(file.read_text())["address"]
        place = ("--no-nanny", "--nthreads", 1, "--local-directory", folder / "space")
        first, _ = (start("distributed.cli.dask_worker", address, *quiet, *place) for _ in range(2))
        tiles = ("--tile", 64, "--device", "cpu", "--engine", "torch", "--scheduler", address)
        run = start("unetseg", "predict", folder / "model.pt", picture, "--out", out, *tiles)
        wait_for(lambda: any((folder / "several.zarr.unfinished").rglob("*.npz")))
        first.kill()
        assert run.wait(PATIENCE_SECONDS) == 0
    assert tree(out) == expected


def test_no_scheduler_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetseg.streaming.dask_workers.PATIENCE_SECONDS", 0.2)
    with (
        pytest.raises(UserError, match="no Dask scheduler answers there"),
        tile_executor(1, "tcp://127.0.0.1:9"),
    ):
        pass
