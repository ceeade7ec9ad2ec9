"""The worst objects of a comparison, by hand, and their pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from conftest import Unetseg, write

from unetseg.evaluation.worst_objects import WorstObject, worst_objects, write_worst_pictures

TRUTH = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 3], [0, 0, 0, 0, 2, 2]], np.int32)
FOUND = np.array([[7, 7, 7, 0, 0, 0], [7, 7, 7, 0, 0, 0], [0, 0, 0, 0, 0, 0]], np.int32)
WHOLE = ("b", TRUTH, TRUTH)


def test_lowest_first_and_of_equals_the_largest() -> None:
    worst = worst_objects([WHOLE, ("a", TRUTH, FOUND)], 3)
    assert worst == [
        WorstObject("a", 2, 0.0, 2, (2.0, 4.5)),
        WorstObject("a", 3, 0.0, 1, (1.0, 5.0)),
        WorstObject("a", 1, 0.75, 8, (0.5, 1.5)),
    ]
    assert worst_objects([WHOLE, ("a", TRUTH, FOUND)], 1) == worst[:1]


def test_no_object_and_none_asked_for() -> None:
    assert worst_objects([("a", 0 * TRUTH, FOUND)], 3) == []
    assert worst_objects([], 3) == []
    assert worst_objects([WHOLE], 0) == []


def test_pictures_of_the_frames_with_a_worst_object(tmp_path: Path) -> None:
    pairs = [WHOLE, ("01/t000", TRUTH, FOUND), ("volume", np.stack([TRUTH] * 3), np.stack([FOUND] * 3))]
    paths = write_worst_pictures(pairs, worst_objects(pairs, 4), tmp_path)
    assert [p.name for p in paths] == ["01_t000.png", "volume.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in paths)


def test_the_command_lists_them_and_writes_pictures(unetseg: Unetseg, tmp_path: Path) -> None:
    paths = write(tmp_path / "p.tif", FOUND), write(tmp_path / "t.tif", TRUTH)
    result = unetseg("score", *paths, "--labels", "instances", "--worst", 2, "--pictures", tmp_path / "x")
    assert "t          2   0.0000  2     (2.0, 4.5)" in result.out
    assert result.out.endswith(f"wrote {tmp_path / 'x' / 't.png'}\n")
    image = write(tmp_path / "images" / "t.tif", np.arange(18, dtype=np.uint8).reshape(3, 6))
    black = (tmp_path / "x" / "t.png").read_bytes()
    options = ("--labels", "instances", "--pictures", tmp_path / "x", "--images")
    assert unetseg("score", *paths, *options, image.parent).code == 0
    assert (tmp_path / "x" / "t.png").read_bytes() != black
    assert "--images needs --pictures FOLDER" in unetseg("score", *paths, "--images", image).err
    none = unetseg("score", paths[1], paths[1], "--labels", "instances")
    assert "worst" not in none.out
