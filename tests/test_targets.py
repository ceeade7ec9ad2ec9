"""Laws and hand-worked values of the classes and weights that the net learns from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from unetseg.errors import UserError
from unetseg.targets import (
    NEGLIGIBLE,
    balance_weights,
    border_weights,
    separate_touching,
    weight_map,
)

Array = NDArray[Any]
FEW = settings(max_examples=60, deadline=None)
VOLUME_SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=5)


@st.composite
def label_images(draw: st.DrawFn) -> Array:
    """Small 2-D and 3-D labels of coarse blocks and single pixels, with background and -1."""
    shape = draw(st.one_of(hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), VOLUME_SHAPES))
    kind = draw(st.sampled_from([np.int8, np.int32, np.int64]))
    coarse = draw(hnp.arrays(kind, shape, elements=st.integers(-1, 4)))
    return coarse.repeat(draw(st.sampled_from([1, 2, 3])), axis=draw(st.sampled_from([0, 1])))


def cells(shape: Sequence[int], count: int, seed: int) -> Array:
    """Touching cells: each pixel belongs to the nearest of `count` points, if it is near enough."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, len(shape))) * shape
    radii = (math.prod(shape) / count) ** (1 / len(shape)) * rng.uniform(0.3, 0.7, count)
    pixels = np.moveaxis(np.indices(shape), 0, -1)
    distance, nearest = cKDTree(points).query(pixels)
    return np.where(distance < radii[nearest], nearest + 1, 0)


def brute_force(labels: Array, w0: float, sigma: float, spacing: Sequence[float] | None) -> Array:
    """The definition: every pixel against every pixel of every object, in float64."""
    sizes = np.ones(labels.ndim) if spacing is None else np.asarray(spacing)
    ids = [k for k in np.unique(labels) if k > 0]
    weights = np.zeros(labels.shape)
    if len(ids) < 2:
        return weights
    background = np.argwhere(labels == 0) * sizes
    trees = [cKDTree(np.argwhere(labels == k) * sizes) for k in ids]
    d1, d2 = np.sort([tree.query(background)[0] for tree in trees], axis=0)[:2]
    weights[labels == 0] = w0 * np.exp(-((d1 + d2) ** 2) / (2 * sigma**2))
    return weights


def assert_exact(labels: Array, **options: Any) -> None:
    formula = {"w0": 10.0, "sigma": 5.0, "spacing": None} | options
    expected = brute_force(labels, **formula)
    np.testing.assert_allclose(border_weights(labels, **options), expected, rtol=0, atol=1e-6)


# ---------------------------------------------------------------------- separate_touching


def test_ridge_by_hand() -> None:
    labels = np.array([[1, 1, 0, 3], [1, 1, 2, 2], [-1, 1, 2, 2], [-1, 1, 0, 0]])
    expected = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [-1, 0, 0, 2], [-1, 0, 0, 0]])
    np.testing.assert_array_equal(separate_touching(labels), expected)


@FEW
@given(label_images())
def test_objects_are_never_connected_after_separation(labels: Array) -> None:
    apart = separate_touching(labels)
    pieces, count = ndimage.label(apart > 0, np.ones((3,) * labels.ndim))
    assert all(len(np.unique(apart[pieces == piece])) == 1 for piece in range(1, count + 1))


@FEW
@given(label_images())
def test_exactly_pixels_beside_another_object_are_removed(labels: Array) -> None:
    before = labels.copy()
    apart = separate_touching(labels)
    assert apart.dtype == labels.dtype
    np.testing.assert_array_equal(labels, before)
    for index, own in np.ndenumerate(labels):
        around = labels[tuple(slice(max(i - 1, 0), i + 2) for i in index)]
        beside_another = own > 0 and bool(((around > 0) & (around != own)).any())
        assert apart[index] == (0 if beside_another else own)


def test_ids_up_to_two_to_the_31_stay_distinct() -> None:
    labels = np.array([[2**31, 2**31, 2**31 - 1, 2**31 - 1]])
    np.testing.assert_array_equal(separate_touching(labels), [[2**31, 0, 0, 2**31 - 1]])


# ------------------------------------------------------------------------- border_weights


def test_two_single_pixels_on_a_line() -> None:
    """Between them d1 + d2 = 3; one pixel outside, 1 + 4 = 5."""
    between, outside = 10 * math.exp(-9 / 50), 10 * math.exp(-25 / 50)
    weights = border_weights(np.array([[0, 1, 0, 0, 2, 0]]))
    expected = [[outside, 0, between, between, 0, outside]]
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-6)
    assert weights.dtype == np.float32


