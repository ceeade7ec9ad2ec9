"""`unetseg predict` of large images from the command line."""

from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import zarr
from conftest import Unetseg
from test_streaming import balanced, model, pixels

from unetseg import api
from unetseg.cli.predict_progress import TileTimes
from unetseg.images import open_image
from unetseg.inference.memory import bytes_per_pixel
from unetseg.pipeline.model import PredictSettings, save_model
from unetseg.settings import LabelSettings
from unetseg.streaming.job import Job, OptionalOutputs, Request
from unetseg.streaming.output import open_job
from unetseg.streaming.plan import make_plan
from unetseg.streaming.work import Summary, tiles_here


@pytest.fixture
def best(tmp_path: Path) -> Path:
    used = balanced(LabelSettings(min_area=3), pixels())
    save_model(tmp_path / "best.pt", used.recipe, used.net, {})
    return tmp_path / "best.pt"


@pytest.fixture
def big(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "big.ome.tif", pixels(), tile=(64, 64))
    return tmp_path / "big.ome.tif"


def test_one_command_is_all(unetseg: Unetseg, best: Path, big: Path) -> None:
    out = big.with_name("big.ome.zarr")
    dry = unetseg("predict", best, big, "--out", out, "--tile", 64, "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    assert "tiles:  9 of 64×64 pixels" in dry.out
    assert not out.exists()
    done = unetseg("predict", best, big, "--out", out, "--tile", 64)
    whole = api.predict(api.load_model(best), pixels()).labels
    assert done.code == 0
    assert f"{out}: {whole.max()} objects, 1 page, 9 tiles in" in done.out
    np.testing.assert_array_equal(zarr.open_array(out / "labels/labels/0", mode="r"), whole)
    again = unetseg("predict", best, big, "--out", out, "--tile", 64)
    assert (again.code, "already complete" in again.out) == (0, True)
    other = unetseg("predict", best, big, "--out", out, "--tile", 64, "--min-area", 9)
    assert other.code == 2
    assert "min_area (3 → 9)" in other.err
    assert "--overwrite" in other.err


def test_classes_are_counted_once_however_many_pages(unetseg: Unetseg, best: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([pixels()] * 3), photometric="minisblack")
    done = unetseg("predict", best, tmp_path / "stack.tif", "--as", "mask")
    assert "stack_classes.tif: 2 classes, 3 pages" in done.out


def test_a_zarr_image_is_streamed_wherever_it_goes(unetseg: Unetseg, best: Path, tmp_path: Path) -> None:
    zarr.save_array(tmp_path / "big.zarr", pixels())
    done = unetseg("predict", best, tmp_path / "big.zarr", "--skip-below", 100, "--tile", 32)
    assert done.code == 0
    assert "16%) skipped (about 0 s saved)" in done.out
    assert (tmp_path / "predictions/big.ome.zarr/labels/labels/0").is_dir()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--pyramid-level", "3"], "level"),
        (["--channel", "2"], "channels"),
        (["--plane", "t9"], "no plane t9"),
        (["--rescale"], "--rescale needs the image's pixel size"),
        (["--memory", "1M"], "Raise --memory"),
        (["--mask", "none.tif"], "none.tif"),
    ],
)
def test_mistakes_end_with_2_and_one_line(
    unetseg: Unetseg, best: Path, big: Path, options: list[str], said: str
) -> None:
    done = unetseg("predict", best, big, "--out", big.with_name("x.ome.zarr"), *options)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not list(big.parent.glob("x.ome.zarr*"))


def test_what_skipping_saved_is_reported_in_seconds() -> None:
    """Two computed tiles took 16 s, so two skipped ones save as much; not reported for a resumed run."""
    predicting = TileTimes(before=100.0)
    for step, now in (("predict", 103.0), ("label", 104.0), ("predict", 109.0), ("predict", 113.0)):
        predicting.note(step, now)
    four = Summary((7,), tiles=4, skipped=2, damaged=(), cut=0)
    assert predicting.saved(four) == ""
    predicting.note("predict", 117.0)
    assert predicting.saved(four) == " (about 16 s saved)"
    assert predicting.saved(replace(four, skipped=0)) == predicting.saved(replace(four, skipped=4)) == ""


