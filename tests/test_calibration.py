"""Polynomial calibration: it recovers known distortions, rises, and improves the Brier score."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetseg.calibration import Reliability, calibrated, fit_calibration

STRAIGHT = (0.0, 1 / 3, 2 / 3, 1.0)


def outcomes(p: np.ndarray, truth: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(p.shape) < truth


@pytest.mark.parametrize("coefficients", [STRAIGHT, (0, 0, 0, 1), (0.1, 0.1, 0.5, 0.9)])
def test_a_known_cubic_is_found_again(coefficients: tuple[float, ...]) -> None:
    p = np.random.default_rng(1).random((600, 800)).astype(np.float32)
    truth = calibrated(np.stack([1 - p, p]), coefficients)[1]
    found = fit_calibration([(p[:300], outcomes(p, truth)[:300]), (p[300:], outcomes(p, truth)[300:])])
    np.testing.assert_allclose(found, coefficients, atol=0.02)


def test_the_prior_of_balanced_training_is_undone() -> None:
    """Bayes: trained on half foreground where a tenth is, p stands for p / (p + 9 (1 − p))."""
    p = np.random.default_rng(1).beta(0.4, 0.8, (500, 500)).astype(np.float32)
    truth = p / (p + 9 * (1 - p))
    seen = outcomes(p, truth)
    after = calibrated(np.stack([1 - p, p]), fit_calibration([(p, seen)]))[1]
    fresh = outcomes(p, truth, seed=5)
    assert abs(p.mean() - fresh.mean()) > 0.1
    assert abs(after.mean() - fresh.mean()) < 0.01
    assert ((after - fresh) ** 2).mean() < 0.8 * ((p - fresh) ** 2).mean()


@given(st.integers(0, 2**16), st.integers(1, 200))
def test_it_rises_and_stays_a_probability_whatever_the_truth(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    fit = fit_calibration([(rng.random(n).astype(np.float32), rng.random(n) < rng.random())])
    line = np.linspace(0, 1, 101, dtype=np.float32)
    values = calibrated(np.stack([1 - line, line]), fit)
    assert (np.diff(values[1]) >= -1e-6).all()
    assert values.min() >= 0
    np.testing.assert_allclose(values.sum(0), 1, atol=1e-6)


def test_without_a_fit_nothing_changes() -> None:
    p = np.random.default_rng(0).random((2, 4, 4)).astype(np.float32)
    assert calibrated(p, ()) is p


def test_the_expected_calibration_error_by_hand() -> None:
    """Bins of 0.2 with 2, 3 and 5 pixels: (2·|0 − 0.1| + 3·|2/3 − 0.5| + 5·|4/5 − 1|) / 10 = 0.17."""
    found = Reliability(bins=5)
    found.add(np.array([[0.05, 0.15], [0.5, 0.5]], np.float32), np.array([[False, False], [True, True]]))
    found.add(np.array([0.5, 1, 1, 1, 1, 1], np.float32), np.array([0, 1, 1, 1, 1, 0], bool))
    pixels, probability, frequency = found.curve()
    assert pixels.tolist() == [2, 3, 5]
    np.testing.assert_allclose(probability, [0.1, 0.5, 1], atol=1e-6)
    np.testing.assert_allclose(frequency, [0, 2 / 3, 0.8])
    assert found.error() == pytest.approx(0.17, abs=1e-6)
    assert Reliability().error() == 0
