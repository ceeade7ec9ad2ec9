"""The pictures of docs/napari.md: every panel in use on the sample film, which is synthetic.

python -m experiments.napari.pictures OUT

It needs a display: `xvfb-run -a -s "-screen 0 1400x900x24" python -m experiments.napari.pictures docs`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication

from experiments.napari.driver import open_panel, wait
from experiments.napari.loop import corrected, scribbles
from unetseg.napari.sample_data import touching_cells

WINDOW, SMALL, COLOURS = (1280, 800), 820, 192
FRAMES, STEPS, SCRIBBLED = 4, 120, 3


def picture(viewer: napari.Viewer, path: Path) -> None:
    """The window as a PNG of few colours."""
    for _ in range(20):
        QApplication.processEvents()
    shown = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)[..., :3])
    shown.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


class Tour:
    """One after the other: annotate and train, predict, correct, measure."""

    def __init__(self, out: Path, folder: Path) -> None:
        self.viewer, self.out, self.folder = napari.Viewer(), out, folder
        self.viewer.window.resize(*WINDOW)
        (images, given, _), (self.truth, _, _) = touching_cells()
        self.cells = self.viewer.add_image(images[:FRAMES], **given)

    def open(self, name: str) -> Any:
        """Open a panel in the place of the one before."""
        self.viewer.window.remove_dock_widget("all")
        return open_panel(self.viewer, name)

    def annotate(self) -> None:
        """Strokes on the first frame; the picture is taken while the network learns."""
        panel = self.open("Annotate and train")
        panel.folder.value, panel.diameter.value, panel.steps.value = self.folder, 50, STEPS
        panel.add_layer()
        drawn, rng = panel.labels_layer.value, np.random.default_rng(1)
        for i in range(SCRIBBLED):
            drawn.data[i] = scribbles(self.truth[i], rng)
        drawn.refresh()
        panel.save()
        self.viewer.dims.set_current_step(0, 0)
        losses = panel.curve.losses
        wait(panel, panel.train, until=lambda: len(losses) > STEPS // 2)
        picture(self.viewer, self.out / "napari-annotate.png")
        wait(panel, lambda: None)
        self.viewer.layers.remove(drawn)
        self.viewer.layers.remove(f"{self.cells.name} preview")

    def predict(self) -> None:
        """The model that has just been trained, and its labels with a threshold chosen afterwards."""
        panel = self.open("Predict")
        wait(panel, panel.predict)
        wait(panel, lambda: setattr(panel.min_area, "value", 60))
        picture(self.viewer, self.out / "napari-predict.png")

    def correct(self) -> None:
        """The page that is suggested, corrected and added."""
        panel = self.open("Correct and train on")
        wait(panel, panel.suggest)
        labels, page = self.viewer.layers[f"{self.cells.name} labels"], panel.page()
        labels.data[page], _ = corrected(labels.data[page], self.truth[page])
        labels.refresh()
        labels.mode, labels.brush_size = "paint", 6
        picture(self.viewer, self.out / "napari-correct.png")
        labels.mode = "pan_zoom"

    def measure(self) -> None:
        """The objects of all frames."""
        panel = self.open("Measure and export")
        wait(panel, panel.measure)
        picture(self.viewer, self.out / "napari-measure.png")


def main(out: Path) -> None:
    """Take all pictures, and one of the first for the README, smaller."""
    with TemporaryDirectory() as folder:
        tour = Tour(out, Path(folder) / "cells")
        tour.annotate()
        tour.predict()
        tour.correct()
        tour.measure()
        tour.viewer.close()
    with Image.open(out / "napari-predict.png") as large:
        small = large.convert("RGB").resize(
            (SMALL, SMALL * large.height // large.width), Image.Resampling.LANCZOS
        )
    small.quantize(COLOURS // 2, dither=Image.Dither.NONE).save(out / "napari.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
