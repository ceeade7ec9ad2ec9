"""An experiment derived from a folder: its layout, and sizes that follow from its objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import write

from unetseg.config import choose_fold, read_experiment, read_with_keys
from unetseg.errors import UserError
from unetseg.pipeline.auto import DERIVED, derive_experiment, resolve_file
from unetseg.pipeline.time_budget import MOST_STEPS
from unetseg.tasks.guess import guess_task


def make(root: Path, size: int, side: int, value: int = 1) -> Path:
    """Five images of two squares, with instance labels: ids differ from image to image."""
    for i in range(5):
        labels = np.zeros((size, size), np.uint16)
        labels[2 : 2 + side, 2 : 2 + side] = value
        labels[-2 - side : -2, -2 - side : -2] = value + i
        write(root / "images" / f"{i}.tif", np.zeros((size, size), np.uint8))
        write(root / "labels" / f"{i}.tif", labels)
    return root


def test_layouts(tmp_path: Path) -> None:
    (tmp_path / "lab" / "images").mkdir(parents=True)
    (tmp_path / "ctc" / "02_GT" / "SEG").mkdir(parents=True)
    (tmp_path / "ctc" / "02").mkdir()
    write(tmp_path / "em" / "train-volume.tif", np.zeros((2, 2), np.uint8))
    assert guess_task(tmp_path / "lab") == "folder"
    assert guess_task(tmp_path / "ctc") == "cell-tracking"
    assert guess_task(tmp_path / "em") == "isbi-em"


def test_a_folder_beside_the_right_one_points_to_it(tmp_path: Path) -> None:
    for name in ("set/images", "set/masks", "ctc/01", "ctc/01_GT", "other"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("set/images", "set/masks", "ctc/01", "ctc/01_GT"):
        with pytest.raises(UserError, match=f"Did you mean the folder above it, {(tmp_path / name).parent}"):
            guess_task(tmp_path / name)
    with pytest.raises(UserError, match="Did you mean one in it: set"):
        guess_task(tmp_path)
    with pytest.raises(UserError) as error:
        guess_task(tmp_path / "other")
    assert "Did you mean" not in str(error.value)


def test_objects_of_100_pixels_are_halved_and_specks_dropped(tmp_path: Path) -> None:
    found = derive_experiment(make(tmp_path / "my set 1.0", 300, 100, value=3)).experiment
    assert found.name == "my set 1.0"
    assert found.data.downsample == 2
    assert found.train.crop == (144,)  # the largest multiple of 16 in 300/2
    assert found.labels.min_area == 1000
    assert found.train.select_by == "panoptic-quality"


def test_small_objects_keep_their_pixels(tmp_path: Path) -> None:
    found = derive_experiment(make(tmp_path, 40, 6, value=2)).experiment
    assert (found.data.downsample, found.train.crop, found.labels.min_area) == (1, (32,), 3)


def test_the_crop_fits_the_smallest_of_many_images(tmp_path: Path) -> None:
    make(tmp_path, 300, 40)
    for i in range(5, 30):
        size = 100 if i == 13 else 300
        for folder in ("images", "labels"):
            write(tmp_path / folder / f"{i}.tif", np.zeros((size, size), np.uint8))
    assert derive_experiment(tmp_path).experiment.train.crop == (96,)


def test_images_too_small_for_the_network_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the images are 12 pixels on their smaller side; at least 16"):
        derive_experiment(make(tmp_path, 12, 3))


def experiment_file(root: Path, *lines: str) -> Path:
    path = root / "cells.toml"
    path.write_text("\n".join([f'name = "{root.name}"', "[data]", f'root = "{root}"', *lines]))
    return path


def test_a_file_that_says_nothing_is_the_experiment_of_its_folder(tmp_path: Path) -> None:
    root = make(tmp_path, 300, 100, value=3)
    by_file, by_folder = resolve_file(experiment_file(root)), derive_experiment(root)
    assert by_file == by_folder
    assert {line.split(" = ")[0] for line in by_file.derived} == DERIVED
    assert by_folder.experiment.labels.choose


def test_what_a_file_says_stays_and_the_rest_follows_from_it(tmp_path: Path) -> None:
    """With downsample = 1 the crop is that of 300 pixels; a net of depth 5 takes multiples of 32."""
    root = make(tmp_path, 300, 100, value=3)
    lines = ("downsample = 1", "[net]", "depth = 5", "[labels]", "min_area = 7", "[train]", "batch = 1")
    found = resolve_file(experiment_file(root, *lines))
    assert (found.experiment.data.downsample, found.experiment.train.crop) == (1, (256,))
    assert (found.experiment.labels.min_area, found.experiment.train.batch) == (7, 1)
    assert not any("downsample" in line or "min_area" in line for line in found.derived)
    assert resolve_file(experiment_file(root, "[train]", "minutes = 3")).experiment.train.steps == MOST_STEPS
    deeper = resolve_file(experiment_file(root, "[net]", "depth = 5")).experiment
    assert deeper.train.crop == (128,)


@pytest.mark.parametrize("key", ["channels", "classes", "seed"])
def test_what_the_data_decide_is_no_option_of_a_network(tmp_path: Path, key: str) -> None:
    root = make(tmp_path, 300, 100, value=3)
    with pytest.raises(UserError, match=rf"^net\.{key}: is not an option of a network"):
        resolve_file(experiment_file(root, "[net]", f"{key} = 2"))


def test_nothing_is_derived_from_the_test_part(tmp_path: Path) -> None:
    root = make(tmp_path, 300, 100, value=3)
    for folder in ("images", "labels"):
        write(root / folder / "4.tif", np.zeros((40, 40), np.uint8))
    assert resolve_file(experiment_file(root, 'test = ["4"]')).experiment.train.crop == (144,)


PUBLISHED = sorted((Path(__file__).parents[1] / "experiments").glob("*/*.toml"))


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_a_published_experiment_says_all_that_could_be_derived(path: Path) -> None:
    """So it means the same for `train` and `reproduce`, whatever is derived one day; no data are needed."""
    fold = next(iter(read_experiment(path).folds), None)
    assert resolve_file(path, fold=fold).derived == ()
    assert read_with_keys(path)[1] >= DERIVED
    assert resolve_file(path, fold=fold).experiment == choose_fold(read_experiment(path), fold)
