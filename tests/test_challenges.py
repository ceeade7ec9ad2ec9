"""A task's own scores on the frames of a test part, by hand and against the single functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import write

from unetseg.evaluation.challenges import challenge_scores, task_scores
from unetseg.images.whole import write_stack
from unetseg.run import Run
from unetseg.scores import score, standard_scores
from unetseg.settings import DataSettings, Experiment

TRUTH = np.zeros((120, 120), np.int32)
TRUTH[50:60, 50:60], TRUTH[65:69, 50:60] = 1, 2
FOUND = np.zeros_like(TRUTH)
FOUND[50:60, 50:60], FOUND[0:10, 0:10] = 5, 6
MARKERS = np.zeros((120, 120), np.uint16)
MARKERS[54:56, 54:56], MARKERS[66:68, 54:56] = 1, 2


def cell_tracking_run(root: Path, frames: list[str]) -> Run:
    for frame in frames:
        write(root / "02_GT" / "TRA" / f"man_track{frame}.tif", MARKERS)
    settings = DataSettings(task="cell-tracking", root=str(root), test=("02",))
    return Run.create(root.parent / "run", Experiment(data=settings))


def test_det_and_op_csb_join_seg_where_there_are_markers(tmp_path: Path) -> None:
    # one object of two found whole, one missed, one false alarm: DET = 1 - (10 + 1) / 20
    run = cell_tracking_run(tmp_path / "Cells", ["002", "005"])
    pairs = [("02/t002", TRUTH, FOUND), ("02/t005", TRUTH, FOUND)]
    found = task_scores(run, run.experiment.data, pairs)
    assert found == {"seg": 0.5, "det": pytest.approx(9 / 20), "op-csb": pytest.approx((0.5 + 9 / 20) / 2)}
    pairs.append(("02/t006", TRUTH, FOUND))
    assert task_scores(run, run.experiment.data, pairs) == {"seg": 0.5}  # a frame without markers


def test_known_data_sets_are_scored_inside_their_field_of_interest_too(tmp_path: Path) -> None:
    # the false alarm lies in the border of 50 pixels
    run = cell_tracking_run(tmp_path / "PhC-C2DH-U373", ["002"])
    found = task_scores(run, run.experiment.data, [("02/t002", TRUTH, FOUND)])
    assert found["det"] == pytest.approx(9 / 20)
    assert found["det-foi"] == 0.5
    assert found["seg-foi"] == 0.5
    assert found["op-csb-foi"] == 0.5


def test_volumes_are_scored_whole() -> None:
    truth, found = np.stack([TRUTH, 0 * TRUTH]), np.stack([FOUND, FOUND])
    assert challenge_scores([(truth, found)], []) == {"seg": (100 / 200 + 0) / 2}
    assert challenge_scores([(np.stack([TRUTH, TRUTH]), found)], []) == {"seg": 0.5}


def test_sections_are_scored_by_their_probability_maps(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Experiment(data=DataSettings(task="isbi-em", root=str(tmp_path))))
    rng = np.random.default_rng(0)
    cells = np.ones((2, 32, 32), np.int32)
    cells[:, 15:17] = 0
    maps = np.clip(cells * 0.6 + 0.4 * rng.random(cells.shape), 0, 1).astype(np.float32)
    pairs = []
    for z in range(2):
        name = f"train-volume[{z}]"
        write_stack(run.tested(f"{name}_probability"), maps[z][None], spacing_um=None)
        pairs.append((name, cells[z], cells[z]))
    found = task_scores(run, run.experiment.data, pairs)
    assert tuple(found) == standard_scores("probabilities")
    assert found == score(cells, maps, kind="probabilities")


def test_other_tasks_have_none(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Experiment(data=DataSettings(root=str(tmp_path))))
    assert task_scores(run, run.experiment.data, [("a", TRUTH, FOUND)]) == {}
