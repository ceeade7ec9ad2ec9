"""Pixel scores against hand-worked arrays and scikit-learn."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.scores.pixels import confusion, dice, dice_of, iou, iou_of, pixel_error, pixel_error_of

PREDICTED = np.array([[1, 1, 0], [2, 0, 0]], np.uint8)
TRUE = np.array([[1, 0, 0], [2, 2, 1]], np.uint8)


def test_hand_worked_values() -> None:
    # class 1: one pixel in both, three in either; class 2: one in both, two in either.
    assert confusion(TRUE, PREDICTED, classes=3).tolist() == [[1, 1, 0], [1, 1, 0], [1, 0, 1]]
    assert iou(TRUE, PREDICTED) == 1 / 3
    assert iou(TRUE, PREDICTED, 2) == 1 / 2
    assert iou(TRUE, PREDICTED, 0) == 1 / 4
    assert dice(TRUE, PREDICTED) == 2 / 4
    assert pixel_error(TRUE, PREDICTED) == 3 / 6


def test_pixels_that_are_not_annotated_do_not_count() -> None:
    annotated = np.array([[True, False, True], [True, True, False]])
    assert confusion(TRUE, PREDICTED, annotated, classes=3).sum() == 4
    assert iou(TRUE, PREDICTED, 1, annotated) == 1
    assert dice(TRUE, PREDICTED, 2, annotated) == 2 / 3
    assert pixel_error(TRUE, PREDICTED, annotated) == 1 / 4


def test_a_class_in_neither_map_is_undefined_and_in_one_map_scores_zero() -> None:
    nothing = np.zeros((2, 3), np.uint8)
    assert isnan(iou(nothing, nothing))
    assert isnan(dice(nothing, nothing))
    assert isnan(pixel_error(nothing, nothing, np.zeros((2, 3), bool)))
    assert iou(TRUE, nothing) == iou(nothing, PREDICTED) == dice(TRUE, nothing) == 0


def test_added_matrices_score_as_the_images_laid_side_by_side() -> None:
    rng = np.random.default_rng(1)
    predicted, true = rng.integers(0, 3, (2, 4, 8, 8))
    pooled = sum(confusion(t, p, classes=3) for p, t in zip(predicted, true, strict=True))
    assert iou_of(pooled, 2) == iou(true, predicted, 2)
    assert dice_of(pooled, 1) == dice(true, predicted, 1)
    assert pixel_error_of(pooled) == pixel_error(true, predicted)


def test_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    p, t = rng.integers(0, 4, (2, 500))
    assert (confusion(t, p, classes=4) == metrics.confusion_matrix(t, p)).all()
    assert iou(t, p, 3) == pytest.approx(metrics.jaccard_score(t == 3, p == 3))
    assert dice(t, p, 3) == pytest.approx(metrics.f1_score(t == 3, p == 3))
    assert pixel_error(t, p) == pytest.approx(1 - metrics.accuracy_score(t, p))


def test_refused() -> None:
    with pytest.raises(UserError, match=r"true \(2, 3\), predicted \(3, 2\)"):
        iou(TRUE, PREDICTED.T)
    with pytest.raises(UserError, match="true classes go from 0 to 2"):
        confusion(TRUE, PREDICTED, classes=2)
    with pytest.raises(UserError, match="argmax"):
        pixel_error(TRUE, PREDICTED.astype(float))
    with pytest.raises(UserError, match="give a boolean array"):
        dice(TRUE, PREDICTED, annotated=TRUE)
