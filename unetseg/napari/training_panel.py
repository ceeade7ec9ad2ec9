"""What the panels that train share: the project's folder, an image, labels, and rounds of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari
import numpy as np
from magicgui.widgets import FileEdit, FloatSpinBox, PushButton, SpinBox
from napari.layers import Image, Labels
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images import LazyImage
from unetseg.napari.layers import full_size
from unetseg.napari.loss_curve import LossCurve
from unetseg.napari.model_choice import ModelChoice
from unetseg.napari.panel import COUNTED, Panel, image_of, layer_choice, shown_page
from unetseg.napari.rounds import (
    LAST_ROUND,
    Preview,
    RoundSettings,
    next_run,
    resumable,
    save_pages,
    train_round,
    trained_rounds,
)
from unetseg.napari.session import SESSION, follow
from unetseg.pipeline.annotation import Zero
from unetseg.pipeline.events import Note, Validated
from unetseg.pipeline.run_experiment import Duration
from unetseg.train import Step

NOTHING = "nothing"
OUTLINE = 2
"""Width in pixels of the outlines of a preview, which let the annotation be seen."""


class TrainingPanel(Panel):
    """What both panels share: a project folder, an image, labels, and rounds of training."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.folder = FileEdit(label="Project folder", mode="d", nullable=True)
        self.image = layer_choice(Image, "Image")
        self.labels_layer = layer_choice(Labels, "Labels")
        self.diameter = FloatSpinBox(label="Diameter (px)", value=SESSION.diameter, min=0, max=10_000)
        self.diameter.tooltip = "About how large an object is; large ones are downsampled. 0: not known"
        self.choice = ModelChoice("Start from", [NOTHING, LAST_ROUND])
        self.start = self.choice.name
        self.steps = SpinBox(label="Steps", value=300, min=1, max=1_000_000)
        self.train_button = PushButton(text="Train a new round")
        self.resume_button = PushButton(text="Resume")
        self.curve = LossCurve()
        self.train_button.clicked.connect(self.train)
        self.resume_button.clicked.connect(self.resume)
        self.folder.value = SESSION.folder
        self.folder.changed.connect(self._choose_folder)
        self.diameter.changed.connect(SESSION.choose_diameter)
        follow(SESSION.changed, self, self._follow_session)

    def add_training(self, *rows: Any) -> None:
        """Put widgets under each other, and those of training at the end."""
        self.add_rows(*rows, self.diameter, self.start, self.choice.file, self.steps, self.train_button,
                      self.resume_button, self.stop_button)  # fmt: skip
        self.native.layout().addWidget(self.curve)

    def project(self) -> Path:
        """The project folder; UserError where none is chosen."""
        if not self.folder.value:
            raise UserError("Choose the project folder first; annotations and models are saved in it.")
        return Path(self.folder.value)

    def settings(self) -> RoundSettings:
        """How the next round is trained; UserError where a model is asked for and not named."""
        start = "" if self.start.value == NOTHING else self.choice.value
        return RoundSettings(self.steps.value, self.diameter.value, start)

    def _choose_folder(self) -> None:
        folder = Path(self.folder.value) if self.folder.value else None
        if folder != SESSION.folder:
            SESSION.choose_folder(folder, trained_rounds(folder) if folder else [])

    def _follow_session(self) -> None:
        """Show the folder and the diameter that were chosen in another panel."""
        if (Path(self.folder.value) if self.folder.value else None) != SESSION.folder:
            self.folder.value = SESSION.folder
        if self.diameter.value != SESSION.diameter:
            self.diameter.value = SESSION.diameter

    def image_source(self) -> LazyImage:
        """The image layer; its channels are those it has as RGB, else one."""
        return image_of(self.image.value)

    def save_drawn(
        self, *, zero: Zero, background: int | None, missing: str, shown_only: bool = False
    ) -> list[Path]:
        """Write pages of the labels layer into the project: see `save_pages`.

        missing: the error without a labels layer; shown_only: only the page on screen.
        """
        if self.labels_layer.value is None:
            raise UserError(missing)
        return save_pages(
            self.project(),
            self.image.value.name,
            self.image_source(),
            self.labels_layer.value.data,
            zero=zero,
            background=background,
            pages=[self.page()] if shown_only else None,
        )

    def page(self) -> int:
        """The number of the page on screen."""
        return shown_page(self.viewer, tuple(self.image_source().axes.values()))

    def train(self) -> None:
        """Train a new round beside the window."""
        folder = self.attempt(self.project)
        if folder is not None:
            self.curve.clear()
            self._train(folder, next_run(folder))

    def resume(self) -> None:
        """Resume the last round, which was stopped."""
        run = self.attempt(lambda: resumable(self.project()))
        if run is not None:
            self._train(self.project(), run)

    def _train(self, folder: Path, run: Path) -> None:
        given = self.attempt(lambda: (self.settings(), self._pixels_shown()))
        if given is None or self.busy:
            return
        (settings, page), layer, number = given, self.image.value, self.page()
        self.tell(f"Training {run.name} …")
        self.run(
            lambda progress, stopped: train_round(folder, run, settings, page, progress, stopped),
            lambda event: self._follow(event, settings.steps, layer, number),
            self._trained,
        )

    def _pixels_shown(self) -> NDArray[Any]:
        return np.asarray(self.image_source().plane(self.page())[...])

    def _follow(self, event: Any, steps: int, layer: Image, number: int) -> None:
        if isinstance(event, Step):
            self.curve.add(event.number, event.loss)
            self.bar.value = round(COUNTED * event.number / steps)
        elif isinstance(event, Duration):
            self.tell(f"About {event.seconds:.0f} s to go")
        elif isinstance(event, Validated):
            scores = ", ".join(f"{name} {value:.3f}" for name, value in event.scores.items())
            self.tell(f"Step {event.step}: {scores or 'no image is held back to score'}")
        elif isinstance(event, Preview):
            self._preview(event, layer, number)
        elif isinstance(event, Note) and event.text.startswith("warning"):
            self.tell(event.text)

    def _preview(self, event: Preview, layer: Image, number: int) -> None:
        """Put the labels of the page on screen into the layer of the preview."""
        lengths = full_size(layer).shape[: -3 if layer.rgb else -2]
        labels = np.zeros((*lengths, *event.labels.shape), np.int32)
        labels.reshape(-1, *event.labels.shape)[number] = event.labels
        active = self.viewer.layers.selection.active  # the user may be drawing in it
        self.show_labels(labels, layer, f"{layer.name} preview").contour = OUTLINE
        self.viewer.layers.selection.active = active

    def _trained(self, run: Path) -> None:
        stopped = self.job is not None and self.job.stopping
        SESSION.add_run(run)
        what = "Stopped; Resume continues it" if stopped else "Done, and chosen in the panel Predict"
        self.tell(f"{what}: {run}")
