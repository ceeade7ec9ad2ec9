"""The panels Annotate and train, and Correct and train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari
import numpy as np
from magicgui.widgets import ComboBox, FileEdit, Label, PushButton, SpinBox
from napari.layers import Image, Labels

from unetseg.errors import UserError
from unetseg.images import LazyImage
from unetseg.napari.layers import channel_axis, full_size
from unetseg.napari.loss_curve import LossCurve
from unetseg.napari.panel import COUNTED, Panel, image_of, layer_choice
from unetseg.napari.rounds import (
    Preview,
    last_model,
    next_run,
    page_name,
    resumable,
    save_pages,
    train_round,
)
from unetseg.pipeline.annotation import Zero, most_uncertain
from unetseg.pipeline.events import Note, Validated
from unetseg.pipeline.run_experiment import Duration
from unetseg.train import Step

NOT_ANNOTATED: Zero = "not annotated"
BACKGROUND: Zero = "background"


class TrainingPanel(Panel):
    """What both panels share: a project folder, an image, labels, and rounds of training."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.folder = FileEdit(label="Project folder", mode="d", nullable=True)
        self.image = layer_choice(Image, "Image")
        self.labels = layer_choice(Labels, "Labels")
        self.steps = SpinBox(label="Steps", value=300, min=1, max=1_000_000)
        self.train_button = PushButton(text="Train a new round")
        self.resume_button = PushButton(text="Resume")
        self.curve = LossCurve()
        self.train_button.clicked.connect(self.train)
        self.resume_button.clicked.connect(self.resume)

    def add_training(self) -> None:
        """Put the widgets of training at the end of the panel."""
        self.extend(
            [self.steps, self.train_button, self.resume_button, self.stop_button, self.bar, self.status]
        )
        self.native.layout().addWidget(self.curve)

    def project(self) -> Path:
        """The project folder; UserError where none is chosen."""
        if not self.folder.value:
            raise UserError("Choose the project folder first; annotations and models are saved in it.")
        return Path(self.folder.value)

    def image_source(self) -> LazyImage:
        """The image layer; its channels are those it has as RGB, else one."""
        return image_of(self.image.value)

    def save_drawn(
        self, *, zero: Zero, background: int | None, missing: str, shown_only: bool = False
    ) -> list[Path]:
        """Write pages of the labels layer into the project: see `save_pages`.

        missing: the error without a labels layer; shown_only: only the page on screen.
        """
        if self.labels.value is None:
            raise UserError(missing)
        return save_pages(
            self.project(),
            self.image.value.name,
            self.image_source(),
            self.labels.value.data,
            zero=zero,
            background=background,
            pages=[self.page()] if shown_only else None,
        )

    def page(self) -> int:
        """The number of the page on screen."""
        lengths = tuple(self.image_source().axes.values())
        at = [round(i) for i in self.viewer.dims.current_step[-len(lengths) - 2 : -2]] if lengths else []
        return int(np.ravel_multi_index(at, lengths, mode="clip")) if lengths else 0

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
        page = self.attempt(lambda: np.asarray(self.image_source().plane(self.page())[...]))
        if page is None or self.busy:
            return
        steps, layer, number = self.steps.value, self.image.value, self.page()
        self.tell(f"Training {run.name} …")
        self.run(
            lambda progress, stopped: train_round(folder, run, steps, page, progress, stopped),
            lambda event: self._follow(event, steps, layer, number),
            self._trained,
        )

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
        self.show_labels(labels, layer, f"{layer.name} preview")

    def _trained(self, run: Path) -> None:
        stopped = self.job is not None and self.job.stopping
        what = "Stopped; Resume goes on" if stopped else "Done; choose it in the panel Predict"
        self.tell(f"{what}: {run}")


