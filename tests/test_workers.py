"""Several workers, one of them killed on the way: the same bytes as one process writes."""

from __future__ import annotations

import os
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
from unetseg.pipeline.large import Summary, TileDone
from unetseg.pipeline.model import Model, Recipe, Tiling, new_net, save_model
from unetseg.pipeline.results import make_result, open_job
from unetseg.pipeline.tile_steps import Job, Skipping
from unetseg.pipeline.workers import Parcel, do_tiles, parcel, performer
from unetseg.settings import LabelSettings

pytest.importorskip("distributed")
pytest.importorskip("zarr")


@pytest.fixture
def model() -> Model:
    """A narrow net with random weights."""
    net = {"name": "unet", "width": 4, "depth": 2, "padding": "same", "norm": "batch", "dropout": 0.0}
    labels = LabelSettings(threshold=0.45, smallest=3, holes=5, grow=1)
    recipe = Recipe({**net}, 2, "instances", Normalisation("per-image", 1), 1, labels, None)
    return Model(recipe, new_net(recipe, seed=3).eval(), torch.device("cpu"))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 2**16, (2, 500, 400)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return tmp_path / "a.tif"


def job(model: Model, picture: Path, out: str) -> Job:
    opened = open_job(model, open_image(picture), picture.parent / out, Tiling(side=64), Skipping())
    assert isinstance(opened, Job)
    return opened


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def alone(model: Model, picture: Path) -> dict[str, bytes]:
    """What one process writes."""
    out = picture.parent / "alone.zarr"
    events = list(make_result(job(model, picture, "alone.zarr"), out))
    assert isinstance(events[-1], Summary)
    assert events[-1].objects[0] > 10
    return tree(out)


def test_a_job_that_has_travelled_does_the_same(model: Model, picture: Path) -> None:
    import pickle

    there, here = job(model, picture, "there.zarr"), job(model, picture, "here.zarr")
    for step in ("predict",):
        list(__import__("unetseg.pipeline.large", fromlist=["tiles_here"]).tiles_here(here, step, 1, [3, 4]))
        sent: Parcel = pickle.loads(pickle.dumps(parcel(there)))  # noqa: S301
        assert do_tiles(sent, step, 1, [3, 4]) == [3, 4]
    assert here.is_done("predict", 1, 4)
    assert there.is_done("predict", 1, 4)
    for index in (3, 4):
        region = here.plan.partition[index]
        for a, b in zip(here.written("predict", 1, region), there.written("predict", 1, region), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_worker_is_killed_on_the_way(model: Model, picture: Path) -> None:
    expected = alone(model, picture)
    out = picture.parent / "several.zarr"
    with performer(2) as perform:
        victims = list(perform.client.run(os.getpid).values())  # type: ignore[attr-defined]
        tiles = 0
        for event in make_result(job(model, picture, "several.zarr"), out, perform):
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
        begun.append(subprocess.Popen([sys.executable, *map(str, arguments)], stderr=subprocess.DEVNULL))
        return begun[-1]

    try:
        yield start
    finally:
        for process in begun:
            process.kill()
            process.wait()


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


@pytest.mark.slow
def test_a_scheduler_of_the_users_own(model: Model, picture: Path) -> None:
    expected = alone(model, picture)
    folder = picture.parent
    save_model(folder / "model.pt", model.recipe, model.net, {})
    with processes() as start:
        file = folder / "scheduler.json"
        dask = ("-m", "distributed.cli")
        start(*dask[:1], "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0,
              "--no-dashboard", "--scheduler-file", file)  # fmt: skip
        wait_for(file.exists)
        import json

        address = json.loads(file.read_text())["address"]
        first, _ = (
            start(
                "-m",
                "distributed.cli.dask_worker",
                address,
                "--no-nanny",
                "--nthreads",
                1,
                "--no-dashboard",
                "--local-directory",
                folder / "space",
            )  # fmt: skip
            for _ in range(2)
        )
        out = folder / "several.zarr"
        run = start("-m", "unetseg", "predict", folder / "model.pt", picture, "--out", out, "--tile", 64,
                    "--scheduler", address, "--device", "cpu")  # fmt: skip
        records = folder / "several.zarr.unfinished" / "scratch" / "journal" / "predict"
        wait_for(lambda: any(records.rglob("*.npz")))
        first.kill()
        assert run.wait(timeout=300) == 0
    found, wanted = tree(out), dict(expected)
    assert found == wanted


def test_no_scheduler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetseg.pipeline.workers.PATIENCE_SECONDS", 0.2)
    with pytest.raises(UserError, match="no Dask scheduler answers there"), performer(1, "tcp://127.0.0.1:9"):
        pass