def test_w0_sigma_and_spacing_by_hand() -> None:
    """The middle row is one row, 3 units, from either object: d1 = d2 = 3."""
    weights = border_weights(np.array([[1], [0], [2]]), w0=4, sigma=2, spacing=(3, 1))
    np.testing.assert_allclose(weights, [[0.0], [4 * math.exp(-36 / 8)], [0.0]], rtol=0, atol=1e-6)


def test_touching_objects_have_weight_on_their_ridge_only_once_separated() -> None:
    labels = np.array([[1, 1, 1, 2, 2, 2]])
    assert not border_weights(labels).any()
    ridge = 10 * math.exp(-9 / 50)
    weights = border_weights(separate_touching(labels))
    np.testing.assert_allclose(weights, [[0, 0, ridge, ridge, 0, 0]], rtol=0, atol=1e-6)


@pytest.mark.parametrize("only", [0, -1, 7])
def test_fewer_than_two_objects_weigh_nothing(only: int) -> None:
    labels = np.zeros((5, 6), np.int32)
    labels[1:3, 2:4] = only
    np.testing.assert_array_equal(border_weights(labels), np.zeros((5, 6)))


def test_pieces_of_one_id_are_one_object() -> None:
    weights = border_weights(np.array([[1, 0, 1, 0, 0, 2]]))
    near, next_to = 10 * math.exp(-25 / 50), 10 * math.exp(-9 / 50)
    np.testing.assert_allclose(weights, [[0, near, 0, next_to, next_to, 0]], rtol=0, atol=1e-6)


def test_not_annotated_pixels_weigh_nothing_and_are_no_object() -> None:
    with_gap = border_weights(np.array([[1, 0, -1, 0, 2]]))
    expected = border_weights(np.array([[1, 0, 0, 0, 2]]))
    expected[0, 2] = 0
    np.testing.assert_array_equal(with_gap, expected)


@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.uint32])
def test_ids_do_not_matter(kind: type[np.integer[Any]]) -> None:
    labels = separate_touching(cells((40, 50), 12, seed=3))
    ids = np.random.default_rng(0).permutation(2**31 - np.arange(13) * 10**8).astype(kind)
    renamed = np.where(labels > 0, ids[labels], kind(0))
    np.testing.assert_array_equal(border_weights(renamed), border_weights(labels))


def test_large_ids_and_long_distances_do_not_overflow() -> None:
    labels = np.zeros((3, 400), np.uint16)
    labels[0, 0], labels[2, 399], labels[1, 200] = 65535, 65534, 40000
    assert_exact(labels, sigma=150.0)


@FEW
@given(label_images(), st.floats(0.3, 20), st.floats(0, 30))
def test_equals_the_definition_on_any_labels(labels: Array, sigma: float, w0: float) -> None:
    expected = brute_force(labels, w0, sigma, None)
    weights = border_weights(labels, sigma=sigma, w0=w0)
    np.testing.assert_allclose(weights, expected, rtol=1e-7, atol=1e-6)


@FEW
@given(label_images(), st.lists(st.floats(0.05, 20), min_size=3, max_size=3))
def test_equals_the_definition_for_any_spacing(labels: Array, spacing: list[float]) -> None:
    assert_exact(labels, spacing=spacing[: labels.ndim])


@pytest.mark.parametrize("count", [2, 9, 60])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_definition_on_cells(count: int, seed: int) -> None:
    labels = cells((150, 130), count, seed)
    assert_exact(separate_touching(labels))
    assert_exact(labels)


def test_equals_the_definition_beside_huge_objects() -> None:
    labels = np.zeros((200, 220), np.int64)
    labels[10:160, 5:100], labels[12:190, 104:215], labels[170, 50] = 1, 2, 3
    assert_exact(labels)


@pytest.mark.parametrize("spacing", [None, (4, 1, 1), (2.5, 0.8, 1.1)])
def test_equals_the_definition_in_volumes(spacing: tuple[float, ...] | None) -> None:
    assert_exact(separate_touching(cells((14, 40, 45), 20, seed=5)), spacing=spacing)


@pytest.mark.parametrize("sigma", [0.5, 3.0, 25.0, 1e6])
def test_equals_the_definition_for_narrow_and_wide_borders(sigma: float) -> None:
    assert_exact(separate_touching(cells((60, 70), 10, seed=6)), sigma=sigma)


