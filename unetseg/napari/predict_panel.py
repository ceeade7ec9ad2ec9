"""The panel Predict: labels of a layer by a model, tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from magicgui.widgets import CheckBox, ComboBox, FileEdit, FloatSpinBox, PushButton
from napari.layers import Image

from unetseg import api
from unetseg.errors import UserError
from unetseg.models import local_runs, shipped_models
from unetseg.napari.panel import COUNTED, Panel, image_of, layer_choice
from unetseg.pipeline.model import Model
from unetseg.pipeline.prediction import trained_pixel_size

FROM_FILE = "a run folder or model file below"


class PredictPanel(Panel):
    """Choose a model and an image layer, and predict; labels of a big image go to an OME-Zarr."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        names = [*shipped_models(), *(str(path) for path in local_runs())]
        self.model = ComboBox(
            label="Model", choices=[*names, FROM_FILE], value=names[0] if names else FROM_FILE
        )
        self.file = FileEdit(label="Run or file", mode="d", nullable=True)
        self.layer = layer_choice(Image, "Image")
        self.diameter = FloatSpinBox(label="Diameter (px)", value=0, min=0, max=10_000, step=1)
        self.diameter.tooltip = "Of the objects; 0: estimated, or not used by this model"
        self.pixel_size = CheckBox(text="Resize to the model's pixel size", value=False)
        self.threshold = FloatSpinBox(label="Threshold", value=0.5, min=0, max=1, step=0.05)
        self.seeds = FloatSpinBox(label="Seed threshold", value=0, min=0, max=1, step=0.05)
        self.seeds.tooltip = "Touching objects are split by a watershed from seeds above it; 0: no splitting"
        self.average = ComboBox(label="Average", choices=[1, 4, 8], value=1)
        self.average.tooltip = "Mean of predictions of the image flipped (4), and turned (8)"
        self.out = FileEdit(label="To disk", mode="w", filter="*.ome.zarr", nullable=True)
        self.out.tooltip = "NAME.ome.zarr for images that do not fit in memory; empty: labels stay in memory"
        self.button = PushButton(text="Predict")
        self.button.clicked.connect(self.predict)
        self.model.changed.connect(self.read_settings)
        self.file.changed.connect(self.read_settings)
        self.extend([self.model, self.file, self.layer, self.diameter, self.pixel_size, self.threshold,
                     self.seeds, self.average, self.out, self.button, self.stop_button, self.bar,
                     self.status])  # fmt: skip
        self.read_settings()

    def chosen_model(self) -> Model:
        """The model, as it was trained; raises UserError where it cannot be loaded."""
        if self.model.value != FROM_FILE:
            return api.load_model(self.model.value)
        if not self.file.value:
            raise UserError("Choose a run folder, or type the path of a model file.")
        return api.load_model(self.file.value)

    def read_settings(self) -> None:
        """Show the model's own thresholds."""
        if self.model.value == FROM_FILE and not self.file.value:
            return
        model = self.attempt(self.chosen_model)
        if model is None:
            return
        labels = model.recipe.labels
        self.threshold.value, self.seeds.value = labels.threshold, labels.seed_threshold
        self.average.value = labels.test_time_augmentation
        self.diameter.enabled = model.recipe.object_diameter > 0
        self.tell("")

    def predict(self) -> None:
        """Predict the layer beside the window."""
        work = self.attempt(self._work)
        if work is not None:
            layer = self.layer.value
            name = f"{layer.name} labels"
            self.run(
                work,
                lambda event: self._show(event, layer, name),
                lambda labels: self._finish(labels, layer, name),
            )

    def _work(self) -> Callable[..., Any]:
        model = self.chosen_model()
        if model.recipe.classes == 2:
            model = api.labelled_as(model, "instances")
        model = api.with_label_settings(
            model,
            threshold=self.threshold.value,
            seed_threshold=self.seeds.value,
            test_time_augmentation=self.average.value,
        )
        image = image_of(self.layer.value, model.recipe.normalisation.channels)
        out = Path(self.out.value) if self.out.value else None
        scale = _to_pixel_size(model, image.spacing_um) if self.pixel_size.value else None
        diameter = self.diameter.value or None if self.diameter.enabled else None

        def work(progress: Callable[[Any], None], stopped: Callable[[], bool]) -> Any:
            return api.predict_layer(
                model, image, out, diameter=diameter, scale=scale, progress=progress, stopped=stopped
            )

        return work

    def _show(self, event: Any, layer: Image, name: str) -> None:
        self.bar.value = round(event.done * COUNTED)
        if event.labels is not None:
            self.show_labels(event.labels, layer, name)

    def _finish(self, labels: Any, layer: Image, name: str) -> None:
        if labels is None:
            self.tell("Stopped. Tiles that were done are shown.")
            return
        self.show_labels(labels, layer, name)
        self.tell(f"Done: {name}" + (f", in {self.out.value}" if self.out.value else ""))


def _to_pixel_size(model: Model, spacing: tuple[float, float] | None) -> tuple[float, float]:
    trained = trained_pixel_size(model.recipe)
    if trained is None or spacing is None:
        missing = "model" if trained is None else "layer"
        raise UserError(f"The pixel size of the {missing} is not known. Do not resize to the pixel size.")
    y, x = (there / wanted for there, wanted in zip(spacing, trained, strict=True))
    return y, x
