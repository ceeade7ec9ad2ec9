"""Labels made again from kept probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from unetseg import api

if TYPE_CHECKING:
    from conftest import Unetseg

BLOB = np.add.outer(*[np.hypot(np.arange(48) % 24 - 12, 0) ** 2] * 2)


def _images() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 15, (2, 48, 48))
    return (200 * np.exp(-BLOB / 40) + 30 + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("seeds", [0.0, 0.55])
def test_the_same_settings_give_the_labels_of_predict(unetseg: Unetseg, tmp_path: Path, seeds: float) -> None:
    tifffile.imwrite(tmp_path / "a.tif", _images(), photometric="minisblack")
    settings = ["--threshold", 0.4, "--seed-threshold", seeds, "--min-area", 5]
    first = tmp_path / "first"
    options = ["--scale", 1, "--probabilities", "--device", "cpu", *settings]
    done = unetseg("predict", "nuclei", tmp_path / "a.tif", *options, "--out", first)
    assert done.code == 0, done.err
    again = unetseg("relabel", "nuclei", first, *settings, "--out", tmp_path / "again")
    assert again.code == 0, again.err
    assert "resizes images" in again.err
    made, kept = (tifffile.imread(f / "a_labels.tif") for f in (tmp_path / "again", first))
    assert made.dtype == kept.dtype
    assert kept.max() > 0
    np.testing.assert_array_equal(made, kept)
    refused = unetseg("relabel", "nuclei", first, "--out", tmp_path / "again")
    assert refused.code == 2
    assert "--overwrite" in refused.err


def test_api_relabel_is_predict_with_other_settings() -> None:
    model = api.load_model("nuclei", "cpu")
    found = api.predict(model, _images()[0], diameter=model.recipe.object_diameter)
    np.testing.assert_array_equal(api.relabel(model, found.probabilities), found.labels)
    assert api.relabel(model, found.probabilities, min_area=48 * 48 + 1).max() == 0


def test_other_files_are_refused(unetseg: Unetseg, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a_probabilities.tif", _images()[0])
    refused = unetseg("relabel", "nuclei", tmp_path, "--out", tmp_path / "out")
    assert refused.code == 2
    assert "was not written by `unetseg predict --probabilities`" in refused.err
    assert not (tmp_path / "out").exists()
