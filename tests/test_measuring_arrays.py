"""Measurements and outlines of labels in memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from unetseg import api
from unetseg.errors import UserError
from unetseg.images.arrays import array_stack

LABELS = np.zeros((2, 10, 12), np.uint16)
LABELS[0, 1:4, 2:6], LABELS[1, 5:9, 5:9], LABELS[1, 0:2, 0:3] = 4, 1, 2


def test_every_page_has_its_objects() -> None:
    first, second = api.measure_array(LABELS, name="cells")
    assert (first.file, first.frame, second.frame) == ("cells", "t0", "t1")
    assert_allclose(first.columns["area_px"], [12])
    assert_allclose(second.columns["id"], [1, 2])
    assert_allclose(second.columns["area_px"], [16, 6])


def test_areas_in_micrometres_and_grey_values() -> None:
    image = array_stack(np.where(LABELS == 4, 7.0, 1.0))
    (first, _) = api.measure_array(LABELS, image, spacing_um=(0.5, 0.25))
    assert_allclose(first.columns["area_um2"], [12 * 0.5 * 0.25])
    (mean,) = (v for k, v in first.columns.items() if k.startswith("mean"))
    assert_allclose(mean, [7])


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="the image has 1"):
        api.measure_array(LABELS, array_stack(np.zeros((10, 12))))


def test_outlines_are_written_under_the_right_ending_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.geojson"):
        api.export_array(LABELS, tmp_path / "cells.txt", "geojson")
    assert api.export_array(LABELS, tmp_path / "cells.geojson", "geojson", name="cells") == 3
    found = json.loads((tmp_path / "cells.geojson").read_text())
    assert len(found["features"]) == 3
