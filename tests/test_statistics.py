"""Grey values read block by block give what the whole image gives."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetseg.normalise import Method, Normalisation
from unetseg.streaming.statistics import Blocks, mean_and_deviation, order_statistics, streamed_statistics

DTYPES = ["u1", "u2", "i2", "u4", "i4", "f4", "f8"]


def blocks_of(image: np.ndarray, size: int) -> Blocks:
    def blocks() -> Iterator[np.ndarray]:
        for y in range(0, image.shape[1], size):
            for x in range(0, image.shape[2], size):
                yield image[:, y : y + size, x : x + size]

    return blocks


def picture(dtype: str, seed: int, channels: int = 2) -> np.ndarray:
    values = np.random.default_rng(seed).normal(60, 25, (channels, 23, 31))
    return values.astype(dtype) if dtype[0] != "u" else np.abs(values).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 1000), size=st.integers(5, 40))
@settings(max_examples=15)
def test_order_statistics_are_those_of_sorting(dtype: str, seed: int, size: int) -> None:
    image = picture(dtype, seed)[:1] * (1 if dtype[0] in "u" else -1)
    ranks = [0, 3, 3, 355, 712]
    found = order_statistics(lambda: (b[0] for b in blocks_of(image, size)()), ranks)
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, np.sort(image.ravel())[ranks])


@pytest.mark.parametrize("dtype", DTYPES)
def test_mean_and_deviation_of_blocks(dtype: str) -> None:
    image = picture(dtype, 1)
    mean, deviation = mean_and_deviation(blocks_of(image, 7)())
    pixels = image.reshape(2, -1).astype(float)
    np.testing.assert_allclose(mean, pixels.mean(1), rtol=1e-12)
    np.testing.assert_allclose(deviation, pixels.std(1), rtol=1e-12)


@pytest.mark.parametrize("method", ["per-image", "percentile", "training-set", "none"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fitted_rule_normalises_as_the_rule_does(method: Method, dtype: str) -> None:
    image = picture(dtype, 2)
    rule = Normalisation(method, 2, (50.0, 40.0), (20.0, 10.0))
    fixed = streamed_statistics(rule, blocks_of(image, 10))
    np.testing.assert_allclose(fixed(image, "image"), rule(image, "image"), rtol=1e-6, atol=1e-6)
    if method != "none":
        np.testing.assert_allclose(
            fixed(image[:, :5], "part"), rule(image, "image")[:, :5], rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize("method", ["per-image", "percentile"])
def test_a_constant_image_becomes_zero(method: Method) -> None:
    image = np.full((1, 9, 9), 7, np.uint16)
    assert not streamed_statistics(Normalisation(method, 1), blocks_of(image, 4))(image, "image").any()
