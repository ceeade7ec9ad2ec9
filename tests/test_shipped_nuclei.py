"""The shipped model on synthetic nuclei: any size, grey-value range and polarity."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from unetseg import api


def nuclei(diameter: int) -> NDArray[Any]:
    """Truth of 9 disks, three of their diameters apart."""
    step = 3 * diameter
    y, x = np.mgrid[: 3 * step, : 3 * step]
    inside = (y % step - step // 2) ** 2 + (x % step - step // 2) ** 2 < (diameter / 2) ** 2
    return np.where(inside, 1 + y // step * 3 + x // step, 0).astype(np.int32)


@pytest.mark.parametrize("diameter", [10, 24, 60])
@pytest.mark.parametrize(("low", "high"), [(3.0, 40.0), (52000.0, 9000.0)], ids=["bright", "dark"])
def test_nuclei_of_any_size_and_contrast_are_found(diameter: int, low: float, high: float) -> None:
    truth = nuclei(diameter)
    smooth = gaussian_filter((truth > 0).astype(float), diameter / 12)
    noise = np.random.default_rng(0).normal(0, 0.02, truth.shape)
    image = low + (high - low) * (smooth + noise)
    found = api.predict(api.load_model("nuclei"), image.astype(np.float32)).labels
    assert api.score([truth], [found], ["f1"])["f1"] > 0.9
