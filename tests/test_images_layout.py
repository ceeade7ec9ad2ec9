"""Axes of a file to planes, channels, rows and columns, by hand."""

from pathlib import Path

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.images.layout import Layout, one_of

PATH = Path("a.tif")


def test_axes_make_planes_and_channels() -> None:
    layout = Layout.of(PATH, "TCZYX", (2, 3, 4, 5, 6), None)
    assert layout.planes == {"t": 2, "z": 4}
    assert (layout.channels, layout.yx) == (3, (5, 6))
    series = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    index = layout.place(5, 2, slice(1, 3), slice(None))  # plane 5 of 2 × 4: t = 1, z = 1
    np.testing.assert_array_equal(series[index], series[1, 2, 1, 1:3])


def test_given_axes_replace_those_of_the_file_and_a_second_letter_is_numbered() -> None:
    assert Layout.of(PATH, "IYX", (7, 5, 6), "CYX").channels == 7
    assert Layout.of(PATH, "IIYX", (2, 3, 5, 6), None).planes == {"i": 2, "i2": 3}


@pytest.mark.parametrize(
    ("axes", "given", "words"),
    [("ZYX", "YX", "axes YX were given"), ("ZCX", None, "needs Y and X"), ("SYX", "CSX", "needs Y and X")],
)
def test_axes_that_do_not_suit(axes: str, given: str | None, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Layout.of(PATH, axes, (2, 5, 6), given)


def test_a_wrong_index_lists_what_there_is() -> None:
    assert one_of(PATH, "ab", 1, "series", ["x", ""]) == "b"
    with pytest.raises(UserError, match=r"has no series 2\. It has 0 \(x\), 1\."):
        one_of(PATH, "ab", 2, "series", ["x", ""])
