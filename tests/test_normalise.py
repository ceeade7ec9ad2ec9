"""Grey values: every rule by hand, and images that have no contrast or other channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.normalise import Normalisation, fit_normalisation, grey_value_note

METHODS: list[Any] = ["per-image", "training-set", "percentile", "none"]
IMAGE = np.array([[[0, 4], [0, 4]]], np.uint8)
"""Mean 2, standard deviation 2."""


def test_per_image_by_hand() -> None:
    rule = fit_normalisation("per-image", [IMAGE])
    assert rule(IMAGE, "a").tolist() == [[[-1, 1], [-1, 1]]]
    assert rule(IMAGE * 9 + 3, "a").tolist() == [[[-1, 1], [-1, 1]]]


def test_channels_are_normalised_apart() -> None:
    both = np.concatenate([IMAGE, 10 * IMAGE])
    found = fit_normalisation("per-image", [both])(both, "a")
    assert found.tolist() == [[[-1, 1], [-1, 1]]] * 2


def test_the_training_set_by_hand() -> None:
    """Values 0, 4, 0, 4 and 8, 8: mean 4, mean square 160/6, variance 160/6 − 16 = 64/6."""
    rule = fit_normalisation("training-set", [IMAGE, np.array([[[8, 8]]], np.uint16)])
    assert rule.offset == (4.0,)
    assert rule.scale == pytest.approx((np.sqrt(64 / 6),))
    assert rule(np.array([[[4.0, 4 + np.sqrt(64 / 6)]]]), "a").tolist() == [[pytest.approx([0, 1])]]


def test_percentiles_by_hand() -> None:
    """Of 0…1000 the 1st percentile is 10 and the 99.8th 998."""
    image = np.arange(1001.0).reshape(1, 7, 143)
    found = fit_normalisation("percentile", [image])(image, "a").ravel()
    assert found[10] == pytest.approx(0, abs=1e-6)
    assert found[998] == pytest.approx(1)


def test_none_changes_nothing() -> None:
    assert fit_normalisation("none", [IMAGE])(IMAGE, "a").tolist() == IMAGE.tolist()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_every_dtype_becomes_finite_float32(method: Any, dtype: Any) -> None:
    image = np.array([[[0, 1], [1, 1]]]).astype(dtype)
    found = fit_normalisation(method, [image])(image, "a")
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


@pytest.mark.parametrize("method", ["per-image", "percentile", "training-set"])
@pytest.mark.parametrize("value", [0, 7, 0.1, -1e-3, 65535])
def test_a_constant_image_becomes_zero(method: Any, value: float) -> None:
    image = np.full((1, 50, 61), value, np.float32)
    found = fit_normalisation(method, [image])(image, "a")
    assert np.abs(found).max() < 1e-6


def test_a_faint_contrast_is_contrast() -> None:
    image = np.array([[[30000, 30001]]], np.uint16)
    assert fit_normalisation("per-image", [image])(image, "a").tolist() == [[[-1, 1]]]


def test_other_channels_than_in_training_are_an_error_that_names_the_image() -> None:
    rule = Normalisation("per-image", 1)
    with pytest.raises(UserError, match="cell 3: 3 channels, but 1 are expected"):
        rule(np.zeros((3, 4, 4)), "cell 3")


@pytest.mark.parametrize("method", METHODS)
def test_training_images_must_have_the_same_channels(method: Any) -> None:
    with pytest.raises(UserError, match="training images have 1 and 3 channels"):
        fit_normalisation(method, [np.zeros((1, 4, 4)), np.zeros((3, 4, 4))])


def test_a_percentile_of_few_bright_pixels_reaches_to_the_brightest() -> None:
    """999 zeros and one pixel of 60000: both percentiles are 0, and the pixel becomes 1, not 60000."""
    image = np.zeros((1, 10, 100), np.uint16)
    image[0, 4, 4] = 60000
    assert Normalisation("percentile", 1)(image, "a").max() == 1


@pytest.mark.parametrize(
    ("method", "factor", "expected"),
    [
        ("training-set", 1, None),
        ("training-set", 4, None),
        ("training-set", 40, "about 160, but were 4 to 16 in the training images"),
        ("training-set", 1 / 16, "about 0.25, but were 4 to 16 in the training images"),
        ("none", 40, "about 160, but were 4 to 16 in the training images"),
        ("none", 4, None),
        ("per-image", 40, None),
        ("percentile", 40, None),
    ],
)
def test_another_range_of_grey_values_gives_a_note(method: Any, factor: float, expected: str | None) -> None:
    """Of a training on images up to 4 and up to 16."""
    note = grey_value_note(fit_normalisation(method, [IMAGE, IMAGE * 4]), IMAGE * factor)
    assert note is None if expected is None else expected in str(note)
