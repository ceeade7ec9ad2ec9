"""Pixel scores against hand-worked arrays and scikit-learn."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.scores.overlap import class_confusion, overlap
from unetseg.scores.pixels import dice_of, iou_of, pixel_error_of

PREDICTED = np.array([[1, 1, 0], [2, 0, 0]])
TRUE = np.array([[1, 0, 0], [2, 2, 1]])


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int = 3) -> np.ndarray:
    return class_confusion(overlap(truth, predicted), classes)


def test_hand_worked_values() -> None:
    # class 1: one pixel in both, three in either; class 2: one in both, two in either.
    counts = confusion(TRUE, PREDICTED)
    assert counts.tolist() == [[1, 1, 0], [1, 1, 0], [1, 0, 1]]
    assert [iou_of(counts, c) for c in range(3)] == [1 / 4, 1 / 3, 1 / 2]
    assert dice_of(counts, 1) == 2 / 4
    assert pixel_error_of(counts) == 3 / 6


def test_pixels_that_are_not_annotated_do_not_count() -> None:
    annotated = np.array([[True, False, True], [True, True, False]])
    counts = confusion(np.where(annotated, TRUE, -1), PREDICTED)
    assert counts.sum() == 4
    assert iou_of(counts, 1) == 1
    assert dice_of(counts, 2) == 2 / 3
    assert pixel_error_of(counts) == 1 / 4


def test_a_class_in_neither_map_is_undefined_and_in_one_map_scores_zero() -> None:
    nothing = np.zeros((2, 3), int)
    assert isnan(iou_of(confusion(nothing, nothing), 1))
    assert isnan(dice_of(confusion(nothing, nothing), 1))
    assert isnan(pixel_error_of(confusion(nothing - 1, nothing)))
    assert iou_of(confusion(TRUE, nothing), 1) == iou_of(confusion(nothing, PREDICTED), 1) == 0
    assert dice_of(confusion(TRUE, nothing), 1) == 0


def test_added_matrices_score_as_the_images_laid_side_by_side() -> None:
    rng = np.random.default_rng(1)
    predicted, true = rng.integers(0, 3, (2, 4, 8, 8))
    pooled = sum(confusion(t, p) for p, t in zip(predicted, true, strict=True))
    np.testing.assert_array_equal(pooled, confusion(true, predicted))


def test_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    p, t = rng.integers(0, 4, (2, 500))
    counts = confusion(t, p, classes=4)
    assert (counts == metrics.confusion_matrix(t, p)).all()
    assert iou_of(counts, 3) == pytest.approx(metrics.jaccard_score(t == 3, p == 3))
    assert dice_of(counts, 3) == pytest.approx(metrics.f1_score(t == 3, p == 3))
    assert pixel_error_of(counts) == pytest.approx(1 - metrics.accuracy_score(t, p))


def test_a_class_out_of_range_is_refused() -> None:
    with pytest.raises(UserError, match="the true classes go up to 2, but with 2 classes 0 to 1 are allowed"):
        confusion(TRUE, PREDICTED, classes=2)
