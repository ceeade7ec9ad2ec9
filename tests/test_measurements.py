"""Measurements by hand, against skimage on the whole image, and the same whatever the window."""

import numpy as np
import pytest
from skimage.measure import regionprops

from unetseg.measurements import measure_objects


def blobs(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3)
    return 7 * ndimage.label(smooth > 0.02)[0]  # ids with gaps


def test_a_rectangle_by_hand() -> None:
    labels = np.zeros((10, 12), np.uint16)
    labels[2:6, 3:11] = 5
    image = np.stack([np.full((10, 12), 4.0), np.arange(120.0).reshape(10, 12)])
    found = measure_objects(labels, image, spacing_um=(0.5, 0.5))
    value = {name: column.item() for name, column in found.items()}
    assert value["id"] == 5
    assert (value["y_px"], value["x_px"], value["area_px"]) == (3.5, 6.5, 32)
    assert (value["y_um"], value["x_um"], value["area_um2"]) == (1.75, 3.25, 8.0)
    assert [value[f"{n}_px"] for n in ("y_start", "y_stop", "x_start", "x_stop")] == [2, 6, 3, 11]
    assert value["perimeter_um"] == pytest.approx(value["perimeter_px"] / 2)
    assert value["orientation_deg"] == pytest.approx(0)  # along x
    assert value["solidity"] == pytest.approx(1)
    assert not value["touches_border"]
    assert (value["mean_c1"], value["sum_c1"]) == (4, 128)
    assert (value["min_c2"], value["max_c2"]) == (27, 70)


def test_the_angle_is_counter_clockwise_from_x() -> None:
    rising = np.fliplr(np.eye(9, dtype=int))  # from the lower left to the upper right
    assert measure_objects(rising)["orientation_deg"] == pytest.approx(45)


@pytest.mark.parametrize("shape", [(60, 70), (12, 40, 44)])
def test_windows_change_nothing(shape: tuple[int, ...]) -> None:
    labels = blobs(shape)
    image = np.random.default_rng(1).normal(size=(2, *shape))
    spacing = (2.0, 0.5, 0.25)[-len(shape) :]
    whole = measure_objects(labels, image, spacing_um=spacing)
    small = measure_objects(labels, image, spacing_um=spacing, window=16)
    assert len(whole["id"]) >= 5
    assert list(whole) == list(small)
    for name in whole:
        np.testing.assert_allclose(small[name], whole[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_they_are_skimages_and_of_every_object() -> None:
    labels = blobs((80, 90), seed=3)
    found = measure_objects(labels, window=32)
    expected = regionprops(labels)
    assert found["id"].tolist() == [r.label for r in expected]
    np.testing.assert_allclose(found["perimeter_px"], [r.perimeter for r in expected])
    np.testing.assert_allclose(found["major_axis_px"], [r.axis_major_length for r in expected], atol=1e-6)
    touching = [min(r.bbox[:2]) == 0 or r.bbox[2] == 80 or r.bbox[3] == 90 for r in expected]
    assert found["touches_border"].tolist() == touching


def test_no_object_is_an_empty_table_of_the_same_columns() -> None:
    image = np.zeros((2, 5, 6))
    empty = measure_objects(np.zeros((5, 6), int), image, spacing_um=(1, 1))
    one = measure_objects(np.eye(5, 6, dtype=int), image, spacing_um=(1, 1))
    assert list(empty) == list(one)
    assert all(len(column) == 0 for column in empty.values())
