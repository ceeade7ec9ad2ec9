"""The two nearest objects: sums of distances as the definition gives them, wherever lines are cut."""

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from unetseg import nearest
from unetseg.nearest import two_nearest


def scattered(shape: tuple[int, ...], count: int) -> Any:
    """Blocks of random sizes at random places; number 1 to count."""
    rng = np.random.default_rng(len(shape) + count)
    numbers = np.zeros(shape, np.int64)
    for number in range(1, count + 1):
        corner = rng.integers(0, shape)
        numbers[
            tuple(slice(c, c + n) for c, n in zip(corner, rng.integers(1, 12, len(shape)), strict=True))
        ] = number
    return numbers


def expected_sums(numbers: Any, sizes: Any) -> Any:
    objects = [k for k in np.unique(numbers) if k > 0]
    distances = [ndimage.distance_transform_edt(numbers != k, sampling=sizes) for k in objects]
    return np.sort(distances, axis=0)[:2].sum(0)


@pytest.mark.parametrize(
    ("shape", "count", "sizes"),
    [
        ((40, 700), 6, (1, 1)),
        ((300, 300), 40, (1, 1)),
        ((90, 280), 25, (1, 2)),
        ((20, 50, 60), 12, (2.5, 1, 1)),
    ],
)
@pytest.mark.parametrize(("lines", "stretch"), [(256, 128), (7, 5)])
def test_sums_below_the_reach_are_exact_and_all_there(
    shape: Any, count: int, sizes: Any, lines: int, stretch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "LINES", lines)
    monkeypatch.setattr(nearest, "STRETCH", stretch)
    numbers, reach = scattered(shape, count), 17.3
    expected = expected_sums(numbers, sizes)
    found, sums = two_nearest(numbers, numbers == 0, sizes, reach)
    inside = np.flatnonzero((numbers == 0) & (expected < reach))
    assert inside.size > 100
    assert np.isin(inside, found).all()
    sure = expected.flat[found] < reach
    np.testing.assert_allclose(sums[sure], expected.flat[found[sure]], rtol=1e-6)
    assert (sums[~sure] >= reach - 1e-6).all()


def test_far_objects_ask_for_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """One object within reach of every pixel: the second is looked for nowhere."""
    numbers = np.zeros((64, 1000), int)
    numbers[30, 100], numbers[30, 900] = 1, 2
    monkeypatch.delattr(nearest, "_second")
    found, _ = two_nearest(numbers, numbers == 0, (1, 1), 30)
    assert found.size == 0
