"""The classical filters keep the image's shape, lessen its noise, and know how much there is."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from unetseg.evaluation.classical_filters import classical_filters, noise_level, non_local_means


def scene(seed: int) -> np.ndarray:
    """A bright disc on a dark ground, (48, 48), moved by the seed."""
    y, x = np.mgrid[:48, :48]
    return 50 + 150.0 * ((y - 20 - seed) ** 2 + (x - 24) ** 2 < 100)


def test_filters_keep_shape_and_lessen_noise() -> None:
    clean = np.stack([scene(0), scene(4)])
    noisy = (clean + np.random.default_rng(0).normal(0, 25, clean.shape)).astype(np.float32)
    for name, act in classical_filters().items():
        found = act(noisy)
        assert found.shape == noisy.shape, name
        assert ((found - clean) ** 2).mean() < 0.6 * ((noisy - clean) ** 2).mean(), name
        np.testing.assert_array_equal(found[:1], act(noisy[:1]))  # channel by channel


@pytest.mark.parametrize("sigma", [2.0, 25.0])
def test_the_noise_level_is_that_of_the_noise(sigma: float) -> None:
    y = np.linspace(0, 1000, 200)[:, None]
    noisy = (y + np.random.default_rng(0).normal(0, sigma, (200, 200))).astype(np.float32)
    assert noise_level(noisy) == pytest.approx(sigma, rel=0.02)


def test_the_noise_level_is_that_of_skimage() -> None:
    pytest.importorskip("pywt", reason="skimage's estimate needs PyWavelets")
    from skimage.restoration import estimate_sigma

    noisy = (scene(0) + np.random.default_rng(1).normal(0, 20, (48, 48))).astype(np.float32)
    assert noise_level(noisy) == pytest.approx(estimate_sigma(noisy), rel=0.1)


def test_non_local_means_needs_no_other_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywt", None)
    assert non_local_means(scene(0)[None]).shape == (1, 48, 48)
