"""Annotations as training data, and which image to annotate next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from unetseg import api
from unetseg.errors import UserError
from unetseg.images.whole import read_stack

DRAWN = np.zeros((64, 80), np.uint16)
DRAWN[4:9], DRAWN[20:29, 10:30], DRAWN[20:29, 30:50] = 1, 2, 3
IMAGE = np.random.default_rng(0).integers(0, 255, (1, *DRAWN.shape), np.uint8)


def annotated(folder: Path, drawn: np.ndarray = DRAWN) -> Path:
    return api.write_annotation(folder, "a", IMAGE, api.annotation_classes(drawn), (0.5, 0.5))


def test_touching_objects_are_kept_apart_by_background() -> None:
    classes = api.annotation_classes(DRAWN)
    assert_array_equal(classes[24, 26:34], [2, 2, 2, 1, 1, 2, 2, 2])
    assert_array_equal(np.unique(classes[10:18]), [0])
    assert_array_equal(np.unique(classes[4:9]), [1])


def test_what_zero_means_is_chosen_and_every_value_can_be_an_object() -> None:
    classes = api.annotation_classes(np.array([[0, 1, 1, 0, 2]]), zero="background", background=None)
    assert_array_equal(classes, [[1, 2, 2, 1, 2]])


def test_an_annotation_is_written_in_the_layout_of_a_project(tmp_path: Path) -> None:
    path = annotated(tmp_path)
    assert path == tmp_path / "labels" / "a.tif"
    assert_array_equal(np.squeeze(read_stack(path).pixels), api.annotation_classes(DRAWN))
    assert_array_equal(np.squeeze(read_stack(tmp_path / "images" / "a.tif").pixels), IMAGE[0])
    with pytest.raises(UserError, match="nothing is annotated"):
        annotated(tmp_path / "empty", np.zeros_like(DRAWN))
    assert not (tmp_path / "empty").exists()


def test_the_command_line_trains_the_same_experiment(tmp_path: Path) -> None:
    annotated(tmp_path)
    experiment = api.annotated_experiment(tmp_path, 40)
    assert api.read_experiment(tmp_path / "experiment.toml") == experiment
    assert (experiment.train.steps, experiment.train.crop) == (40, (64,))
    assert experiment.data.not_annotated == (0,)


@pytest.mark.parametrize(("value", "missing"), [(1, "no objects"), (2, "no background")])
def test_both_classes_must_be_annotated(tmp_path: Path, value: int, missing: str) -> None:
    annotated(tmp_path, DRAWN * np.isin(DRAWN, [value]))
    with pytest.raises(UserError, match=missing):
        api.annotated_experiment(tmp_path)
    assert not (tmp_path / "experiment.toml").exists()


def test_large_objects_are_downsampled_and_specks_dropped(tmp_path: Path) -> None:
    image, drawn = (np.kron(a, np.ones((4, 4), a.dtype)) for a in (IMAGE[0], DRAWN))
    api.write_annotation(tmp_path, "a", image[None], api.annotation_classes(drawn))
    experiment = api.annotated_experiment(tmp_path, diameter=100)
    assert experiment.data.downsample == 2
    assert experiment.labels.min_area == 785  # a tenth of a disk 100 pixels across
    assert experiment.train.crop == (96,)


def test_strokes_are_balanced_and_whole_pages_are_not(tmp_path: Path) -> None:
    annotated(tmp_path)
    assert api.annotated_experiment(tmp_path).target.balance
    whole = api.annotation_classes(DRAWN, zero="background", background=None)
    api.write_annotation(tmp_path, "b", IMAGE, whole)
    for start in ("", "nuclei"):
        assert not api.annotated_experiment(tmp_path, start_from=start).target.balance


def test_a_round_starts_from_a_model(tmp_path: Path) -> None:
    annotated(tmp_path)
    experiment, parent = api.annotated_experiment(tmp_path, start_from="nuclei"), api.load_model("nuclei")
    assert experiment.train.start_from == "nuclei"
    assert experiment.net["width"] == parent.recipe.net["width"]
    assert experiment.data.normalise == parent.recipe.normalisation.method
    assert experiment.data.object_diameter == 0  # strokes have no size
    assert experiment.train.learning_rate < api.annotated_experiment(tmp_path).train.learning_rate
