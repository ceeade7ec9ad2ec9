"""Two-class scores against hand-worked counts and scikit-learn."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.scores.binary import accuracy_of, auc, kappa_of, sensitivity_of, specificity_of
from unetseg.scores.overlap import class_confusion, overlap

# of 60 background pixels 50 are left alone, of 40 true pixels 30 are found
COUNTS = np.array([[50, 10], [10, 30]])


def test_hand_worked_values() -> None:
    assert sensitivity_of(COUNTS) == 30 / 40
    assert specificity_of(COUNTS) == 50 / 60
    assert accuracy_of(COUNTS) == 80 / 100
    # chance agreement: 0.6 * 0.6 + 0.4 * 0.4 = 0.52
    assert kappa_of(COUNTS) == pytest.approx((0.80 - 0.52) / 0.48)


def test_undefined_values() -> None:
    nothing = np.zeros((2, 2), int)
    background = np.array([[9, 0], [0, 0]])
    assert isnan(sensitivity_of(background))
    assert isnan(specificity_of(background.T[::-1, ::-1]))
    assert isnan(kappa_of(background))
    assert all(isnan(of(nothing)) for of in (accuracy_of, kappa_of))


def test_auc_counts_ties_half() -> None:
    # of the four pairs (true, background) three are in order, one is a tie
    assert auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8])) == 3.5 / 4
    assert auc(np.array([0, 1, 0, 1, 1]), np.full(5, 0.3)) == 0.5
    assert auc(np.array([0, 1, 1]), np.array([3, 2, 1])) == 0
    assert isnan(auc(np.array([1, 1]), np.array([0.1, 0.2])))


def test_only_pixels_inside_the_mask_count() -> None:
    scores = np.array([[0.1, 0.9], [0.4, np.nan]])
    true = np.array([[0, 0], [1, 1]])
    assert auc(true, scores, np.array([[True, False], [True, False]])) == 1


def test_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    true = rng.integers(0, 2, 2000)
    scores = np.round(np.clip(true * 0.3 + rng.random(2000), 0, 1), 2)
    counts = class_confusion(overlap(true, (scores > 0.6).astype(int)), 2)
    assert auc(true, scores) == pytest.approx(metrics.roc_auc_score(true, scores), abs=1e-12)
    assert kappa_of(counts) == pytest.approx(metrics.cohen_kappa_score(true, scores > 0.6))
    assert sensitivity_of(counts) == pytest.approx(metrics.recall_score(true, scores > 0.6))
    assert accuracy_of(counts) == pytest.approx(metrics.accuracy_score(true, scores > 0.6))


def test_refused() -> None:
    with pytest.raises(UserError, match="shapes differ"):
        auc(np.zeros(4), np.zeros(3))
    with pytest.raises(UserError, match="NaN"):
        auc(np.array([0, 1]), np.array([np.nan, 1]))
