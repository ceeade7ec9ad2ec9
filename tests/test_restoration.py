"""Restoration from a folder of pairs to restored files: train, score, predict."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner

from unetseg import api
from unetseg.cli import cli
from unetseg.errors import UserError
from unetseg.evaluation.classical_filters import classical_filters
from unetseg.images import open_image
from unetseg.images.ome_zarr import unfinished
from unetseg.images.whole import write_stack
from unetseg.pipeline.auto import derive_experiment
from unetseg.pipeline.checks import RESTORATION_AUGMENT
from unetseg.pipeline.dataset import read_dataset
from unetseg.pipeline.model import Model, PredictSettings, load_model
from unetseg.run import Run
from unetseg.settings import Experiment

NET = {"name": "dilated-unet", "width": 8, "depth": 1, "norm": "batch"}
CPU = torch.device("cpu")


def scene(seed: int, size: int = 64) -> np.ndarray:
    """Discs on a dark ground, 0…200."""
    rng, (y, x) = np.random.default_rng(seed), np.indices((size, size))
    image = np.full((size, size), 20.0)
    for _ in range(12):
        cy, cx, r = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(4, 12)
        image[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = rng.uniform(60, 200)
    return image


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for i in range(4):
        clean = scene(i)
        noisy = clean + np.random.default_rng(99 + i).normal(0, 25, clean.shape)
        for name, pixels in (("images", noisy), ("clean", clean)):
            (folder / name).mkdir(exist_ok=True)
            path = folder / name / f"s{i}.tif"
            write_stack(path, pixels.astype(np.float32)[None], spacing_um=(0.5, 0.5), axes="TYX")
    return folder


def experiment(root: Path, **data: object) -> Experiment:
    derived = derive_experiment(root).experiment
    train = replace(derived.train, steps=60, batch=4, crop=(32,), validate_every=60, learning_rate=4e-3)
    settings = replace(derived.data, test=("s3",), **data)  # type: ignore[arg-type]
    return replace(derived, net=dict(NET), train=train, data=settings, device="cpu")


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("runs") / "run"
    regions = {"background": (0, 12, 0, 12), "disc": (30, 40, 30, 40)}
    api.train(experiment(root, regions=regions), path)
    return Run.open(path)


@pytest.fixture(scope="module")
def model(run: Run) -> Model:
    return load_model(run.best, CPU)


def test_settings_follow_from_the_folder(root: Path) -> None:
    found = derive_experiment(root).experiment
    assert (found.data.task, found.target.kind, found.train.loss) == ("restoration", "restoration", "l1")
    assert found.train.select_by == "psnr"
    assert all(getattr(found.augment, key) == plain for key, plain in RESTORATION_AUGMENT.items())


def test_training_restores_and_the_table_compares(run: Run) -> None:
    scores = json.loads((run.path / "scores.json").read_text())
    methods = scores["methods"]
    assert {"this network", "noisy input", *classical_filters()} == set(methods)
    assert methods["this network"]["psnr"] > methods["noisy input"]["psnr"] + 2
    assert scores["scores"]["psnr"] == pytest.approx(methods["this network"]["psnr"])
    assert {"snr-disc", "cnr-disc"} <= set(methods["noisy input"])
    assert scores["part"] == "test"


def test_the_page_shows_the_methods(run: Run) -> None:
    page = (run.path / "report.html").read_text()
    assert "noisy input" in page
    assert "non-local means" in page
    assert "Restored images" in page
    assert "restores images, so there are no objects" in page


def test_examples_are_pairs_in_one_unit(root: Path) -> None:
    data = read_dataset(experiment(root))
    example = data.examples[0]
    noisy, clean = (tifffile.imread(root / f / f"{example.name}.tif") for f in ("images", "clean"))
    mean, deviation = noisy.mean(dtype=np.float64), noisy.std(dtype=np.float64)
    np.testing.assert_allclose(example.target[0], (clean - mean) / deviation, atol=1e-5)
    np.testing.assert_allclose(example.image[0], (noisy - mean) / deviation, atol=1e-5)


def test_tiles_equal_the_whole(model: Model, root: Path) -> None:
    image = tifffile.imread(root / "images" / "s3.tif")[None]
    whole = model.restored(image, "s3", PredictSettings())
    tiled = model.restored(image, "s3", PredictSettings(side=8))
    assert whole.shape == image.shape
    assert whole.dtype == np.float32
    np.testing.assert_allclose(tiled, whole, atol=2e-3)


def test_average_and_array(model: Model, root: Path) -> None:
    image = tifffile.imread(root / "images" / "s3.tif")
    alone = api.restore(model, image)
    assert alone.shape == image.shape
    np.testing.assert_allclose(api.restore(api.average(model, model), image), alone, atol=1e-4)
    with pytest.raises(UserError, match="restores images"):
        api.predict(model, image)


def predicted(run: Run, images: Path, *options: str) -> str:
    result = CliRunner().invoke(cli, ["predict", str(run.path), str(images), *options])
    if isinstance(result.exception, UserError):
        return f"error: {result.exception}"
    assert result.exit_code == 0, result.output
    return result.output


def test_every_output_holds_the_same_image(run: Run, model: Model, root: Path, tmp_path: Path) -> None:
    image = root / "images" / "s3.tif"
    expected = model.restored(tifffile.imread(image)[None], "s3", PredictSettings())[0]
    predicted(run, image, "--out", str(tmp_path), "--engine", "torch", "--pictures")
    predicted(run, image, "--out", str(tmp_path / "a.ome.zarr"), "--engine", "torch", "--tile", "16")
    for name in ("s3_restored.tif", "a.ome.zarr"):
        found = open_image(tmp_path / name)
        assert found.dtype == np.float32
        assert found.spacing_um == (0.5, 0.5)
        np.testing.assert_allclose(found.plane(0)[:, :, :][0], expected, atol=2e-3)
    assert (tmp_path / "s3_restored.png").is_file()
    again = predicted(run, image, "--out", str(tmp_path), "--engine", "torch", "--pictures")
    assert "already complete" in again


def test_stacks_keep_their_axes(run: Run, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).normal(100, 20, (2, 3, 24, 28)).astype(np.float32)
    write_stack(tmp_path / "in" / "s.tif", stack, spacing_um=(2, 0.5, 0.5), axes="TZYX", frame_s=3)
    predicted(run, tmp_path / "in", "--out", str(tmp_path / "out"))
    one, other = open_image(tmp_path / "in" / "s.tif"), open_image(tmp_path / "out" / "s_restored.tif")
    assert (one.axes, one.scale, one.shape) == (other.axes, other.scale, other.shape)


def test_an_interrupted_zarr_is_resumed_to_the_same_bytes(model: Model, tmp_path: Path) -> None:
    from unetseg.streaming.job import Request
    from unetseg.streaming.output import predict_to

    write_stack(
        tmp_path / "i.tif",
        np.random.default_rng(1).normal(9, 2, (1, 60, 70)).astype(np.float32),
        spacing_um=None,
    )
    request = Request.of(model, open_image(tmp_path / "i.tif"), PredictSettings(side=16))
    events = predict_to(request, tmp_path / "a.ome.zarr")
    for _ in range(4):
        next(events)
    events.close()
    assert unfinished(tmp_path / "a.ome.zarr").is_dir()
    for out in ("a.ome.zarr", "b.ome.zarr"):
        list(predict_to(request, tmp_path / out))
    one, other = (open_image(tmp_path / out).plane(0)[:, :, :] for out in ("a.ome.zarr", "b.ome.zarr"))
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--threshold", "0.4"], "--threshold: this model restores images"),
        (["--probabilities"], "--probabilities: this model restores images"),
        (["--measure"], "--measure: this model restores images"),
        (["--scale", "2"], "--scale: this model restores images"),
        (["--as", "mask"], "restores images and gives no labels"),
        (["--out", "x.ome.tif"], "OME-TIFF only holds labels"),
    ],
)
def test_options_of_labels_are_refused(run: Run, root: Path, options: list[str], words: str) -> None:
    assert words in predicted(run, root / "images" / "s3.tif", *options)


@pytest.mark.slow
def test_blind_spots_restore_without_clean_images(root: Path, tmp_path: Path) -> None:
    one = experiment(root)
    blind = replace(one, train=replace(one.train, loss="blind-spot", steps=120))
    api.train(blind, tmp_path / "run")
    methods = json.loads((tmp_path / "run" / "scores.json").read_text())["methods"]
    assert methods["this network"]["psnr"] > methods["noisy input"]["psnr"] + 1


def test_a_folder_of_noisy_images_alone_is_trained_and_predicted(root: Path, tmp_path: Path) -> None:
    (tmp_path / "lab" / "images").mkdir(parents=True)
    for path in (root / "images").iterdir():
        (tmp_path / "lab" / "images" / path.name).write_bytes(path.read_bytes())
    file = tmp_path / "x.toml"
    file.write_text(
        f'[data]\ntask = "restoration"\nroot = "{tmp_path / "lab"}"\n[train]\nsteps = 3\ncrop = [32]\n'
        '[net]\nname = "dilated-unet"\nwidth = 4\n'
    )
    resolved = api.read_experiment(file)
    assert resolved.train.loss == "blind-spot"
    model = api.train(resolved, tmp_path / "run")
    assert model.restores
    assert not (tmp_path / "run" / "scores.json").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: replace(e, target=replace(e.target, kind="ridge")), "target.kind"),
        (lambda e: replace(e, train=replace(e.train, loss="cross-entropy")), "the losses are l1, l2"),
        (lambda e: replace(e, augment=replace(e.augment, rotate=10.0)), "augment.rotate = 10.0: must be 0"),
        (lambda e: replace(e, augment=replace(e.augment, blur=2.0)), "augment.blur = 2.0: must be 0"),
        (lambda e: replace(e, labels=replace(e.labels, choose=True)), "labels.choose: restored images"),
        (lambda e: replace(e, labels=replace(e.labels, median_radius=2)), "labels.median_radius: restored"),
        (lambda e: replace(e, train=replace(e.train, class_balanced_crops=True)), "class_balanced_crops"),
        (lambda e: replace(e, train=replace(e.train, select_by="iou")), "train.select_by"),
        (lambda e: replace(e, data=replace(e.data, clean="none")), "data.clean"),
    ],
)
def test_settings_that_do_not_go_together(
    root: Path, tmp_path: Path, change: Callable[[Experiment], Experiment], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        api.train(change(experiment(root)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_resumed_training_by_blind_spots_equals_an_uninterrupted_one(root: Path, tmp_path: Path) -> None:
    one = experiment(root)
    blind = replace(one, train=replace(one.train, loss="blind-spot", steps=6, validate_every=6))
    whole = api.train(blind, tmp_path / "whole")
    steps: list[int] = []

    def count(event: object) -> None:
        if isinstance(event, api.Step):
            steps.append(event.number)

    api.train(blind, tmp_path / "parts", progress=count, stopped=lambda: bool(steps) and steps[-1] == 2)
    assert steps[-1] == 2
    resumed = api.train(blind, tmp_path / "parts", progress=count)
    assert steps == [1, 2, 3, 4, 5, 6]
    assert resumed.weights_hash == whole.weights_hash


def test_what_makes_labels_refuses_the_model(run: Run, model: Model, tmp_path: Path) -> None:
    image = open_image(run.tested("s3"))
    for act in (
        lambda: api.predict_layer(model, image),
        lambda: api.predict_large(model, np.zeros((8, 8))),
        lambda: api.relabel(model, np.zeros((2, 8, 8), np.float32)),
        lambda: api.labelled_as(model, "mask"),
        lambda: api.export(model, tmp_path / "x.onnx", "onnx"),
        lambda: api.tune(run.path),
    ):
        with pytest.raises(UserError, match="restor"):
            act()


def scored(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["score", *map(str, arguments)])
    if isinstance(result.exception, UserError):
        return f"error: {result.exception}"
    assert result.exit_code == 0, result.output
    return result.output


def test_files_are_scored_as_the_run_is(run: Run, root: Path, tmp_path: Path) -> None:
    predicted(run, root / "images", "--out", str(tmp_path / "out"), "--engine", "torch")
    options = ["--noisy", root / "images", "--out", tmp_path / "x.json"]
    options += ["--region", "background=0:12,0:12", "--region", "disc=30:40,30:40"]
    assert "noisy input" in scored(tmp_path / "out", root / "clean", *options)
    found = json.loads((tmp_path / "x.json").read_text())
    in_run = json.loads((run.path / "scores.json").read_text())
    assert found["s3"] == pytest.approx(in_run["frames"]["s3"], abs=1e-3)
    one = tmp_path / "out" / "s3_restored.tif"
    scored(one, root / "clean" / "s3.tif", *options[:1], root / "images" / "s3.tif", *options[2:])
    methods = json.loads((tmp_path / "x.json").read_text())["methods"]
    for name, scores in in_run["methods"].items():
        assert methods[name.replace("this network", "prediction")] == pytest.approx(scores, abs=1e-3)
    assert "truth read as clean images" in scored(one, root / "clean" / "s3.tif")


def test_files_that_cannot_be_scored(root: Path, tmp_path: Path) -> None:
    noisy, clean = root / "images", root / "clean"
    write_stack(tmp_path / "s3.tif", np.zeros((1, 9, 9), np.float32), spacing_um=None)
    assert "two files or two folders" in scored(noisy / "s3.tif", clean, "--scores", "psnr")
    assert "the sizes must agree" in scored(tmp_path / "s3.tif", clean / "s3.tif", "--scores", "psnr")
    assert "no partner" in scored(tmp_path, clean, "--scores", "psnr")
    wrong = CliRunner().invoke(cli, ["score", str(noisy), str(clean), "--region", "cell"])
    assert wrong.exit_code == 2
    assert "such as layer=10:40,0:200" in wrong.output


def test_a_noisy_file_of_other_pages_and_two_results_of_one_image_are_errors(tmp_path: Path) -> None:
    for name, pages in (("clean", 1), ("noisy", 2), ("out", 3)):
        (tmp_path / name).mkdir()
        pixels = np.stack([scene(page) for page in range(pages)]).astype(np.float32)
        write_stack(tmp_path / name / "a.tif", pixels, spacing_um=None, axes="TYX")
    options = [tmp_path / "out", tmp_path / "clean", "--noisy", tmp_path / "noisy"]
    assert "has 2 pages, but the restored file 3" in scored(*options)
    write_stack(tmp_path / "out" / "a_restored.tif", np.zeros((1, 64, 64), np.float32), spacing_um=None)
    assert "two files for one image" in scored(*options)
