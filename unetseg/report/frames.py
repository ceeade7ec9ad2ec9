"""The scored frames that a page shows: of a run's test part, or of label files scored later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.evaluation.by_kind import Pair
from unetseg.evaluation.frame_images import read_frame_image
from unetseg.images.whole import read_stack
from unetseg.run import Run
from unetseg.sample import Entry, LabelKind


@dataclass(frozen=True)
class Frame:
    """One scored frame: image (c, *yx), truth and prediction (*yx), pixel size in µm along *yx.

    probability: of the foreground, (*yx) in 0…1 or in 8 bits, if the run kept it.
    """

    name: str
    image: NDArray[Any]
    truth: NDArray[Any]
    predicted: NDArray[Any]
    spacing_um: tuple[float, ...] | None = None
    probability: NDArray[Any] | None = None

    def plane(self, z: int | None = None) -> Frame:
        """Slice z of a volume (by default the middle one); an image as it is."""
        if self.truth.ndim == 2:
            return self
        z = len(self.truth) // 2 if z is None else z
        probability = None if self.probability is None else self.probability[z]
        spacing = None if self.spacing_um is None else self.spacing_um[-2:]
        return Frame(self.name, self.image[:, z], self.truth[z], self.predicted[z], spacing, probability)


class Frames(Protocol):
    """Frames by name, each read on request."""

    @property
    def places(self) -> Mapping[str, tuple[str, int]]:
        """The group (film, stack or file) of each frame and its index in it, by name."""

    def read(self, name: str) -> tuple[Frame, LabelKind]:
        """One frame, whole; raises UserError if it can no longer be read."""


@dataclass(frozen=True)
class RunFrames:
    """The frames of a run's test part whose predictions are still in RUN/test."""

    run: Run
    entries: Mapping[str, Entry]

    @property
    def places(self) -> Mapping[str, tuple[str, int]]:
        """See Frames."""
        return {name: (entry.group, entry.index) for name, entry in self.entries.items()}

    def read(self, name: str) -> tuple[Frame, LabelKind]:
        """Image and truth from the data, prediction and probabilities from RUN/test."""
        sample = self.entries[name].read()
        truth = np.asarray(sample.labels)
        predicted = read_stack(self.run.tested(name)).pixels[:, 0].astype(np.int32)
        labels = predicted if truth.ndim == 3 else predicted[0]
        if labels.shape != truth.shape:
            raise UserError(
                f"the prediction is {labels.shape} pixels and the truth {truth.shape}; the data have changed."
            )
        frame = Frame(name, np.asarray(sample.image), truth, labels, sample.spacing_um)
        return replace(frame, probability=self._probability(frame)), sample.kind

    def _probability(self, frame: Frame) -> NDArray[Any] | None:
        """The foreground's probabilities; None if the run kept none, or they do not fit."""
        path = self.run.probability(frame.name)
        if not path.is_file():
            return None
        try:
            pixels = read_stack(path).pixels[:, 0]
        except UserError:
            return None
        values: NDArray[Any] = pixels if frame.truth.ndim == 3 else pixels[0]
        return values if values.shape == frame.truth.shape else None


@dataclass(frozen=True)
class FileFrames:
    """Frames of label files that were scored, on their images or on black."""

    pairs: Mapping[str, Pair]
    kind: LabelKind = "instances"
    images: Path | None = None
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    def read(self, name: str) -> tuple[Frame, LabelKind]:
        """The given labels, and the image from its file."""
        _, truth, predicted = self.pairs[name]
        black = np.zeros((1, *truth.shape), np.uint8)
        image = black if self.images is None else read_frame_image(self.images, name, truth.shape)
        return Frame(name, image, truth, predicted), self.kind
