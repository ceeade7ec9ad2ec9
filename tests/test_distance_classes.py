import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label

from unetseg.distance_classes import depth, distance_classes
from unetseg.errors import UserError


@given(
    arrays(np.int32, (9, 12), elements=st.integers(-1, 3)), st.sampled_from([[1.0], [1.5], [1.0, 2.0, 3.0]])
)
def test_the_deep_parts_of_different_objects_never_touch(
    labels: np.ndarray, distances_px: list[float]
) -> None:
    classes = distance_classes(labels, distances_px)
    assert ((classes > 0) == (labels > 0)).all()
    pieces, count = label(classes > 1)
    for piece in range(1, count + 1):
        assert len(np.unique(labels[pieces == piece])) == 1


HAND_WORKED = [([1], [0, 1, 2, 2, 2, 1, 0]), ([2], [0, 1, 1, 2, 1, 1, 0]), ([1, 2], [0, 1, 2, 3, 2, 1, 0])]


@pytest.mark.parametrize(("distances_px", "expected"), HAND_WORKED)
def test_depth_counts_from_the_rim(distances_px: list[float], expected: list[int]) -> None:
    assert distance_classes(np.array([[0, 5, 5, 5, 5, 5, 0]]), distances_px).tolist() == [expected]


def test_no_object_and_the_images_edge() -> None:
    assert distance_classes(np.zeros((3, 3), int), [2]).max() == 0
    assert (distance_classes(np.ones((3, 3), int), [2, 4]) == 3).all()
    assert distance_classes(np.full((3, 3), -1), [2]).max() == 0


def test_expected_depth_hand_worked() -> None:
    """Certain of the deepest of three classes is 1, of the rim 0; half and half is between."""
    certain = np.eye(4, dtype=np.float32)
    assert depth(certain).tolist() == [0, 0, 0.5, 1]
    mixed = np.array([[0.5], [0], [0], [0.5]], np.float32)
    assert depth(mixed).tolist() == [0.5]


def test_distances_that_do_not_increase_are_refused() -> None:
    with pytest.raises(UserError, match="must increase"):
        distance_classes(np.ones((3, 3), int), [3, 2])
