"""The physical size of a step along each axis of an image, and the axes that results have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby, product
from typing import Any

import numpy as np

UM = {
    **dict.fromkeys(("micron", "microns", "micrometer", "micrometers", "um", "µm", "μm", "\\u00B5m"), 1.0),
    **dict.fromkeys(("nm", "nanometer"), 1e-3),
    **dict.fromkeys(("mm", "millimeter"), 1e3),
    **dict.fromkeys(("cm", "centimeter"), 1e4),
    **dict.fromkeys(("m", "meter"), 1e6),
    **dict.fromkeys(("Å", "angstrom"), 1e-4),
}
"""Units of length in µm, by the names that files give them."""
SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond"), 1e-3),
    **dict.fromkeys(("min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
}
"""Units of time in seconds."""


@dataclass(frozen=True)
class Scale:
    """Distance of neighbouring pixels (y, x) and slices in µm, and of frames in seconds; None if unknown."""

    yx_um: tuple[float, float] | None = None
    z_um: float | None = None
    frame_s: float | None = None

    @classmethod
    def of(cls, spacing_um: tuple[float, ...] | None, frame_s: float | None = None) -> Scale:
        """From a spacing (y, x) or (z, y, x) in µm."""
        if spacing_um is None:
            return cls(frame_s=frame_s)
        z = spacing_um[0] if len(spacing_um) == 3 else None
        return cls((spacing_um[-2], spacing_um[-1]), z, frame_s)


def in_unit(size: Any, unit: Any, units: dict[str, float]) -> float | None:
    """A size from a file's metadata in µm or seconds; None if it is not a positive number of a known unit.

    >>> in_unit("250", "nm", UM)
    0.25
    """
    try:
        value = float(size) * units[str(unit)]
    except (KeyError, TypeError, ValueError):
        return None
    return value if 0 < value < math.inf else None


def pair(y: float | None, x: float | None) -> tuple[float, float] | None:
    """(y, x) if both are known."""
    return None if y is None or x is None else (y, x)


def time_and_slices(axes: dict[str, int], scale: Scale) -> tuple[dict[str, int], Scale]:
    """The axes of planes as results have them, t and z, and their scale; every axis but z becomes t.

    Planes keep their order: if there are other axes on both sides of z, all planes follow one another in t.
    >>> time_and_slices({"i": 2, "z": 3}, Scale(z_um=1.5, frame_s=60))
    ({'t': 2, 'z': 3}, Scale(yx_um=None, z_um=1.5, frame_s=None))
    >>> time_and_slices({"t": 2, "z": 3, "r": 4}, Scale())[0]
    {'t': 24}
    """
    runs = [
        ("z" if is_z else "t", math.prod(n for _, n in run))
        for is_z, run in groupby(axes.items(), key=lambda item: item[0] == "z")
    ]
    made = dict(runs) if len(dict(runs)) == len(runs) else {"t": math.prod(axes.values())}
    z = scale.z_um if "z" in made or "z" not in axes else None
    frame = scale.frame_s if made.get("t", 1) == axes.get("t", 1) else None
    return made, Scale(scale.yx_um, z, frame)


def chosen_axes(axes: dict[str, int], scale: Scale, numbers: list[int]) -> tuple[dict[str, int], Scale]:
    """The axes and scale of some planes of an image, by their numbers.

    If they form a grid, its axes keep their names, and their distances grow with its steps; other
    planes follow one another along "t", at an unknown distance.

    >>> chosen_axes({"t": 3, "z": 4}, Scale(z_um=1.5, frame_s=60), [0, 2, 8, 10])
    ({'t': 2, 'z': 2}, Scale(yx_um=None, z_um=3.0, frame_s=120.0))
    """
    places = np.unravel_index(numbers, tuple(axes.values())) if axes else ()
    along = {name: sorted(set(place.tolist())) for name, place in zip(axes, places, strict=True)}
    grid = (
        [int(np.ravel_multi_index(at, tuple(axes.values()))) for at in product(*along.values())]
        if axes
        else []
    )
    steps = {name: set(np.diff(at).tolist()) for name, at in along.items()}
    if grid != numbers or any(len(found) > 1 for found in steps.values()):
        known = {"t": len(numbers)} if len(numbers) > 1 else {}
        return known, Scale(scale.yx_um)
    step = {name: float(min(found, default=1)) for name, found in steps.items()}
    z = scale.z_um and scale.z_um * step.get("z", 1.0)
    frame = scale.frame_s and scale.frame_s * step.get("t", 1.0)
    return {name: len(at) for name, at in along.items() if len(at) > 1}, Scale(scale.yx_um, z, frame)
