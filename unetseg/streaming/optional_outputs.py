"""What a result of a large image holds beside labels, if it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from unetseg.streaming.journal import checksum

Map = NDArray[Any]


class ProbabilityStore(Protocol):
    """Where probabilities go, if they are kept."""

    def write_probabilities(self, plane: int, y: slice, x: slice, maps: Map) -> Map:
        """Write (k, y, x) on chunk borders; gives the values as they are stored."""

    def read_probabilities(self, plane: int, y: slice, x: slice) -> Map:
        """The values as they are stored."""


@dataclass(frozen=True)
class OptionalOutputs:
    """What a result holds beside labels: probabilities of a dtype (None: none), a copy of the image."""

    probabilities: Literal["uint8", "float16"] | None = None
    image: bool = False


def keep_probabilities(
    store: ProbabilityStore | None, plane: int, region: tuple[slice, slice], maps: Map | None, classes: int
) -> list[int]:
    """Write the probabilities of a region (0 where none were computed), if they are kept; their checksum."""
    if store is None:
        return []
    y, x = region
    nothing = np.zeros((classes, y.stop - y.start, x.stop - x.start), np.float32)
    return [checksum(store.write_probabilities(plane, y, x, nothing if maps is None else maps))]
