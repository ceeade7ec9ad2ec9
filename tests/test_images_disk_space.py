"""Disk space is checked before anything is written."""

import shutil
from pathlib import Path

import pytest

from unetseg.errors import UserError
from unetseg.images.disk_space import check_space, label_bytes


def test_more_than_is_free_is_an_error_that_names_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "not/there/yet.zarr"
    check_space(path, 1)
    with pytest.raises(
        UserError, match=rf"are free on the disk of {tmp_path}\. Free some space, or go away\."
    ):
        check_space(path, shutil.disk_usage(tmp_path).total + 1, "go away")


def test_labels_take_a_quarter_byte_a_pixel_and_their_pyramid_a_third_more() -> None:
    assert label_bytes(1200) == 400
