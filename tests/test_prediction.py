"""One way to predict: every option means the same for every result, or is refused by name."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from conftest import Unetseg
from test_predict_progress import best as best
from test_streaming import pixels

from unetseg import api
from unetseg.images import open_image
from unetseg.images.marks import read_mark
from unetseg.images.ome_zarr import unfinished
from unetseg.images.tiff_pyramid import TiffPyramidStore
from unetseg.locks import locked
from unetseg.normalise import fit_normalisation, grey_value_note
from unetseg.pipeline.events import Note
from unetseg.pipeline.image_notes import image_notes
from unetseg.pipeline.predict_options import PredictOptions
from unetseg.pipeline.prediction import choose_targets, predict_target

FORMS = ("out.ome.zarr", "out.ome.tif", "out.tif", "out")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Two slices with a pixel size."""
    stack = np.stack([pixels(), pixels()[::-1]])
    known = {"axes": "ZYX", "spacing": 1.5, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(2.0, 2.0), metadata=known)
    return tmp_path / "a.tif"


def labels(out: Path) -> np.ndarray:
    if out.suffix == ".zarr":
        return np.asarray(zarr.open_array(out / "labels/labels/0", mode="r"))
    return tifffile.imread(out if out.is_file() else out / "a_labels.tif")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--mask", "mask.tif"),
        ("--skip-below", 100),
        ("--plane", "z1"),
        ("--scale", 0.5),
        ("--scale", 1.7, "--min-area", 20),
        ("--seed-threshold", "SEEDS", "--median-radius", 1),
        ("--seed-threshold", "SEEDS", "--min-seed-area", 6, "--grow", 2),
    ],
    ids=str,
)
def test_an_option_means_the_same_for_every_result(
    unetseg: Unetseg, best: Path, image: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...]
) -> None:
    monkeypatch.chdir(image.parent)
    mask = np.zeros((150, 133), np.uint8)
    mask[20:90, 30:133] = 1
    tifffile.imwrite("mask.tif", mask)
    plain = api.predict_large(api.load_model(best), image, tile=64)
    found, seeds = [], api.load_model(best).recipe.labels.threshold + 0.002
    options = tuple(seeds if option == "SEEDS" else option for option in options)
    for name in FORMS:
        done = unetseg("predict", best, image, "--out", name, "--tile", 64, *options)
        assert (done.code, done.err) == (0, ""), name
        found.append(labels(Path(name)).squeeze())
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    assert found[0].shape[-2:] == (150, 133)
    assert found[0].max() > 4
    if options:
        assert not np.array_equal(found[0], plain)
    else:
        np.testing.assert_array_equal(found[0], plain)


def test_dry_runs_write_nothing_and_notes_are_printed_for_every_result(
    unetseg: Unetseg, best: Path, image: Path
) -> None:
    before = sorted(image.parent.iterdir())
    for name in FORMS:
        done = unetseg("predict", best, image, "--out", image.parent / name, "--dry-run")
        assert (done.code, "tiles:" in done.out) == (0, True)
        assert sorted(image.parent.iterdir()) == before
        wrong = unetseg("predict", best, image, "--out", image.parent / name, "--rescale")
        assert "--rescale needs the pixel size of the training images" in wrong.err


@pytest.mark.parametrize("out", ["out", "out.ome.zarr"])
@pytest.mark.parametrize("method", ["training-set", "none"])
@pytest.mark.parametrize(("brighter", "notes"), [(1, 0), (16, 1)])
def test_an_image_of_another_range_of_grey_values_gives_a_note_that_names_it(
    best: Path, image: Path, out: str, method: Any, brighter: int, notes: int
) -> None:
    """As 12-bit images after a training on 8-bit ones, by the grey values of the training."""
    tifffile.imwrite(image.parent / "b.tif", pixels().astype(np.uint16) * brighter)
    model = api.load_model(best)
    rule = fit_normalisation(method, [pixels()[None]])
    model = replace(model, recipe=replace(model.recipe, normalisation=rule))
    options = PredictOptions()
    (target,) = choose_targets(model, [image.parent / "b.tif"], image.parent / out, options)
    found = [e.text for e in predict_target(model, target, options) if isinstance(e, Note)]
    assert len(found) == notes
    assert all("b.tif: bright pixels are about" in text for text in found)


