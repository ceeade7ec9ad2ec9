"""Labels that follow the label settings on screen, made of kept probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unetseg.streaming.layers import KeptProbabilities

if TYPE_CHECKING:
    from napari.layers import Labels


@dataclass(frozen=True)
class Relabelled:
    """New labels (y, x) of a page, and whether it is the one on screen."""

    page: int
    labels: NDArray[np.int32]
    shown: bool


@dataclass(frozen=True)
class Kept:
    """A labels layer (…, y, x) and the probabilities that it was made of."""

    layer: Labels
    probabilities: KeptProbabilities

    def relabel(
        self,
        settings: dict[str, Any],
        first: int,
        progress: Callable[[Relabelled], None],
        stopped: Callable[[], bool],
    ) -> int | None:
        """Labels of every page, page `first` at first; how many objects there are, None if it was stopped."""
        pages = range(len(self.probabilities.maps))
        objects = 0
        for page in sorted(pages, key=lambda page: page != first):
            if stopped():
                return None
            labels = self.probabilities.labels(page, **settings)
            objects += int(labels.max(initial=0))  # ids count from 1
            progress(Relabelled(page, labels, shown=page == first))
        return objects

    def show(self, made: Relabelled) -> None:
        """Put the labels of a page into the layer."""
        pages = self.layer.data.reshape(-1, *made.labels.shape)
        pages[made.page] = made.labels
        if made.shown:
            self.layer.refresh()
