"""Which values of a class map are its classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unetseg.errors import UserError
from unetseg.tasks.label_statistics import FEW, LabelStatistics

MOST_CLASSES = 255
EVEN = 1.5
"""Values are evenly spaced (0, 85, 170, 255) if their distances differ by at most this factor."""


def class_values(
    statistics: Sequence[LabelStatistics], not_annotated: tuple[int, ...], given: int | None, source: str
) -> tuple[int, tuple[int, ...]]:
    """The number of classes, and the value of each, the background's first; empty for 0, 1, 2, ….

    A value that no pixel has is not a class, unless `given`, the number of classes, counts it; 0 is not one
    if it marks what is not annotated. Raises UserError for too few or too many classes and for a value
    that seems to mark something else.
    """
    first = 1 if 0 in not_annotated else 0
    found = sorted(frozenset[int]().union(*(s.values for s in statistics)))
    values = tuple(range(first, first + given)) if given else (*range(first == 0), *found)
    if len(values) < 2:
        raise UserError(
            f"{source}: only one class is annotated ({', '.join(map(str, values)) or 'none'}). Annotate the "
            "background too, with a separate value."
        )
    if len(values) > MOST_CLASSES:
        raise UserError(
            f"{source}: {len(values)} classes; at most {MOST_CLASSES}. Are they objects? See data.labels."
        )
    if not given and not any(s.colours for s in statistics):
        _check_spacing(values, source)
    return len(values), () if values == tuple(range(len(values))) else values


def _check_spacing(values: tuple[int, ...], source: str) -> None:
    """Refuse an isolated high value such as 255: it usually marks what is not annotated."""
    steps = np.diff(values)
    if values[-1] > FEW and steps.max() > EVEN * steps.min():
        few = ", ".join(map(str, values[:FEW])) + (", …" if len(values) > FEW else "")
        raise UserError(
            f"{source}: the labels hold the classes {few}. If {values[-1]} is not a class, set "
            f"data.not_annotated = [{values[-1]}]; else renumber the classes 0, 1, 2, …, or set data.labels "
            "if they are objects or a mask."
        )
