"""Sizes that a file claims, checked before memory is allocated."""

from pathlib import Path

import psutil
import pytest

from unetseg.errors import UserError
from unetseg.images.limits import (
    PLANES,
    RATIO,
    UNPACKED,
    check_claim,
    check_memory,
    check_planes,
    check_unpacked,
)

PATH = Path("a.tif")


def test_a_claim_is_held_against_the_size_of_the_file() -> None:
    check_claim(PATH, RATIO * 100, 100)
    with pytest.raises(
        UserError, match=r"a\.tif: claims to hold 6\.6 MB of pixels, but the file has 100 bytes"
    ):
        check_claim(PATH, RATIO * 100 + 1, 100)


def test_memory_is_held_against_what_is_free() -> None:
    check_memory(PATH, 1)
    with pytest.raises(UserError, match=r"a\.tif: needs .* Save it in smaller chunks\.$"):
        check_memory(PATH, psutil.virtual_memory().total + 1, "Save it in smaller chunks.")


@pytest.mark.parametrize("count", [0, -1, PLANES + 1])
def test_planes_are_bounded(count: int) -> None:
    check_planes(PATH, PLANES)
    with pytest.raises(UserError, match=r"allowed are 1 to 1,000,000"):
        check_planes(PATH, count)


def test_an_archive_may_unpack_to_so_many_times_its_size() -> None:
    check_unpacked("a.zip", UNPACKED * 100, 100)
    with pytest.raises(UserError, match=r"^a\.zip: its 100 bytes claim to unpack to 20\.0 kB\.$"):
        check_unpacked("a.zip", UNPACKED * 100 + 1, 100)
    with pytest.raises(UserError, match="101 bytes"):
        check_unpacked("a.zip", 101, 100, ratio=1)
