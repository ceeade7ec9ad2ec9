"""What the panels have in common: a bar, a line of text, a stop button, and one job at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from magicgui.widgets import Container, FloatSlider, ProgressBar, PushButton, create_widget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from unetseg.errors import UserError
from unetseg.images import LazyImage
from unetseg.images.arrays import array_stack
from unetseg.images.scale import Scale
from unetseg.napari.background import Job, Work
from unetseg.napari.layers import channel_axis, full_size, spacing_of

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

COUNTED = 1000


class Panel(Container):
    """A column of widgets; napari passes `napari_viewer`, by that name, the window that it belongs to."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.job: Job | None = None
        self.status = StatusLine()
        self.bar = ProgressBar(min=0, max=COUNTED, value=0, visible=False)
        self.stop_button = PushButton(text="Stop", enabled=False)
        self.stop_button.clicked.connect(self.stop)

    def add_rows(self, *rows: Any) -> None:
        """Put widgets under each other, and the bar and the line of text at the end."""
        self.extend([*rows, self.bar])
        self.native.layout().addWidget(self.status)

    def run(self, work: Work, on_event: Callable[[Any], None], on_result: Callable[[Any], None]) -> None:
        """Do the work beside the window; what it raises is shown."""
        if self.busy:
            self.tell("Something is running. Stop it first.")
            return
        self.stop_button.enabled, self.bar.value, self.bar.visible = True, 0, True
        self.job = Job(work, on_event, on_result, self._failed)
        self.job.worker.finished.connect(self._ended)
        self.job.start()

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self.job is not None and self.job.running

    def stop(self) -> None:
        """Stop the job; what is done stays."""
        self.stop_job()
        self.tell("Stopping …")

    def stop_job(self) -> None:
        """Ask the job, if one is running, to end."""
        if self.job is not None:
            self.job.stop()

    def tell(self, text: str) -> None:
        """Show a line of text."""
        self.status.value = text

    def attempt(self, act: Callable[[], Any]) -> Any:
        """What `act` returns; None where it raises UserError, which is shown."""
        try:
            return act()
        except (UserError, OSError) as error:
            self.tell(str(error))
            return None

    def show_labels(self, labels: Any, like: Layer, name: str) -> Labels:
        """The labels layer of that name over `like`, with new labels, its scale and place.

        labels: an array, or a list of them, each one a smaller copy of the one before.
        """
        multiscale = isinstance(labels, list)
        ndim = (labels[0] if multiscale else labels).ndim
        if name in self.viewer.layers:
            layer = self.viewer.layers[name]
            if layer.data is labels:
                layer.refresh()
                return layer
            if not multiscale and not layer.multiscale and layer.data.shape == labels.shape:
                layer.data = labels
                return layer
            self.viewer.layers.remove(name)
        given = {"scale": like.scale, "units": like.units, "axis_labels": like.axis_labels}
        placed = {key: list(values)[-ndim:] for key, values in given.items()}
        return self.viewer.add_labels(labels, name=name, multiscale=multiscale, **placed)

    def _failed(self, error: Exception) -> None:
        self.tell(str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}")

    def _ended(self) -> None:
        self.stop_button.enabled, self.bar.visible = False, False


class StatusLine(QLabel):
    """A line of text as wide as the panel, in several lines if it is long."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    @property
    def value(self) -> str:
        """The text."""
        return str(self.text())

    @value.setter
    def value(self, text: str) -> None:
        self.setText(text)


def probability_slider(label: str, value: float) -> FloatSlider:
    """A slider from 0 to 1, its value in its label: napari's style leaves no room for a number beside it."""
    slider = FloatSlider(value=value, min=0, max=1, step=0.01, readout=False)

    def show(value: float) -> None:
        slider.label = f"{label} {value:.2f}"

    slider.changed.connect(show)
    show(value)
    return slider


def layer_choice(kind: type, label: str) -> Any:
    """A list of the viewer's layers of one kind."""
    return create_widget(annotation=kind, label=label)


def labels_of(layer: Image) -> str:
    """The name of the layer of labels predicted of an image."""
    return f"{layer.name} labels"


def shown_page(viewer: napari.Viewer, lengths: Sequence[int]) -> int:
    """The number of the page on screen of a layer whose axes before y and x have these lengths."""
    if not lengths:
        return 0
    at = [round(i) for i in viewer.dims.current_step[-len(lengths) - 2 : -2]]
    return int(np.ravel_multi_index(at, tuple(lengths), mode="clip"))


def image_of(layer: Image | None, channels: int | None = None) -> LazyImage:
    """The layer as an image of `channels` channels, read by regions; UserError where it has none so.

    Without `channels` it has those of its colours as RGB, else one.
    """
    if layer is None:
        raise UserError("Open an image first (or File > Open Sample > unetseg).")
    data = full_size(layer)
    if channels is None:
        channels = data.shape[-1] if layer.rgb else 1
    axis = channel_axis(data.shape, channels, rgb=bool(layer.rgb))
    return array_stack(data, axis, Scale(_pair(spacing_of(layer.scale, layer.units))))


def _pair(spacing: tuple[float, ...] | None) -> tuple[float, float] | None:
    return None if spacing is None else (spacing[-2], spacing[-1])
