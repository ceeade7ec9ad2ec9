"""The generalised energy distance, by hand."""

import numpy as np
import pytest

from unetseg.scores.energy_distance import generalised_energy_distance

A, B, NONE = np.array([[1, 1, 0, 0]]), np.array([[0, 7, 7, 0]]), np.zeros((1, 4), int)


def test_by_hand() -> None:
    """d(A, B) = 1 − 1/3; against {A, B} a single A has 2·(0 + 2/3)/2 − 0 − (2/3)/2 = 1/3."""
    assert generalised_energy_distance([A, B], [A]) == pytest.approx(1 / 3)
    assert generalised_energy_distance([A, B], [B, A]) == pytest.approx(0)
    assert generalised_energy_distance([A], [B]) == pytest.approx(4 / 3)
    assert generalised_energy_distance([A], [NONE]) == pytest.approx(2)
    assert generalised_energy_distance([NONE], [NONE]) == 0
