"""The panel Correct and train on: edits of predicted labels become training data."""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
from magicgui.widgets import Label, PushButton
from napari.layers import Image, Labels

from unetseg import api
from unetseg.errors import UserError
from unetseg.images import LazyImage
from unetseg.napari.layers import channel_axis, full_size
from unetseg.napari.panel import COUNTED, image_of, labels_of
from unetseg.napari.rounds import LAST_ROUND, last_model, page_name
from unetseg.napari.training_panel import TrainingPanel
from unetseg.pipeline.suggest import most_uncertain


class CorrectPanel(TrainingPanel):
    """Edit predicted labels, add them to the training data, see which image is worth it next."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.add_button = PushButton(text="Use this page as training data")
        self.suggest_button = PushButton(text="Which page next?")
        self.convention = Label(label="Values", value="0 background · 1, 2, … objects")
        self.add_button.tooltip = "All of the page is learned: correct all of it first"
        self.ranking: list[tuple[str, float]] = []
        self.start.value = LAST_ROUND
        self.image.changed.connect(self.choose_labels)
        self.add_button.clicked.connect(self.add)
        self.suggest_button.clicked.connect(self.suggest)
        self.add_training(self.folder, self.image, self.suggest_button, self.labels_layer,
                          self.convention, self.add_button)  # fmt: skip

    def choose_labels(self) -> None:
        """Choose the labels that were predicted of the image, if there are any."""
        predicted = self._predicted()
        if predicted is not None:
            self.labels_layer.value = predicted

    def reset_choices(self, *_: Any) -> None:
        """List the layers that are there by now; labels that have just been predicted are chosen."""
        before = self.labels_layer.choices
        super().reset_choices()
        predicted = self._predicted()
        if predicted is not None and predicted not in before:
            self.labels_layer.value = predicted

    def _predicted(self) -> Labels | None:
        """The layer of the labels that were predicted of the image."""
        names = [] if self.image.value is None else [labels_of(self.image.value)]
        return next((layer for layer in self.labels_layer.choices if layer.name in names), None)

    def add(self) -> None:
        """Write the corrected page on screen into the project folder."""
        written = self.attempt(
            lambda: self.save_drawn(
                zero="background",
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
        model = api.with_label_settings(model, test_time_augmentation=1)  # every page is waited for
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
        self.choose_labels()
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
