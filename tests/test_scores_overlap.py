"""The table of overlaps against counting pixel by pixel, and the values that it refuses."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.scores.overlap import (
    all_objects,
    annotated_objects,
    foreground_confusion,
    object_ious,
    overlap,
)

TRUTH = np.array([[1, 1, 1, 0], [9, 9, 0, 0], [-1, -1, 0, 0]])
PREDICTED = np.array([[4, 4, 0, 0], [4, 7, 7, 0], [7, 8, 0, 0]])


def test_the_table_counts_every_pair() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(-1, 5, (3, 20, 20)), rng.integers(0, 6, (3, 20, 20))
    table = overlap(truth, predicted)
    counted = Counter(zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True))
    rows = zip(table.truth.tolist(), table.predicted.tolist(), table.pixels.tolist(), strict=True)
    assert {(t, p): n for t, p, n in rows} == counted


@pytest.mark.parametrize("most", [2**31, 2**32 - 1, 2**63 - 1])
def test_ids_may_be_as_large_as_int64_holds(most: int) -> None:
    """Time and memory go with how many ids there are, not with how large they are."""
    truth, predicted = np.zeros((2, 50, 50), np.int64)
    truth[0, :4], predicted[0, :2], predicted[0, 2:4] = most, most, 70_000
    truth[1, 0] = -1
    table = overlap(truth, predicted)
    assert table.truth.tolist() == [-1, 0, most, most]
    assert table.predicted.tolist() == [0, 0, 70_000, most]
    assert table.pixels.tolist() == [1, 2495, 2, 2]


def test_objects_without_what_is_not_annotated() -> None:
    objects = annotated_objects(overlap(TRUTH, PREDICTED))
    assert objects.truth_ids.tolist() == [1, 9]
    assert objects.truth_areas.tolist() == [3, 2]
    assert objects.predicted_ids.tolist() == [4, 7]
    assert objects.predicted_areas.tolist() == [3, 2]
    assert objects.shared.toarray().tolist() == [[2, 0], [1, 1]]
    assert object_ious(objects).toarray().tolist() == [[2 / 4, 0], [1 / 4, 1 / 3]]


def test_objects_with_what_is_not_annotated_as_background() -> None:
    objects = all_objects(overlap(TRUTH, PREDICTED))
    assert objects.truth_areas.tolist() == [3, 2]
    assert objects.predicted_ids.tolist() == [4, 7, 8]
    assert objects.predicted_areas.tolist() == [3, 3, 1]


def test_foreground_confusion() -> None:
    assert foreground_confusion(overlap(TRUTH, PREDICTED)).tolist() == [[4, 1], [1, 4]]


def test_images_without_objects_or_pixels() -> None:
    for shape in ((2, 2), (0, 2)):
        objects = annotated_objects(overlap(np.zeros(shape, int), np.zeros(shape, int)))
        assert objects.shared.shape == (0, 0)


@pytest.mark.parametrize(
    ("truth", "predicted", "says"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), r"shape \(2, 3\) .* \(3, 2\)"),
        (np.zeros(2), np.zeros(2, int), "truth has dtype float64"),
        (np.zeros(2, int), np.zeros(2, bool), "prediction has dtype bool"),
        (np.array([-2]), np.array([0]), "ids from -2 to 0, allowed are -1"),
        (np.array([0]), np.array([-1]), "prediction has ids from -1"),
        (np.array([2**63], np.uint64), np.array([0]), "relabel"),
    ],
)
def test_refused(truth: np.ndarray, predicted: np.ndarray, says: str) -> None:
    with pytest.raises(UserError, match=says):
        overlap(truth, predicted)
