"""Truth of some objects only: detected, reported, and learnt without taking the others for background."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Unetseg, write

from unetseg.cli import cli
from unetseg.config import read_experiment
from unetseg.errors import UserError
from unetseg.pipeline.dataset import read_dataset
from unetseg.sample import Sample, learnt_labels
from unetseg.settings import DataSettings, Experiment
from unetseg.tasks import list_task
from unetseg.tasks.coverage import coverage_note, unlabelled_objects

NET = {"name": "unet", "width": 2, "depth": 1, "padding": "same", "norm": "batch", "dropout": 0.0}


def cells(count: int = 16, labelled: int = 16, dark: bool = False) -> Sample:
    """An image of bright discs on a grid, of which the first ones are labelled."""
    y, x = np.mgrid[:96, :96]
    labels = np.zeros((96, 96), np.int32)
    for k in range(count):
        labels[(y - 12 - 24 * (k // 4)) ** 2 + (x - 12 - 24 * (k % 4)) ** 2 < 50] = k + 1
    noise = np.random.default_rng(0).integers(0, 20, labels.shape)
    grey = np.where(labels > 0, 120, 20) + noise
    image = (255 - grey if dark else grey).astype(np.uint8)
    return Sample("a", image[None], np.where(labels <= labelled, labels, 0))


@pytest.mark.parametrize("dark", [False, True])
def test_objects_without_labels_are_counted(dark: bool) -> None:
    assert unlabelled_objects(cells(16, 16, dark)) == (16, 0)
    assert unlabelled_objects(cells(16, 3, dark)) == (3, 13)


def test_the_note_names_the_images_and_the_setting() -> None:
    assert coverage_note([cells(16, 16)] * 3) == ""
    assert coverage_note([cells(16, 15)]) == ""
    note = coverage_note([cells(16, 3)])
    assert "only some objects (a 3 of about 16)" in note
    assert "data.partly_annotated = true" in note
    for command in ("show", "train", "score"):
        assert "--partly-annotated" in note
        assert command in note
        assert "--partly-annotated" in {o for p in cli.commands[command].params for o in p.opts}


def test_nothing_is_said_where_brightness_does_not_show_the_objects() -> None:
    sample = cells(16, 3)
    noise = np.random.default_rng(1).integers(0, 255, sample.image.shape).astype(np.uint8)
    assert unlabelled_objects(Sample("a", noise, sample.labels)) is None
    assert unlabelled_objects(Sample("a", sample.image, np.zeros_like(sample.labels))) is None


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels.astype(np.uint16), photometric="minisblack")


@pytest.fixture
def challenge(tmp_path: Path) -> Path:
    """Two frames with gold truth of 3 and 15 of 16 cells, silver truth of all, and no markers."""
    for frame, labelled in (("000", 3), ("001", 15)):
        sample = cells(16, labelled)
        assert sample.labels is not None
        save(tmp_path / "01" / f"t{frame}.tif", sample.image[0])
        save(tmp_path / "01_GT" / "SEG" / f"man_seg{frame}.tif", sample.labels)
        save(tmp_path / "01_ST" / "SEG" / f"man_seg{frame}.tif", np.asarray(cells().labels))
    return tmp_path


def test_gold_truth_is_measured_against_silver_truth_where_there_are_no_markers(challenge: Path) -> None:
    entries = list_task(challenge, DataSettings(task="cell-tracking", truth="gold")).entries
    partial, whole = (np.asarray(e.read().labels) for e in entries)
    assert set(np.unique(partial)) == {-1, 1, 2, 3}
    assert set(np.unique(whole)) == {0, *range(1, 16)}
    silver = list_task(challenge, DataSettings(task="cell-tracking", truth="silver")).entries[0].read().labels
    assert silver is not None
    assert silver.min() == 0


def test_only_what_is_annotated_is_learnt_with_the_rims_as_background(challenge: Path) -> None:
    data = DataSettings(
        task="cell-tracking", root=str(challenge), truth="gold", train=("01",), partly_annotated=True
    )
    found = read_dataset(Experiment(data=data, net={**NET}))
    assert any("partly annotated: 01/t000" in n for n in found.notes)
    example = found.examples[0]
    truth = np.asarray(cells(16, 3).labels) > 0
    known = example.weight > 0
    assert known[truth].all()
    assert set(np.unique(example.target[known])) == {0, 1}
    others = (np.asarray(cells().labels) > 0) & ~truth
    assert not known[others].any()


def test_background_near_the_edge_is_not_learnt_and_the_truth_to_score_by_stays(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / "images" / f"{name}.tif", np.asarray(cells().image[0]))
        save(tmp_path / "labels" / f"{name}.tif", np.asarray(cells().labels))
    parts = {"train": ("a",), "validate": ("b",)}
    data = DataSettings(root=str(tmp_path), **parts, unannotated_border=20, downsample=2)
    found = read_dataset(Experiment(data=data, net={**NET}))
    learnt = np.argwhere((found.examples[0].weight > 0) & (found.examples[0].target == 0))
    assert (learnt.min(), learnt.max()) == (10, 37)
    assert (np.asarray(found.validate[0].labels) >= 0).all()


def test_a_rim_is_added_only_where_no_background_is_annotated() -> None:
    labels = np.array([[-1, -1, -1, 7, -1, -1, -1]], np.int32)
    image = np.zeros((1, *labels.shape), np.uint8)
    assert learnt_labels(Sample("a", image, labels)).tolist() == [[-1, 0, 0, 7, 0, 0, -1]]
    labels[0, 0] = 0
    assert learnt_labels(Sample("a", image, labels)).tolist() == labels.tolist()


def folder_of_few(root: Path) -> Path:
    """Three images of 16 cells, of which 3 are annotated."""
    for name in "abc":
        sample = cells(16, 3)
        assert sample.labels is not None
        write(root / "images" / f"{name}.tif", sample.image[0])
        write(root / "labels" / f"{name}.tif", sample.labels.astype(np.uint16))
    return root


def test_the_option_of_train_and_show_is_the_setting(unetseg: Unetseg, tmp_path: Path) -> None:
    root = folder_of_few(tmp_path / "few")
    file = tmp_path / "few.toml"
    file.write_text(f'[data]\ntask = "folder"\nroot = "{root.as_posix()}"\n')
    out, run = tmp_path / "show.png", tmp_path / "run"
    for data in (root, file):
        assert "give --partly-annotated" in unetseg("show", data, "--out", out).out
        partly = unetseg("show", data, "--out", out, "--partly-annotated")
        assert "partly annotated: a, b, c" in partly.out
        assert "give --partly-annotated" not in partly.out
    assert unetseg("train", "--data", root, "--run", run, "--steps", 1, "--partly-annotated").code == 0
    assert read_experiment(run / "experiment.toml").data.partly_annotated
    refused = unetseg("train", "--resume", run, "--partly-annotated")
    assert "--resume continues a run as it was started" in refused.err


def test_classes_have_a_value_for_it_instead(tmp_path: Path) -> None:
    stripes = np.tile(np.repeat([0, 1, 2, 1, 2, 0], 4), (24, 1))
    save(tmp_path / "images" / "a.tif", stripes)
    save(tmp_path / "labels" / "a.tif", stripes)
    with pytest.raises(UserError, match=r"data\.partly_annotated is for objects.*not_annotated = \[0\]"):
        list_task(tmp_path, DataSettings(partly_annotated=True))
    with pytest.raises(UserError, match=r"data\.unannotated_border is for objects"):
        list_task(tmp_path, DataSettings(unannotated_border=5))


@pytest.mark.data
@pytest.mark.parametrize("keep", [1, 5])
def test_nuclei_are_whole_and_a_fifth_of_them_is_not(data_root: Path, keep: int) -> None:
    root = data_root / "nuclei-dsb2018"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    samples = [e.read() for e in list_task(root, DataSettings(root=str(root))).entries[::10]]
    few = [Sample(s.name, s.image, np.where(np.asarray(s.labels) % keep == 0, s.labels, 0)) for s in samples]
    assert ("cover only some objects" in coverage_note(few)) == (keep > 1)
