"""DRIVE's layout: classes inside the field of view, nothing outside; its scores are pooled there."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import write

from unetseg.errors import UserError
from unetseg.evaluation.by_kind import score_pairs
from unetseg.evaluation.challenges import task_scores
from unetseg.run import Run
from unetseg.sample import make_example
from unetseg.settings import DataSettings, Experiment, TargetSettings
from unetseg.tasks import list_task
from unetseg.tasks.listing import split

SETTINGS = DataSettings(task="drive", train=("train[0:2]",), validate=("train[2:3]",), test=("test",))
INSIDE = np.zeros((4, 5), bool)
INSIDE[1:, 1:] = True


def make(root: Path) -> Path:
    for part, names in (("train", ("21", "22", "23")), ("test", ("01", "02"))):
        for k, name in enumerate(names):
            vessels = np.zeros((4, 5), np.uint8)
            vessels[1, :3] = vessels[0, 0] = 255
            write(root / part / "labels" / f"{name}.tif", vessels)
            (root / part / "images").mkdir(exist_ok=True)
            photograph = np.full((4, 5, 3), 10 * k, np.uint8)
            tifffile.imwrite(root / part / "images" / f"{name}.tif", photograph, photometric="rgb")
            write(root / part / "fov" / f"{name}.tif", (255 * INSIDE).astype(np.uint8))
    return root


def test_classes_inside_the_field_of_view_and_no_weight_outside(tmp_path: Path) -> None:
    found = list_task(make(tmp_path), SETTINGS)
    assert (found.kind, found.classes) == ("classes", 2)
    assert [e.name for e in found.entries] == ["train/21", "train/22", "train/23", "test/01", "test/02"]
    sample = found.entries[1].read()
    assert sample.image.shape == (3, 4, 5)
    expected = np.full((4, 5), -1)
    expected[INSIDE] = 0
    expected[1, 1:3] = 1
    np.testing.assert_array_equal(sample.labels, expected)
    weights = np.ones(2, np.float32)
    example = make_example(sample, sample.image.astype(np.float32), TargetSettings(), weights)
    np.testing.assert_array_equal(example.weight, INSIDE)
    parts = split(found, SETTINGS)
    assert [[e.name for e in p] for p in (parts.train, parts.validate, parts.test)] == [
        ["train/21", "train/22"], ["train/23"], ["test/01", "test/02"],
    ]  # fmt: skip


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has neither train/ nor test/"):
        list_task(tmp_path, SETTINGS)
    found = list_task(make(tmp_path), SETTINGS)
    write(tmp_path / "train" / "fov" / "21.tif", np.ones((3, 3), np.uint8))
    with pytest.raises(UserError, match="same size"):
        found.entries[0].read()
    (tmp_path / "train" / "fov" / "22.tif").unlink()
    with pytest.raises(UserError, match=r"fov/22.tif: no such file"):
        found.entries[1].read()


def test_scores_hand_worked_inside_the_field_of_view(tmp_path: Path) -> None:
    """Two images of 12 pixels inside, 4 vessel pixels: 3 found, 1 false; outside everything is wrong."""
    experiment = Experiment(data=DataSettings(task="drive", root=str(tmp_path)))
    run, found = Run.create(tmp_path / "run", experiment), list_task(make(tmp_path), SETTINGS)
    pairs = []
    for k, entry in enumerate(found.entries[3:]):
        truth = np.asarray(entry.read().labels)
        probability = np.where(INSIDE, 0.1, 0.9).astype(np.float32)
        probability[1, 1], probability[1, 2] = 0.8, (0.3, 0.7)[k]
        probability[3, 4] = (0.6, 0.2)[k]
        write(run.tested(f"{entry.name}_probability"), probability[None])
        pairs.append((entry.name, truth, (probability > 0.5).astype(np.uint8)))
    own = task_scores(run, experiment.data, pairs)
    assert own["sensitivity"] == 3 / 4
    assert own["specificity"] == 19 / 20
    assert own["accuracy"] == 22 / 24
    expected = (22 / 24 - (4 * 4 + 20 * 20) / 24**2) / (1 - (4 * 4 + 20 * 20) / 24**2)
    assert own["kappa"] == pytest.approx(expected)
    assert own["auc"] == pytest.approx(1 - 1 / 80)  # of 4·20 pairs one is the wrong way round: 0.3 below 0.6
    assert score_pairs(pairs, "classes", 2, ["accuracy"]).pooled == [22 / 24]


@pytest.mark.data
def test_the_real_data_have_the_published_share_of_vessels(data_root: Path) -> None:
    """20 and 20 images; about 12.7 % of the pixels in the test images' fields of view are vessels."""
    found = list_task(data_root / "DRIVE", SETTINGS)
    assert [sum(e.group == part for e in found.entries) for part in ("train", "test")] == [20, 20]
    labels = np.stack([np.asarray(e.read().labels) for e in found.entries if e.group == "test"])
    assert (labels == 1).sum() / (labels >= 0).sum() == pytest.approx(0.127, abs=0.002)
