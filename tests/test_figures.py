"""Pictures say what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from unetseg.figures import write_overlay


@pytest.mark.parametrize(
    ("shape", "noun", "titles"),
    [
        ((4, 5), "objects", ["a", "predicted", "2 objects predicted"]),
        ((3, 4, 5), "classes", ["a, middle slice", "predicted", "2 classes predicted"]),
    ],
)
def test_an_overlay_names_its_slice_and_counts_what_the_labels_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], noun: str, titles: list[str]
) -> None:
    made: list[Figure] = []
    monkeypatch.setattr("unetseg.figures.pictures.save", lambda figure, path: made.append(figure))
    labels = np.zeros(shape, np.int32)
    labels[..., 0, 0], labels[..., 2, 2] = 1, 2
    write_overlay(tmp_path / "a.png", np.ones((1, *shape)), None, labels, "a", noun=noun)
    assert [axes.get_title() for axes in made[0].axes] == titles
