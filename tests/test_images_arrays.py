"""Arrays as images: any region of them is the array's, and its identity is that of its pixels."""

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.images.arrays import array_image


@pytest.mark.parametrize("shape", [(40, 30), (3, 40, 30)])
def test_a_region_is_that_of_the_array(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    image = array_image(array)
    assert image.shape == (shape[0] if len(shape) == 3 else 1, 40, 30)
    found = image.read(0, range(image.shape[0]), slice(5, 17), slice(0, 30))
    np.testing.assert_array_equal(found, array.reshape(-1, 40, 30)[:, 5:17])


def test_the_identity_changes_with_pixels_dtype_and_shape() -> None:
    array = np.zeros((40, 30), np.uint8)
    other = array.copy()
    other[0, 0] = 1
    every = [array, other, array.astype(np.uint16), array[:20]]
    assert len({array_image(a).identity for a in every}) == len(every)
    assert array_image(array).identity == array_image(array.copy()).identity


@pytest.mark.parametrize("shape", [(40,), (2, 3, 40, 30), (0, 30)])
def test_other_shapes_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"give \(y, x\) or \(c, y, x\)"):
        array_image(np.zeros(shape))
