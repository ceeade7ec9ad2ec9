"""Probability maps against the cells of EM sections: `unetseg score MAP.tif TRUTH.tif`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Unetseg, write

from unetseg.scores import standard_scores

CELLS = np.full((2, 12, 12), 255, np.uint8)
CELLS[:, 5:7] = 0
MAP = np.where(CELLS > 0, 0.95, 0.2).astype(np.float32)
MAP[1, 5:7, 3] = 0.95  # a hole in the wall of the second section merges its cells


def test_a_map_gets_the_scores_of_sections(unetseg: Unetseg, tmp_path: Path) -> None:
    paths = write(tmp_path / "map.tif", MAP), write(tmp_path / "t.tif", CELLS)
    out = tmp_path / "a.json"
    result = unetseg("score", *paths, "--out", out)
    assert "truth read as cells of EM sections\n" in result.out
    found = json.loads(out.read_text())
    assert list(found) == ["t[0]", "t[1]", "all"]
    assert tuple(found["all"]) == standard_scores("probabilities")
    assert (found["t[0]"]["v-rand"], found["t[0]"]["warping-error"]) == (1, 0)
    # the wall of two rows may grow thin, so of the two pixels missing in it one counts
    assert found["t[1]"]["warping-error"] == 1 / 144
    assert found["all"]["warping-error"] == 1 / 288
    assert "0.003472" in result.out
    assert found["all"]["em-pixel-error"] == pytest.approx(1 - 2 * 240 / (2 * 240 + 2))


@pytest.mark.parametrize("top", [np.uint8, np.uint16])
def test_integer_maps_are_fractions_of_their_range(unetseg: Unetseg, tmp_path: Path, top: type) -> None:
    pixels = np.round(MAP * np.iinfo(top).max).astype(top)
    paths = write(tmp_path / "map.tif", pixels), write(tmp_path / "t.tif", CELLS)
    out = tmp_path / "a.json"
    unetseg("score", *paths, "--scores", "warping-error", "--scores", "v-rand", "--out", out)
    found = json.loads(out.read_text())["all"]
    assert found["warping-error"] == 1 / 288
    assert 0.5 < found["v-rand"] < 1


def test_refused(unetseg: Unetseg, tmp_path: Path) -> None:
    found, truth = write(tmp_path / "map.tif", MAP), write(tmp_path / "t.tif", CELLS)
    mixed = unetseg("score", found, truth, "--scores", "v-rand", "--scores", "seg")
    assert "there is no score 'seg' of probability maps" in mixed.err
    write(tmp_path / "map.tif", MAP * 3)
    assert "probabilities are 0…1" in unetseg("score", found, truth).err
    write(tmp_path / "map.tif", MAP[:1])
    assert "the sizes must agree" in unetseg("score", found, truth).err