def test_tiles_computed_at_once_share_the_memory() -> None:
    """In the middle of a large image, where tiles are as large as memory allows."""
    used, allowed = model(LabelSettings()), 600 * 2**20
    one, four = (make_plan(used, (4096, 4096), PredictSettings(memory=allowed, batch=n)) for n in (1, 4))
    assert (one.batch, four.batch) == (1, 4)
    assert four.memory <= allowed
    assert prod(four.partition.step) < prod(one.partition.step)
    whole = used.grid((4096, 4096), PredictSettings(memory=allowed, batch=4))
    assert 4 * prod(whole.read_shape) * bytes_per_pixel(used.net, whole.read_shape) <= allowed


def test_any_array_in_python(tmp_path: Path) -> None:
    dask = pytest.importorskip("dask.array")
    used = balanced(LabelSettings(max_hole_area=8), pixels())
    whole = api.predict(used, pixels()).labels
    zarr.save_array(tmp_path / "big.zarr", pixels())
    lazy = zarr.open_array(tmp_path / "big.zarr", mode="r")
    for array in (pixels(), pixels()[None], lazy, dask.from_array(lazy, chunks=50)):
        np.testing.assert_array_equal(api.predict_large(used, array, tile=64), whole)
    np.testing.assert_array_equal(api.predict_large(used, lazy, tmp_path / "out.zarr", tile=64), whole)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_streamed_is_whole() -> None:
    used = model(LabelSettings(min_area=3))
    used.net.to("cuda")
    on_gpu = type(used)(used.recipe, used.net, torch.device("cuda"))
    whole = api.predict(on_gpu, pixels()).labels
    np.testing.assert_array_equal(api.predict_large(on_gpu, pixels(), tile=64), whole)


@pytest.mark.parametrize(("kind", "step"), [("uint8", 1 / 255), ("float16", 1)])
def test_probabilities_and_the_image_go_into_the_store_if_asked_for(
    unetseg: Unetseg, best: Path, big: Path, kind: str, step: float
) -> None:
    out = big.with_name("big.ome.zarr")
    options = ("--probabilities", "--probability-type", kind, "--copy-image")
    done = unetseg("predict", best, big, "--out", out, "--tile", 64, *options)
    assert (done.code, done.err) == (0, "")
    maps = zarr.open_array(out / "probabilities/0", mode="r")
    assert maps.dtype == kind
    whole = api.predict(api.load_model(best), pixels()).probabilities
    np.testing.assert_allclose(np.asarray(maps) * step, whole, atol=0.003)
    np.testing.assert_array_equal(zarr.open_array(out / "0", mode="r")[0], pixels())
    plain = unetseg("predict", best, big, "--out", out, "--tile", 64)
    assert plain.code == 2
    assert "probabilities" in plain.err
    tiff = unetseg("predict", best, big, "--out", big.with_name("new.ome.tif"), *options)
    assert tiff.code == 2
    assert "--copy-image: needs an OME-Zarr" in tiff.err


@pytest.mark.parametrize("name", ["probabilities", "uncertainty"])
def test_a_lost_chunk_of_a_map_is_computed_again(best: Path, big: Path, name: str) -> None:
    used, out = api.load_model(best), big.with_name("big.ome.zarr")
    outputs = OptionalOutputs("uint8", uncertainty="uint8")
    job = open_job(Request.of(used, open_image(big), PredictSettings(side=64), outputs=outputs), out)
    assert isinstance(job, Job)
    plane = job.plane(0)
    list(tiles_here(plane, "predict", range(9)))
    assert all(plane.is_done("predict", index) for index in range(9))
    next((job.store.folder / name / "0" / "0" / "1").glob("*")).unlink()  # type: ignore[attr-defined]
    assert not all(plane.is_done("predict", index) for index in range(9))
