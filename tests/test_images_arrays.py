"""Arrays as images: any region of them is the array's, and its identity is that of its pixels."""

from typing import Any

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.images.arrays import array_image, array_stack


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


class Counted:
    """A zero array that counts the pixels that are read of it."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.dtype, self.read = shape, np.dtype(np.uint8), 0

    def __getitem__(self, index: Any) -> np.ndarray:
        found = np.broadcast_to(np.uint8(0), self.shape)[index]
        self.read += found.size
        return found


def test_a_stack_is_opened_by_a_few_rows_however_many_planes_it_has() -> None:
    stack = Counted(500, 4000, 3000)
    image = array_stack(stack)
    assert (len(image.planes), image.shape) == (500, (1, 4000, 3000))
    assert stack.read <= 2 * 16 * 3000


@pytest.mark.parametrize(("shape", "axis"), [((5, 40, 30), None), ((5, 2, 40, 30), 1), ((40, 30, 3), -1)])
def test_a_stack_has_the_arrays_planes_and_an_identity_of_its_pixels(
    shape: tuple[int, ...], axis: int | None
) -> None:
    array = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    image = array_stack(array, axis)
    channels_first = array[:, None] if axis is None else np.moveaxis(array, axis, -3)
    planes = channels_first.reshape(-1, *channels_first.shape[-3:])
    assert len(image.planes) == len(planes)
    for number, plane in enumerate(planes):
        np.testing.assert_array_equal(image.plane(number)[...], plane)
    other = array.copy()
    other[(-1,) * array.ndim] += 1
    assert array_stack(other, axis).identity != image.identity
    assert array_stack(array.copy(), axis).identity == image.identity
