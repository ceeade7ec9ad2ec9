"""LIF files, read frame by frame with the package liffile; the images of a file are its scenes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.images.microscopes.scenes import Place, Scene
from unetseg.images.scale import SECONDS, UM, Scale, in_unit, pair

AXES = {1: "X", 2: "Y", 3: "Z", 4: "T"}
"""Leica's numbers of dimensions."""


def leica_scenes(path: Path) -> Sequence[Scene]:
    """The images of a LIF file."""
    import liffile

    file, lock = liffile.LifFile(path), Lock()
    return [
        Scene(
            name=image.name,
            axes={axis: int(n) for axis, n in image.sizes.items()},
            dtype=np.dtype(image.dtype),
            scale=_scale(image),
            chunk=(int(image.sizes["Y"]), int(image.sizes["X"])),
            read=partial(_read, image, lock),
        )
        for image in file.images
        if {"Y", "X"} <= set(image.sizes)
    ]


def _read(image: Any, lock: Lock, at: Place, y: slice, x: slice) -> NDArray[Any]:
    with lock:
        return np.asarray(image.frame(**at))[y, x]


def _scale(image: Any) -> Scale:
    """Leica gives the distance of the first and the last pixel, slice or frame, and its unit."""
    steps = {}
    for dimension in image.xml_element.iterfind(".//DimensionDescription"):
        count, length = int(dimension.get("NumberOfElements", 1)), float(dimension.get("Length") or 0)
        step = abs(length) / (count - 1) if count > 1 else 0
        steps[AXES.get(int(dimension.get("DimID", 0)))] = in_unit(step, dimension.get("Unit"), UM | SECONDS)
    return Scale(pair(steps.get("Y"), steps.get("X")), steps.get("Z"), steps.get("T"))
