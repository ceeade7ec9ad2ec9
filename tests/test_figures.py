"""Pictures say what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from unetseg.figures import write_curves, write_overlay, write_sheet


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


@pytest.mark.parametrize("name", ["well $3", r"a $\frac$ b", "$x_2$ {}", "50 % & <b>"])
def test_names_of_files_are_no_formulas(tmp_path: Path, name: str) -> None:
    image, labels = np.ones((1, 4, 5)), np.eye(4, 5, dtype=np.int32)
    write_overlay(tmp_path / "a.png", image, labels, labels, name, noun=name)
    write_sheet(tmp_path / "b.png", [{name: image[0], "labels": image[0]}], [name])
    write_curves(tmp_path / "c.png", [{"step": 1, "loss": 1.0}, {"step": 1, "validation": {name: 0.5}}])
    assert all((tmp_path / f"{f}.png").stat().st_size > 1000 for f in "abc")
