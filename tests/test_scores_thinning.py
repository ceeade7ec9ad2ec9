"""Border thinning: hand-worked sections, and what holds for every section."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from unetseg.scores.thinning import thinned_segments


def thinned(rows: list[str]) -> list[list[int]]:
    return thinned_segments(np.array([[c == "#" for c in row] for row in rows])).tolist()


def test_fronts_that_meet_leave_one_line() -> None:
    assert thinned(["##...##"]) == [[1, 1, 1, 0, 2, 2, 2]]


def test_of_two_pixels_between_the_first_in_the_queue_joins_and_the_second_is_the_line() -> None:
    assert thinned(["##..##"]) == [[1, 1, 1, 0, 2, 2]]


def test_a_line_is_one_pixel_wide_on_the_diagonal_too() -> None:
    assert thinned(["#..", "...", "..#"]) == [[1, 1, 0], [1, 0, 2], [0, 2, 2]]


def test_without_a_cell_the_section_is_one_segment() -> None:
    assert thinned(["...", "..."]) == [[1, 1, 1], [1, 1, 1]]


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_cells_keep_their_pixels_and_segments_stay_in_one_piece(cells: np.ndarray) -> None:
    found = thinned_segments(cells)
    components, count = ndimage.label(cells)
    for k in range(1, count + 1):
        inside = np.unique(found[components == k])
        assert len(inside) == 1
        assert inside[0] > 0
        assert ndimage.label(found == inside[0])[1] == 1
    assert found.max() == max(count, 1)
