"""The panel Annotate and train: draw a little, save, train."""

from __future__ import annotations

import napari
import numpy as np
from magicgui.widgets import ComboBox, Label, PushButton, SpinBox

from unetseg.napari.layers import full_size
from unetseg.napari.training_panel import TrainingPanel
from unetseg.pipeline.annotation import Zero

NOT_ANNOTATED: Zero = "not annotated"
BACKGROUND: Zero = "background"


class AnnotatePanel(TrainingPanel):
    """Draw a little, save, train."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.new_layer = PushButton(text="New labels layer")
        self.zero = ComboBox(label="0 means", choices=[NOT_ANNOTATED, BACKGROUND], value=NOT_ANNOTATED)
        self.background = SpinBox(label="Background is", value=1, min=1, max=65_535)
        self.convention = Label(label="Values", value="")
        self.save_button = PushButton(text="Save annotation")
        self.zero.changed.connect(self.explain)
        self.background.changed.connect(self.explain)
        self.new_layer.clicked.connect(self.add_layer)
        self.save_button.clicked.connect(self.save)
        self.add_training(self.folder, self.image, self.new_layer, self.labels_layer, self.zero,
                          self.background, self.convention, self.save_button)  # fmt: skip
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
        self.labels_layer.reset_choices()
        self.labels_layer.value = made

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
