"""Any format that BioIO has a reader for, plane by plane."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.microscopes.scenes import Place, Scene
from unetseg.images.scale import SECONDS, UM, Scale, in_unit, pair


def bioio_scenes(path: Path) -> Sequence[Scene]:
    """The scenes of a file that BioIO reads; UserError if none of its readers does."""
    from bioio import BioImage
    from bioio_base.exceptions import UnsupportedFileFormatError

    try:
        image = BioImage(path)
    except UnsupportedFileFormatError:
        raise UserError(
            f"{path}: no installed reader of BioIO reads {path.suffix} files. Install one for this format "
            "(such as bioio-dv or bioio-vsi), or convert the file to TIFF in Fiji."
        ) from None
    return [_scene(image, name) for name in image.scenes]


def _scene(image: Any, name: str) -> Scene:
    image.set_scene(name)
    pixels = image.reader.dask_data
    axes = dict(zip(image.reader.dims.order, map(int, pixels.shape), strict=True))
    read = partial(_read, pixels, tuple(axes))
    return Scene(name, axes, np.dtype(pixels.dtype), _scale(image), (axes["Y"], axes["X"]), read)


def _read(pixels: Any, letters: tuple[str, ...], at: Place, y: slice, x: slice) -> NDArray[Any]:
    span = {"Y": y, "X": x, "S": slice(None)}
    return np.asarray(pixels[tuple(span.get(a, at.get(a, 0)) for a in letters)])


def _scale(image: Any) -> Scale:
    sizes = image.physical_pixel_sizes
    um = {axis: in_unit(getattr(sizes, axis), "um", UM) for axis in "ZYX"}
    interval = image.time_interval  # a timedelta, or a number of seconds
    seconds = interval.total_seconds() if isinstance(interval, timedelta) else interval
    return Scale(pair(um["Y"], um["X"]), um["Z"], in_unit(seconds, "s", SECONDS))
