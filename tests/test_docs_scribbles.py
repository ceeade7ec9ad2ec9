"""docs/scribbles.md, done as it is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Unetseg, write
from scipy.ndimage import binary_erosion, distance_transform_edt
from test_docs import ROOT, blocks, follow

from unetseg.tasks.synthetic import cell_movie

(SETTINGS,) = blocks(ROOT / "docs" / "scribbles.md", ("toml",))


def scribbles(truth: np.ndarray) -> np.ndarray:
    """A line through the middle of objects, and lines in the background a little away from them."""
    rows = np.zeros(truth.shape, bool)
    rows[4::9] = True
    background = rows & (distance_transform_edt(truth == 0) > 1)
    inside = rows & binary_erosion(truth > 0, iterations=2)
    return (background * 1 + inside * 2).astype(np.uint8)


def make(folder: Path, frames: int) -> np.ndarray:
    images, truth = cell_movie(seed=1, frames=frames)
    for t in range(frames):
        write(folder / "images" / f"dish{t}.tif", images[t])
        write(folder / "labels" / f"dish{t}.tif", scribbles(truth[t]))
    return truth


def follow_page(unetseg: Unetseg, folder: Path, monkeypatch: pytest.MonkeyPatch, settings: str) -> list[str]:
    """What each command of the page prints."""
    monkeypatch.chdir(folder)
    (folder / "scribbles.toml").write_text(settings, encoding="utf-8")
    return follow(unetseg, "scribbles")


@pytest.mark.slow
def test_every_command_of_the_page_runs_and_results_hold_what_was_drawn(
    unetseg: Unetseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "mydata", 5)
    quick = SETTINGS.replace("steps = 300", "steps = 2")
    assert quick != SETTINGS
    quick += '\n[net]\nname = "unet"\nwidth = 2\ndepth = 2\npadding = "same"\nnorm = "batch"\n'
    shown, trained, predicted, objects, scored = follow_page(unetseg, tmp_path, monkeypatch, quick)
    for text in (shown, trained):
        assert "labels: class map, classes 1, 2, 0 not annotated in 5 images" in text
    assert "dish0_classes.tif" in predicted
    assert "dish0_labels.tif" in objects
    classes = tifffile.imread(tmp_path / "runs" / "scribbles" / "predictions" / "dish0_classes.tif")
    assert set(np.unique(classes)) <= {1, 2}
    assert "iou-1" in scored
    assert "iou-2" not in scored


@pytest.mark.slow
def test_strokes_suffice_to_find_the_cells(
    unetseg: Unetseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained on strokes over a tenth of the pixels, the whole foreground of these frames is found."""
    truth = make(tmp_path / "mydata", 8)
    follow_page(unetseg, tmp_path, monkeypatch, SETTINGS)
    share = np.mean([scribbles(t) > 0 for t in truth])
    found = np.stack(
        [
            tifffile.imread(tmp_path / "runs" / "scribbles" / "predictions" / f"dish{t}_classes.tif") == 2
            for t in range(len(truth))
        ]
    )
    iou = (found & (truth > 0)).sum() / (found | (truth > 0)).sum()
    assert share < 0.12
    assert iou > 0.8
