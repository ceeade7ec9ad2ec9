"""The panel Predict: labels of a layer by a model, tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from magicgui.widgets import CheckBox, ComboBox, FileEdit, FloatSpinBox, PushButton, SpinBox
from napari.layers import Image

from unetseg import api
from unetseg.errors import UserError
from unetseg.napari.adjusting import Kept
from unetseg.napari.model_choice import FROM_FILE, ModelChoice
from unetseg.napari.panel import (
    COUNTED,
    Panel,
    image_of,
    labels_of,
    layer_choice,
    probability_slider,
    shown_page,
)
from unetseg.napari.reader import read_labels
from unetseg.napari.session import SESSION, follow
from unetseg.pipeline.model import Model


class PredictPanel(Panel):
    """Choose a model and an image layer, and predict; labels of a big image go to an OME-Zarr."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.choice = ModelChoice("Model")
        self.model, self.file = self.choice.name, self.choice.file
        self.layer = layer_choice(Image, "Image")
        self.diameter = FloatSpinBox(label="Diameter (px)", value=0, min=0, max=10_000, step=1)
        self.diameter.tooltip = "Of the objects; 0: estimated, or not used by this model"
        self.pixel_size = CheckBox(text="Resize to the model's pixel size", value=False)
        self.threshold = probability_slider("Threshold", 0.5)
        self.seeds = probability_slider("Seed threshold", 0.0)
        self.seeds.tooltip = "Touching objects are split by a watershed from seeds above it; 0: no splitting"
        self.min_area = SpinBox(label="Min. area (px)", value=0, min=0, max=100_000_000)
        self.keep = CheckBox(text="Adjust the labels at once", value=True)
        self.keep.tooltip = (
            "The probabilities stay in memory (4 bytes a class and pixel): thresholds and minimum area then "
            "change the labels without running the network again"
        )
        self.average = ComboBox(label="Average", choices=[1, 4, 8], value=1)
        self.average.tooltip = "Mean of predictions of the image flipped (4), and turned (8)"
        self.out = FileEdit(label="To disk", mode="w", filter="*.ome.zarr", nullable=True)
        self.out.tooltip = "NAME.ome.zarr for images that do not fit in memory; empty: labels stay in memory"
        self.button = PushButton(text="Predict")
        self.button.clicked.connect(self.predict)
        self.model.changed.connect(self.read_settings)
        self.file.changed.connect(self.read_settings)
        self.kept: Kept | None = None
        self.again = False
        for setting in (self.threshold, self.seeds, self.min_area):
            setting.changed.connect(self.adjust)
        self.add_rows(self.model, self.file, self.layer, self.diameter, self.pixel_size, self.average,
                      self.out, self.button, self.stop_button, self.threshold, self.seeds, self.min_area,
                      self.keep)  # fmt: skip
        follow(SESSION.trained, self, self.choose_run)
        self.read_settings()

    def choose_run(self, run: Path) -> None:
        """Choose a model that has just been trained."""
        self.choice.choose(str(run))

    def chosen_model(self) -> Model:
        """The model, as it was trained; raises UserError where it cannot be loaded."""
        return api.load_model(self.choice.value)

    def read_settings(self) -> None:
        """Show the model's own label settings; labels of another model can no longer be adjusted."""
        self.kept = None
        if self.model.value == FROM_FILE and not self.file.value:
            return
        model = self.attempt(self.chosen_model)
        if model is None:
            return
        labels = model.recipe.labels
        self.threshold.value, self.seeds.value = labels.threshold, labels.seed_threshold
        self.min_area.value, self.average.value = labels.min_area, labels.test_time_augmentation
        self.diameter.enabled = model.recipe.object_diameter > 0
        self.tell("")

    def predict(self) -> None:
        """Predict the layer beside the window."""
        work = self.attempt(self._work)
        if work is not None:
            layer, out, self.kept = self.layer.value, self.out.value, None
            self.run(
                work,
                lambda event: self._show(event, layer),
                lambda found: self._finish(found, layer, Path(out) if out else None),
            )

    def adjust(self) -> None:
        """Make the labels again of the kept probabilities, the page on screen first."""
        kept = self.kept
        if kept is None or kept.layer not in self.viewer.layers:
            return
        if self.busy:
            self.again = True
            self.stop_job()
            return
        settings = self._label_settings()
        first = shown_page(self.viewer, kept.layer.data.shape[:-2])

        def work(progress: Callable[[Any], None], stopped: Callable[[], bool]) -> int | None:
            return kept.relabel(settings, first, progress, stopped)

        self.run(work, kept.show, self._adjusted)

    def forget(self) -> None:
        """Leave the labels as they are: the user has edited them."""
        if self.kept is not None and not self.busy:
            self.kept = None
            self.tell("Labels edited: the sliders no longer change them, Predict makes new ones.")

    def _adjusted(self, objects: int | None) -> None:
        if objects is not None:
            pages = len(self.kept.probabilities.maps) if self.kept else 1
            self.tell(f"{objects} objects" + (f" on {pages} pages" if pages > 1 else ""))

    def _ended(self) -> None:
        super()._ended()
        if self.again:
            self.again = False
            self.adjust()

    def _label_settings(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold.value,
            "seed_threshold": self.seeds.value,
            "min_area": self.min_area.value,
        }

    def _work(self) -> Callable[..., Any]:
        model = self.chosen_model()
        if model.recipe.classes == 2:
            model = api.labelled_as(model, "instances")
        average = self.average.value
        model = api.with_label_settings(model, test_time_augmentation=average, **self._label_settings())
        image = image_of(self.layer.value, model.recipe.normalisation.channels)
        given = {
            "out": Path(self.out.value) if self.out.value else None,
            "diameter": self.diameter.value or None if self.diameter.enabled else None,
            "scale": _to_pixel_size(model, image.spacing_um) if self.pixel_size.value else None,
            "keep": self.keep.value,
        }

        def work(progress: Callable[[Any], None], stopped: Callable[[], bool]) -> Any:
            return api.predict_layer(model, image, **given, progress=progress, stopped=stopped)

        return work

    def _show(self, event: Any, layer: Image) -> None:
        self.bar.value = round(event.done * COUNTED)
        if event.labels is not None:
            self.show_labels(event.labels, layer, labels_of(layer))

    def _finish(self, found: Any, layer: Image, out: Path | None) -> None:
        if found is None:
            self.tell(f"Stopped. {'Predict again to resume.' if out else 'Tiles that were done are shown.'}")
            return
        labels = found.labels if out is None else read_labels(str(out))[-1][0]
        made = self.show_labels(labels, layer, labels_of(layer))
        if found.probabilities is not None:
            self.kept = Kept(made, found.probabilities)
            made.events.paint.connect(self.forget)
        self.tell(f"Done: {made.name}" + (f", in {out}" if out else ""))


def _to_pixel_size(model: Model, spacing: tuple[float, float] | None) -> tuple[float, float]:
    trained = model.recipe.image_spacing_um
    if trained is None or spacing is None:
        missing = "model" if trained is None else "layer"
        raise UserError(f"The pixel size of the {missing} is not known. Do not resize to the pixel size.")
    y, x = (there / wanted for there, wanted in zip(spacing, trained, strict=True))
    return y, x