@pytest.mark.parametrize("shape", [(50, 61), (12, 20, 25)])
def test_the_number_of_lines_worked_on_at_a_time_changes_nothing(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = separate_touching(cells(shape, 12, seed=8))
    weights = border_weights(labels)
    monkeypatch.setattr("unetseg.nearest.LINES", 7)
    np.testing.assert_array_equal(border_weights(labels), weights)


@pytest.mark.parametrize("block", [1, 4, 16])
@pytest.mark.parametrize("shape", [(150, 131), (12, 60, 50)])
def test_clusters_by_themselves_weigh_what_they_do_in_the_whole_image(
    monkeypatch: pytest.MonkeyPatch, block: int, shape: tuple[int, ...]
) -> None:
    labels = np.zeros(shape, np.int32)
    rng = np.random.default_rng(block)
    for k in range(1, 30):
        start = [int(rng.integers(0, n - 2)) for n in shape]
        labels[tuple(slice(a, a + 3) for a in start)] = k % 20 + 1  # some in several pieces
    monkeypatch.setattr("unetseg.targets.BLOCK", block)
    monkeypatch.setattr("unetseg.targets.WORTHWHILE", 0)
    whole = border_weights(labels, sigma=1.2)
    monkeypatch.setattr("unetseg.targets.WORTHWHILE", math.inf)
    assert np.abs(border_weights(labels, sigma=1.2) - whole).max() <= NEGLIGIBLE
    assert whole.max() > 1


def test_axes_can_be_swapped_and_flipped() -> None:
    labels = separate_touching(cells((50, 70), 15, seed=7))
    weights = border_weights(labels)
    np.testing.assert_array_equal(border_weights(labels.T[::-1]), weights.T[::-1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sigma": 0}, "sigma is 0; allowed"),
        ({"sigma": math.nan}, "sigma is nan; allowed"),
        ({"w0": -1.0}, "w0 is -1.0"),
        ({"spacing": (1, 1, 1)}, r"spacing is \(1, 1, 1\); allowed are 2 numbers"),
        ({"spacing": (0, 1)}, r"spacing is \(0, 1\)"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        border_weights(np.zeros((3, 3), np.int32), **options)


@pytest.mark.parametrize("labels", [np.zeros(4, int), np.zeros((1, 2, 2, 2), int), np.zeros((2, 2))])
def test_arrays_that_are_no_labels_are_refused(labels: Array) -> None:
    for function in (border_weights, separate_touching):
        with pytest.raises(UserError, match=f"{labels.dtype} with {labels.ndim} axes; allowed"):
            function(labels)


def test_empty_labels_weigh_nothing() -> None:
    assert border_weights(np.zeros((0, 4), np.int32)).shape == (0, 4)


# ---------------------------------------------------------- balance_weights and weight_map


def test_balance_by_hand() -> None:
    """60, 30, 10 of 100 pixels in three classes: 100 / (3 * 60), and so on."""
    expected = [100 / 180, 100 / 90, 100 / 30]
    np.testing.assert_allclose(balance_weights([60, 30, 10]), expected, rtol=1e-6)
    np.testing.assert_allclose(balance_weights([75, 0, 25]), [100 / 150, 0, 2], rtol=1e-6)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=9).filter(any))
def test_balance_makes_all_classes_equal_and_the_mean_weight_one(counts: list[int]) -> None:
    totals = balance_weights(counts).astype(float) * counts
    present = totals[totals > 0]
    assert len(present) == np.count_nonzero(counts)
    np.testing.assert_allclose(present, sum(counts) / len(present), rtol=1e-6)
    np.testing.assert_allclose(totals.sum() / sum(counts), 1, rtol=1e-6)


@pytest.mark.parametrize("counts", [[], [0, 0], [3, -1], [[1, 2]], [1.0, math.nan]])
def test_counts_that_cannot_be_balanced_are_refused(counts: list[Any]) -> None:
    with pytest.raises(UserError, match="class counts are .* allowed"):
        balance_weights(counts)


def test_weight_map_by_hand() -> None:
    classes = np.array([[0, 1], [1, 0]], np.uint8)
    border = np.array([[2, 0], [0, 0.5]], np.float32)
    class_weights = np.array([0.5, 3], np.float32)
    annotated = np.array([[True, True], [False, True]])
    weights = weight_map(classes, border, class_weights)
    np.testing.assert_array_equal(weights, [[2.5, 3], [3, 1]])
    assert weights.dtype == np.float32
    weights = weight_map(classes, border, class_weights, annotated=annotated)
    np.testing.assert_array_equal(weights, [[2.5, 3], [0, 1]])


def test_weight_map_refuses_other_shapes_and_unknown_classes() -> None:
    classes, border = np.array([[0, 2]]), np.zeros((1, 2), np.float32)
    two, three = np.ones(2, np.float32), np.ones(3, np.float32)
    with pytest.raises(UserError, match=r"\(1, 2\), \(2, 1\)"):
        weight_map(classes, border.T, three)
    with pytest.raises(UserError, match="classes go from 0 to 2; allowed are 0 to 1"):
        weight_map(classes, border, two)
    with pytest.raises(UserError, match="classes go from -1 to 0; allowed"):
        weight_map(np.array([[0, -1]]), border, two)
