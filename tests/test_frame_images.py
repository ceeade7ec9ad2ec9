"""The image of a scored frame by its name, and what does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import write

from unetseg.errors import UserError
from unetseg.evaluation.frame_images import read_frame_image

IMAGE = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize(
    ("file", "frame"),
    [
        ("dish.tif", "dish"),
        ("dish.tif", "dish_labels"),
        ("dish 1.0.tif", "dish 1.0_cp_masks"),
        ("t007.tif", "man_seg007"),
        ("a[1].tif", "a[1]"),
    ],
)
def test_names_pair_as_everywhere(tmp_path: Path, file: str, frame: str) -> None:
    write(tmp_path / file, IMAGE)
    write(tmp_path / "other.tif", 0 * IMAGE)
    assert (read_frame_image(tmp_path, frame, (3, 4)) == IMAGE[None]).all()


def test_a_page_of_a_stack_and_a_volume(tmp_path: Path) -> None:
    stack = write(tmp_path / "s.tif", np.stack([IMAGE, IMAGE + 1]))
    assert (read_frame_image(stack, "s[1]", (3, 4)) == IMAGE + 1).all()
    assert read_frame_image(tmp_path, "s", (2, 3, 4)).shape == (1, 2, 3, 4)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", IMAGE)
    with pytest.raises(UserError, match="has no image for b"):
        read_frame_image(tmp_path, "b", (3, 4))
    with pytest.raises(UserError, match=r"a.tif: 1 pages of 3×4 pixels do not fit frame a of 5×5"):
        read_frame_image(tmp_path, "a", (5, 5))
    with pytest.raises(UserError, match="no such file or folder"):
        read_frame_image(tmp_path / "x", "a", (5, 5))