class AnnotatePanel(TrainingPanel):
    """Draw a little, save, train."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.new_layer = PushButton(text="New labels layer")
        self.zero = ComboBox(label="0 means", choices=[NOT_ANNOTATED, BACKGROUND], value=NOT_ANNOTATED)
        self.background = SpinBox(label="Background value", value=1, min=1, max=65_535)
        self.convention = Label(value="")
        self.save_button = PushButton(text="Save annotation")
        self.zero.changed.connect(self.explain)
        self.background.changed.connect(self.explain)
        self.new_layer.clicked.connect(self.add_layer)
        self.save_button.clicked.connect(self.save)
        self.extend([self.folder, self.image, self.new_layer, self.labels, self.zero, self.background,
                     self.convention, self.save_button])  # fmt: skip
        self.add_training()
        self.explain()

    def explain(self) -> None:
        """Show what the values mean."""
        value = self.background.value
        self.convention.value = (
            f"0 {self.zero.value} · {value} background · {'2, 3, …' if value == 1 else 'others'} objects"
        )

    def add_layer(self) -> None:
        """A labels layer over the image to draw in."""
        layer = self.image.value
        if layer is None:
            self.tell("Open an image first (or File > Open Sample > unetseg).")
            return
        shape = full_size(layer).shape[: -1 if layer.rgb else None]
        made = self.show_labels(np.zeros(shape, np.uint16), layer, f"{layer.name} annotation")
        made.mode, made.brush_size, made.selected_label = "paint", 5, 2
        self.labels.reset_choices()
        self.labels.value = made

    def save(self) -> None:
        """Write every page that something is drawn on."""
        written = self.attempt(
            lambda: self.save_drawn(
                zero=self.zero.value,
                background=self.background.value,
                missing="Make a labels layer first, and draw in it.",
            )
        )
        if written is not None:
            self.tell(f"Saved {len(written)} annotated image(s) in {self.folder.value}")


class CorrectPanel(TrainingPanel):
    """Edit predicted labels, add them to the training data, see which image is worth it next."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.add_button = PushButton(text="Use this page as training data")
        self.suggest_button = PushButton(text="Which page next?")
        self.convention = Label(value="0 background · 1, 2, … objects: correct all of the page")
        self.ranking: list[tuple[str, float]] = []
        self.add_button.clicked.connect(self.add)
        self.suggest_button.clicked.connect(self.suggest)
        self.extend(
            [self.folder, self.image, self.labels, self.convention, self.add_button, self.suggest_button]
        )
        self.add_training()

    def add(self) -> None:
        """Write the corrected page on screen into the project folder."""
        written = self.attempt(
            lambda: self.save_drawn(
                zero=BACKGROUND,
                background=None,
                missing="Predict first, and choose the predicted labels.",
                shown_only=True,
            )
        )
        if written is not None:
            self.tell(f"Added {written[0].stem}. Correct more, or train a new round.")

    def suggest(self) -> None:
        """Rank the pages of all image layers by the last model's uncertainty, and go to the first."""
        model = self.attempt(lambda: last_model(self.project()))
        if model is None:
            return
        layers = [layer for layer in self.viewer.layers if isinstance(layer, Image)]
        channels = model.recipe.normalisation.channels
        fitting = [(layer, image_of(layer, channels)) for layer in layers if _fits(layer, channels)]
        pages = [(layer, image, i) for layer, image in fitting for i in range(len(image.planes))]
        images = ((str(n), np.asarray(image.plane(i)[...])) for n, (_, image, i) in enumerate(pages))
        known = {p.stem for p in (self.project() / "labels").glob("*.tif")}
        done = iter(range(1, len(pages) + 1))

        def work(progress: Any, stopped: Any) -> Any:
            return most_uncertain(model, images, progress=lambda name: progress(next(done)), stopped=stopped)

        self.run(
            work,
            lambda count: setattr(self.bar, "value", round(COUNTED * count / max(1, len(pages)))),
            lambda found: self._suggested([(*pages[int(n)], value) for n, value in found], known),
        )

    def _suggested(self, found: list[tuple[Image, LazyImage, int, float]], known: set[str]) -> None:
        """Show the most uncertain page that is not annotated yet; found: pages, the most uncertain first."""
        named = [(layer, i, page_name(layer.name, image, i), value) for layer, image, i, value in found]
        self.ranking = [(name, value) for _, _, name, value in named]
        new = [page for page in named if page[2] not in known]
        if not new:
            self.tell("Every page is annotated.")
            return
        layer, number, name, value = new[0]
        self.image.reset_choices()
        self.image.value = layer
        lengths = full_size(layer).shape[: -3 if layer.rgb else -2]
        for axis, at in enumerate(np.unravel_index(number, lengths) if lengths else ()):
            self.viewer.dims.set_current_step(axis, int(at))
        self.tell(f"Next: {name} (uncertainty {value:.3f}, the highest of {len(new)} not annotated)")


def _fits(layer: Image, channels: int) -> bool:
    try:
        channel_axis(full_size(layer).shape, channels, rgb=bool(layer.rgb))
    except UserError:
        return False
    return True
