"""Samples: shrinking and enlarging keep what they should, labels are voted, classes are counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetseg.errors import UserError
from unetseg.sample import (
    Sample,
    count_classes,
    enlarge,
    make_example,
    shrink_image,
    shrink_sample,
    target_classes,
    without_border,
)
from unetseg.settings import TargetSettings
from unetseg.targets import separate_touching

FACTORS = st.integers(1, 5)
SIZES = st.lists(st.integers(1, 23), min_size=2, max_size=3).map(tuple)


def labelled(labels: object, kind: Any = "instances") -> Sample:
    array = np.array(labels, np.int32)
    return Sample("a", np.zeros((1, *array.shape), np.uint8), array, kind=kind)


# Shrinking and enlarging --------------------------------------------------------------------------


@given(SIZES, FACTORS)
def test_a_constant_stays_constant(size: tuple[int, ...], factor: int) -> None:
    image = np.full((2, *size), 0.25, np.float32)
    small = shrink_image(image, factor)
    assert small.shape == (2, *size[:-2], *(-(-n // factor) for n in size[-2:]))
    assert np.abs(small - 0.25).max() == 0
    large = enlarge(small.astype(np.float32), size, factor)
    assert large.shape == image.shape
    assert np.abs(large - 0.25).max() < 1e-6


@given(st.integers(4, 12), st.integers(4, 12), st.integers(2, 5))
def test_a_ramp_comes_back_away_from_the_border(height: int, width: int, factor: int) -> None:
    """Block means sit at block centres, and between those enlarging is linear: no shift by half a pixel."""
    size = (factor * height, factor * width)
    y, x = np.indices(size, np.float32)
    ramp = np.stack([y, x, 2 * y - 3 * x])
    back = enlarge(shrink_image(ramp, factor).astype(np.float32), size, factor)
    inside = (slice(None), slice(factor, -factor), slice(factor, -factor))
    np.testing.assert_allclose(back[inside], ramp[inside], atol=1e-3)


def test_block_means_by_hand_with_an_odd_edge_mirrored() -> None:
    image = np.array([[[0, 2, 5], [4, 6, 7]]], np.uint8)
    assert shrink_image(image, 2).tolist() == [[[3, 6]]]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_block_means_of_any_dtype(dtype: Any) -> None:
    image = np.array([[[0, 1], [0, 1]]]).astype(dtype)
    assert shrink_image(image, 2).tolist() == [[[0.5]]]


def test_a_factor_of_1_changes_nothing() -> None:
    image = np.ones((1, 2, 2), np.uint8)
    probabilities = np.ones((2, 2, 2), np.float32)
    assert shrink_image(image, 1) is image
    assert enlarge(probabilities, (2, 2), 1) is probabilities


def test_labels_go_by_majority_and_the_first_wins_a_tie() -> None:
    labels = [
        [1, 1, 2, 3, 5],
        [1, 2, 3, 2, 5],
        [0, -1, 0, 7, 0],
        [-1, -1, 7, 0, 0],
    ]
    sample = Sample("a", np.zeros((1, 4, 5), np.uint8), np.array(labels, np.int32), (0.5, 0.25))
    small = shrink_sample(sample, 2)
    assert small.labels is not None
    assert small.labels.tolist() == [[1, 2, 5], [-1, 0, 0]]
    assert small.spacing_um == (1.0, 0.5)
    assert small.image.shape == (1, 2, 3)


def test_many_votes_are_counted_right() -> None:
    """A block of 16² = 256 votes: 156 for 7 and 100 for 9."""
    labels = np.full(256, 9, np.int32)
    labels[80:236] = 7
    small = shrink_sample(labelled(labels.reshape(16, 16)), 16)
    assert small.labels is not None
    assert small.labels.tolist() == [[7]]


@given(SIZES, st.integers(2, 5))
def test_labels_and_image_keep_the_same_size(size: tuple[int, ...], factor: int) -> None:
    small = shrink_sample(labelled(np.zeros(size)), factor)
    assert small.labels is not None
    assert small.labels.shape == small.image.shape[1:]
    assert small.labels.dtype == np.int32


# Classes ------------------------------------------------------------------------------------------


def test_an_image_and_labels_of_different_size_are_refused() -> None:
    with pytest.raises(UserError, match="cell 3: the image is 4×5 pixels and its label image 5×4"):
        Sample("cell 3", np.zeros((3, 4, 5)), np.zeros((5, 4), np.int32))


def test_a_class_map_is_its_own_target_and_not_annotated_is_0() -> None:
    sample = labelled([[0, 1, 2, -1]], "classes")
    assert target_classes(sample, TargetSettings()).tolist() == [[0, 1, 2, 0]]
    assert count_classes(sample, 4, TargetSettings()).tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("value", [2, 255, 256, 257, 70000])
def test_a_class_out_of_range_is_refused_whatever_its_lower_byte(value: int) -> None:
    with pytest.raises(UserError, match=rf"a: the labels hold class {value}, but only classes 0…1"):
        count_classes(labelled([[0, value]], "classes"), 2, TargetSettings())


def test_any_number_of_objects_is_two_classes() -> None:
    sample = labelled([[0, 0, 900, 900, 0, 0, -1]])
    assert count_classes(sample, 2, TargetSettings()).sum() == 6


def test_training_needs_labels() -> None:
    with pytest.raises(UserError, match="a: no labels"):
        target_classes(Sample("a", np.zeros((1, 2, 2)), None), TargetSettings())


@pytest.mark.parametrize("kind", ["instances", "classes"])
def test_an_example_ignores_what_is_not_annotated(kind: Any) -> None:
    image = np.zeros((1, 1, 7), np.float32)
    sample = labelled([[0, 1, 1, 0, 0, -1, -1]], kind)
    example = make_example(sample, image, TargetSettings(), np.array([1, 2], np.float32))
    assert example.target.dtype == np.uint8
    assert example.weight.dtype == np.float32
    assert (example.weight[0] > 0).tolist() == [True] * 5 + [False] * 2


def test_background_near_the_edge_is_not_learnt_and_objects_are() -> None:
    labels = np.zeros((2, 9, 8), np.int32)
    labels[:, 0, 0], labels[:, 4, 4] = 1, 2
    found = without_border(labelled(labels), 3)
    inside = np.zeros(labels.shape, bool)
    inside[:, 3:6, 3:5] = True
    assert np.array_equal(found.labels == 0, inside & (labels == 0))
    assert np.array_equal(np.maximum(found.labels, 0), labels)
    flat = Sample("a", found.image[:, 0], found.labels[0])
    example = make_example(flat, np.zeros((1, 9, 8), np.float32), TargetSettings(), np.ones(2, np.float32))
    assert np.array_equal(example.weight > 0, inside[0] | (labels[0] > 0))


def test_touching_objects_are_separated_once_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting classes, the class map and the weight map share it."""
    labels = np.zeros((12, 12), np.int32)
    labels[2:10, 2:6], labels[2:10, 6:10] = 1, 2
    calls: list[int] = []

    def counted(given: np.ndarray) -> np.ndarray:
        calls.append(1)
        return separate_touching(given)

    monkeypatch.setattr("unetseg.sample.separate_touching", counted)
    sample = Sample("a", np.zeros((1, 12, 12), np.uint8), labels)
    counts = count_classes(sample, 2, TargetSettings())
    example = make_example(
        sample, np.zeros((1, 12, 12), np.float32), TargetSettings(), np.ones(2, np.float32)
    )
    assert len(calls) == 1
    np.testing.assert_array_equal(example.target, separate_touching(labels) > 0)
    assert counts.tolist() == np.bincount(example.target.ravel()).tolist()
