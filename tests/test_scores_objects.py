"""Object matching against hand-worked arrays and a dense Hungarian matching."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from unetseg.errors import UserError
from unetseg.scores.objects import Matching, match_objects, object_iou, pool
from unetseg.scores.overlap import annotated_objects, object_ious, overlap

EMPTY = np.zeros((1, 6), int)


def matching(truth: np.ndarray, predicted: np.ndarray, threshold: float = 0.5) -> Matching:
    return match_objects(annotated_objects(overlap(truth, predicted)), threshold)


def test_hand_worked_matching() -> None:
    # true 1 with 5: 2/4 = 0.5 matches; true 2 with 6: 1/2; true 3 is missed; 7 and 8 are false.
    truth = np.array([[1, 1, 1, 0, 2, 2, 3, 0, 0]])
    predicted = np.array([[0, 5, 5, 5, 6, 7, 0, 0, 8]])
    found = matching(truth, predicted)
    assert found == Matching(tp=2, fp=2, fn=1)
    assert found.precision == 2 / 4
    assert found.recall == 2 / 3
    assert found.f1 == 4 / 7
    assert found.average_precision == 2 / 5
    assert matching(truth, predicted, 0.51) == Matching(tp=0, fp=4, fn=3)
    ids, ious = object_iou(truth, predicted)
    assert ids.tolist() == [1, 2, 3]
    assert ious.tolist() == [0.5, 0.5, 0]


def test_matching_is_one_to_one_and_not_greedy() -> None:
    # 9 fits true 1 best (3/5), but only with 1-8 and 2-9 do both true objects get a match.
    truth = np.array([[1, 1, 1, 1, 2, 2]])
    predicted = np.array([[8, 9, 9, 9, 9, 0]])
    assert object_iou(truth, predicted)[1].tolist() == [3 / 5, 0]
    assert matching(truth, predicted, 0.2) == Matching(tp=2, fp=0, fn=0)
    both = np.full((1, 6), 4)
    assert object_iou(truth, both)[1].tolist() == [4 / 6, 0]


def test_pixels_that_are_not_annotated_do_not_count() -> None:
    truth = np.array([[1, 1, -1, -1, -1, 0]])
    predicted = np.array([[5, 5, 5, 0, 7, 0]])
    assert object_iou(truth, predicted)[1].tolist() == [1]
    assert matching(truth, predicted) == Matching(tp=1, fp=0, fn=0)


def test_frames_without_objects() -> None:
    one = np.array([[1, 1, 0, 0, 0, 0]])
    assert object_iou(EMPTY, one)[1].tolist() == []
    assert object_iou(one, EMPTY)[1].tolist() == [0]
    assert isnan(matching(EMPTY, EMPTY).f1)
    assert matching(EMPTY, one) == Matching(tp=0, fp=1, fn=0)
    assert matching(EMPTY, one).f1 == 0
    assert isnan(matching(EMPTY, one).recall)
    assert isnan(matching(one, EMPTY).precision)


def test_counts_pool_by_adding() -> None:
    assert pool([Matching(1, 2, 3), Matching(4, 0, 1)]) == Matching(5, 2, 4)
    assert pool([]) == Matching(0, 0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_dense_hungarian_matching(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 12, (30, 4)), rng.integers(0, 15, (30, 4))
    truth, predicted = (np.repeat(labels, 5, axis=1) for labels in (truth, predicted))
    dense = object_ious(annotated_objects(overlap(truth, predicted))).toarray()
    best = dense[linear_sum_assignment(dense, maximize=True)].sum()
    assert object_iou(truth, predicted)[1].sum() == pytest.approx(best, abs=1e-12)
    for threshold in (0.05, 0.1, 0.12):
        good = dense >= threshold
        tp = good[linear_sum_assignment(good, maximize=True)].sum()
        assert matching(truth, predicted, threshold).tp == tp > 0


def test_shifted_tiles_match_the_tile_that_they_came_from() -> None:
    truth = np.kron(np.arange(49).reshape(7, 7), np.ones((10, 10), int))
    predicted = np.roll(truth, 2, axis=1)
    _, ious = object_iou(truth, predicted)
    expected = [
        np.sum((truth == k) & (predicted == k)) / np.sum((truth == k) | (predicted == k))
        for k in range(1, 49)
    ]
    assert ious.tolist() == expected


def test_a_threshold_out_of_range_is_refused() -> None:
    for threshold in (0.0, 1.1):
        with pytest.raises(UserError, match=r"not in \(0, 1\]"):
            matching(EMPTY, EMPTY, threshold)
