"""How label files are read: as masks, class maps or instance ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetseg.errors import UserError
from unetseg.sample import NOT_ANNOTATED, LabelKind
from unetseg.tasks.label_planes import check_not_negative, label_plane, one_channel

Meaning = Literal["instances", "mask", "classes"]


@dataclass(frozen=True)
class LabelRule:
    """How the values of a data set's label files become object ids or classes.

    meaning: of the values. kind: what is learnt; a mask of vessels or membranes is learnt as two
    classes, any other mask as objects. classes: how many are learnt, including the background.
    values: the file's value of each class, in order; empty if they are 0, 1, 2, …. threshold: values
    above it are a mask's foreground. not_annotated: values that are not labels. objects_only: pixels
    outside the objects are not annotated either.
    """

    meaning: Meaning
    kind: LabelKind = "instances"
    classes: int = 2
    values: tuple[int, ...] = ()
    threshold: float = 0.0
    not_annotated: tuple[int, ...] = ()
    objects_only: bool = False

    def read(self, pixels: NDArray[Any], name: str) -> NDArray[np.int32]:
        """Label pixels (c, *yx) to (*yx) int32: object ids or classes, −1 where not annotated.

        The edge-connected components of a mask become its objects.
        """
        plane = one_channel(pixels, name)[0] if self.threshold else label_plane(pixels, name)
        unknown = np.isin(plane, list(self.not_annotated))
        known = np.where(unknown, 0, plane)
        check_not_negative(int(known.min(initial=0)), name)
        labels = self._labels(known, unknown, name)
        if self.objects_only:
            unknown = unknown | (labels == 0)
        return np.where(unknown, NOT_ANNOTATED, labels).astype(np.int32)

    def _labels(self, known: NDArray[Any], unknown: NDArray[np.bool_], name: str) -> NDArray[Any]:
        if self.meaning == "mask":
            foreground = known > self.threshold
            return foreground if self.kind == "classes" else ndimage.label(foreground)[0]
        return known if self.kind == "instances" or not self.values else self._indices(known, unknown, name)

    def _indices(self, known: NDArray[Any], unknown: NDArray[np.bool_], name: str) -> NDArray[np.int64]:
        """The index of every value in `values`."""
        values = np.array(self.values)
        places = np.searchsorted(values, known).clip(max=len(values) - 1)
        wrong = (values[places] != known) & ~unknown
        if wrong.any():
            raise UserError(
                f"{name}: the labels hold class {int(known[wrong][0])}, but only the classes "
                f"{', '.join(map(str, self.values))} are allowed here. Correct the label image, or set "
                "data.classes to the number of classes."
            )
        return places
