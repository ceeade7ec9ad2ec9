"""The EM challenge's two volumes: slices with cells as objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unetseg.errors import UserError
from unetseg.settings import DataSettings
from unetseg.tasks.isbi_em import listing

SETTINGS = DataSettings(task="isbi-em")
CELLS = np.array([[255, 255, 0, 255], [255, 255, 0, 255], [0, 0, 0, 255]], np.uint8)


def make(root: Path, volume: np.ndarray, labels: np.ndarray) -> Path:
    tifffile.imwrite(root / "train-volume.tif", volume, photometric="minisblack")
    tifffile.imwrite(root / "train-labels.tif", labels, photometric="minisblack")
    return root


def test_slices_with_cells_as_objects(tmp_path: Path) -> None:
    volume = np.arange(2, dtype=np.uint8)[:, None, None] + 0 * CELLS
    found = listing(make(tmp_path, volume, np.stack([CELLS, 255 - CELLS])), SETTINGS)
    assert [(e.name, e.group, e.index) for e in found.entries] == [
        ("train-volume[0]", "train-volume", 0),
        ("train-volume[1]", "train-volume", 1),
    ]
    first, second = (e.read() for e in found.entries)
    assert first.labels is not None
    assert first.labels.tolist() == [[1, 1, 0, 2], [1, 1, 0, 2], [0, 0, 0, 2]]
    assert first.spacing_um == (0.004, 0.004)
    assert second.image.max() == 1
    assert second.labels is not None
    assert second.labels.max() == 1


def test_a_value_that_is_not_annotated(tmp_path: Path) -> None:
    labels = CELLS.copy()
    labels[2, 0] = 128
    settings = DataSettings(task="isbi-em", not_annotated=(128,))
    read = listing(make(tmp_path, 0 * CELLS, labels), settings).entries[0].read().labels
    assert read is not None
    assert read[2].tolist() == [-1, 0, 0, 2]


def test_volumes_of_different_size_and_missing_ones_are_errors(tmp_path: Path) -> None:
    make(tmp_path, np.stack([CELLS] * 3), np.stack([CELLS] * 2))
    with pytest.raises(UserError, match="must be the same size"):
        listing(tmp_path, SETTINGS)
    (tmp_path / "train-labels.tif").unlink()
    with pytest.raises(UserError, match=r"train-labels\.tif: no such file"):
        listing(tmp_path, SETTINGS)
