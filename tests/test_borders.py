import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label

from unetseg.borders import BORDER, INTERIOR, border_classes


@given(arrays(np.int32, (9, 12), elements=st.integers(-1, 3)), st.sampled_from([1.0, 1.5, 2.0]))
def test_interiors_of_different_objects_never_touch(labels: np.ndarray, width: float) -> None:
    classes = border_classes(labels, width)
    assert ((classes > 0) == (labels > 0)).all()
    pieces, count = label(classes == INTERIOR)
    for piece in range(1, count + 1):
        assert len(np.unique(labels[pieces == piece])) == 1


@pytest.mark.parametrize(("width", "expected"), [(1, [0, 2, 1, 1, 1, 2, 0]), (2, [0, 2, 2, 1, 2, 2, 0])])
def test_the_width_counts_from_the_rim(width: float, expected: list[int]) -> None:
    assert border_classes(np.array([[0, 5, 5, 5, 5, 5, 0]]), width).tolist() == [expected]


def test_no_object_and_the_images_edge() -> None:
    assert border_classes(np.zeros((3, 3), int), 2).max() == 0
    assert (border_classes(np.ones((3, 3), int), 2) == INTERIOR).all()
    assert BORDER not in border_classes(np.full((3, 3), -1), 2)