def test_a_large_image_with_an_empty_middle_gives_no_note(best: Path, tmp_path: Path) -> None:
    large = np.resize(pixels(), (3000, 3000))
    large[500:2500, 500:2500] = 0
    tifffile.imwrite(tmp_path / "b.tif", large)
    rule = fit_normalisation("training-set", [pixels()[None]])
    recipe = replace(api.load_model(best).recipe, normalisation=rule)
    image = open_image(tmp_path / "b.tif")
    assert grey_value_note(rule, image.plane(0)[:, 1000:2000, 1000:2000]) is not None
    assert list(image_notes(recipe, image, resized=False)) == []


def test_pixels_are_not_read_for_a_note_that_cannot_come(best: Path, tmp_path: Path) -> None:
    """A model that takes the range of grey values from each image says nothing about it."""

    tifffile.imwrite(tmp_path / "b.tif", pixels())
    image, regions = open_image(tmp_path / "b.tif"), []

    def read(*region: Any) -> np.ndarray:
        regions.append(region)
        return image.read(*region)

    recipe = api.load_model(best).recipe
    assert recipe.normalisation.method == "per-image"
    assert list(image_notes(recipe, replace(image, read=read), resized=False)) == []
    assert regions == []


def test_names_that_are_no_text_are_one_error(unetseg: Unetseg, best: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"dish\xff.tif")
    for folder in ("images", "labels"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "data" / folder / name, (pixels() > 100).astype(np.uint8))
    image = tmp_path / "data" / "images" / name
    for command in (
        ("show", tmp_path / "data", "--out", tmp_path / "show.png"),
        ("train", "--data", tmp_path / "data", "--run", tmp_path / "run"),
        ("predict", best, image, "--out", tmp_path / "out"),
        ("predict", best, image.parent, "--out", tmp_path / "out"),
        ("score", tmp_path / "data" / "labels", tmp_path / "data" / "labels"),
        ("measure", tmp_path / "data" / "labels", "--out", tmp_path / "m.csv"),
    ):
        ended = unetseg(*command)
        assert ended.code == 2, command
        assert "dish\\udcff.tif: the name is not text in UTF-8" in ended.err
    assert {p.name for p in tmp_path.iterdir()} == {"best.pt", "data"}


@pytest.mark.parametrize(
    ("out", "option", "said"),
    [
        ("out", ["--workers", "2"], "--workers: several processes write an OME-Zarr"),
        ("out.ome.tif", ["--probabilities"], "--probabilities: an OME-TIFF only holds labels"),
        ("out.tif", ["--copy-image"], "--copy-image: needs an OME-Zarr"),
        ("out", ["--probability-type", "uint8"], "--probability-type: goes with --probabilities"),
        ("out.png", [], "labels cannot be written as .png"),
        ("out", ["--mask", "small.tif"], "the mask is 9×9 pixels"),
        ("out", ["--rescale", "--scale", "2"], "give only one of them"),
    ],
)
def test_what_a_result_does_not_take_is_refused_by_name(
    unetseg: Unetseg,
    best: Path,
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
    out: str,
    option: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(image.parent)
    tifffile.imwrite("small.tif", np.ones((9, 9), np.uint8))
    done = unetseg("predict", best, image, "--out", out, *option)
    assert done.code == 2
    assert said in done.err
    assert not Path(out).exists()


def test_images_of_one_name_are_an_error_and_wells_have_names_of_their_own(
    unetseg: Unetseg, best: Path, tmp_path: Path
) -> None:
    for name in ("plate.zarr/A/1/0", "plate.zarr/A/2/0", "day.1.zarr", "x/day.1.zarr"):
        zarr.save_array(tmp_path / name, pixels())
    wells = [tmp_path / "plate.zarr/A/1/0", tmp_path / "plate.zarr/A/2/0"]
    assert unetseg("predict", best, *wells, "--out", tmp_path / "w").code == 0
    assert sorted(p.name for p in (tmp_path / "w").iterdir()) == [
        "plate_A_1_0.ome.zarr",
        "plate_A_2_0.ome.zarr",
    ]
    twins = [tmp_path / "day.1.zarr", tmp_path / "x/day.1.zarr"]
    done = unetseg("predict", best, *twins, "--out", tmp_path / "v", "--overwrite")
    assert done.code == 2
    assert "both results would be" in done.err
    assert not (tmp_path / "v").exists()


def test_what_has_no_mark_is_left_alone(unetseg: Unetseg, best: Path, image: Path) -> None:
    """A user's own Zarr with an array named scratch, folders of the names used on the way, and files."""
    root = image.parent
    zarr.save_array(root / "mine.zarr/scratch", pixels())
    (root / "other.zarr.unfinished").mkdir()
    (root / "old.ome.zarr.old").mkdir()
    (root / "a_labels.tif").mkdir()
    tifffile.imwrite(root / "result.tif", pixels())
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    for name in ("mine.zarr", "other.zarr", "result.tif"):
        done = unetseg("predict", best, image, "--out", root / name, "--overwrite")
        assert done.code == 2
        assert "not a result of this command" in done.err or "was not made by this command" in done.err
    assert unetseg("predict", best, image, "--out", root / "old.ome.zarr").code == 0
    assert (
        unetseg("predict", best, image, "--out", root / "old.ome.zarr", "--min-area", 7, "--overwrite").code
        == 0
    )
    assert (root / "old.ome.zarr.old").is_dir()
    assert {p: p.read_bytes() for p in before} == before
    assert not list(root.glob(".*"))


def test_labels_saved_by_another_program_are_not_overwritten(
    unetseg: Unetseg, best: Path, image: Path
) -> None:
    out = image.parent / "result.tif"
    assert unetseg("predict", best, image, "--out", out).code == 0
    assert read_mark(out) is not None
    again = unetseg("predict", best, image, "--out", out)
    assert "already complete" in again.out
    other = unetseg("predict", best, image, "--out", out, "--min-area", 9)
    assert "min_area (3 → 9)" in other.err
    tifffile.imwrite(out, tifffile.imread(out))
    assert "not a result of this command" in unetseg("predict", best, image, "--out", out, "--overwrite").err


def test_an_ome_tiff_is_resumed_when_it_was_ended_while_it_was_written(
    unetseg: Unetseg, best: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = image.parent / "whole.ome.tif", image.parent / "out.ome.tif"
    assert unetseg("predict", best, image, "--out", whole).code == 0
    finish = TiffPyramidStore.finish
    for moment in ("write_tiff_pyramid", "discard"):

        def ended(*given: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(f"unetseg.images.tiff_pyramid.{moment}", ended)
            assert unetseg("predict", best, image, "--out", out, "--overwrite").code == 130
        assert unfinished(out).is_dir()
    assert TiffPyramidStore.finish is finish
    assert unetseg("predict", best, image, "--out", out).code == 0
    assert out.read_bytes() == whole.read_bytes()
    assert not unfinished(out).exists()


def test_a_second_process_gets_one_error(unetseg: Unetseg, best: Path, image: Path) -> None:
    for name in ("out.ome.zarr", "out.tif"):
        with locked(image.parent / name):
            done = unetseg("predict", best, image, "--out", image.parent / name)
        assert done.code == 2
        assert "is being written by process" in done.err
        assert done.err.count("\n") == 1


def test_pictures_of_every_result_and_names_with_dollars(unetseg: Unetseg, best: Path, image: Path) -> None:
    strange = image.with_name("a$_{x}$.tif")
    image.rename(strange)
    for name, picture in (("o.ome.zarr", "o.png"), ("o.ome.tif", "o.png"), ("f", "f/a$_{x}$_labels.png")):
        done = unetseg("predict", best, strange, "--out", strange.parent / name, "--pictures")
        assert (done.code, done.err) == (0, "")
        assert (strange.parent / picture).read_bytes()[:4] == b"\x89PNG"
    own = strange.parent / "p.png"
    own.write_text("mine")
    done = unetseg("predict", best, strange, "--out", strange.parent / "p.tif", "--pictures")
    assert "p.png: exists and is not a result" in done.err
    assert own.read_text() == "mine"
    assert json.dumps(read_mark(strange.parent / "o.png")) == '{"settings": {}}'
