"""Measurements and outlines of labels in memory, as `measuring` makes them from label files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.exports import FORMATS, LabelledPage
from unetseg.images import LazyImage
from unetseg.images.arrays import array_stack
from unetseg.images.lazy import plane_names
from unetseg.measurements import measure_objects
from unetseg.pipeline.measuring import Measured


def measure_array(
    labels: Any,
    image: Any | None = None,
    *,
    name: str = "labels",
    spacing_um: Sequence[float] | None = None,
) -> list[Measured]:
    """The objects of every page of labels (…, y, x), one `Measured` a page.

    image: an array of the labels' shape, or an opened image of the same pages, for the grey values.
    spacing_um: the pixel size (y, x) in µm. Raises UserError if the image has another size.
    """
    pages, axes = _pages(labels), _axes(labels)
    image = image if image is None or isinstance(image, LazyImage) else array_stack(image)
    if image is not None and (len(image.planes), image.shape[1:]) != (len(pages), pages[0].shape):
        raise UserError(
            f"{name}: {len(pages)} pages of {pages[0].shape} pixels, but the image has {len(image.planes)} "
            f"of {image.shape[1:]}. Choose the image that the labels were made from."
        )
    names = plane_names(axes) if axes else ("",)
    return [
        Measured(
            name,
            frame,
            measure_objects(page, None if image is None else image.plane(i), spacing_um=spacing_um),
        )
        for i, (frame, page) in enumerate(zip(names, pages, strict=True))
    ]


def export_array(labels: Any, out: Path, kind: str, *, name: str = "labels") -> int:
    """Write outlines of labels (…, y, x); kind: one of exports.FORMATS. Returns the number of objects."""
    ending, write = FORMATS[kind]
    if out.suffix.lower() != ending:
        raise UserError(f"{out}: outlines for {kind} are written as {ending}. Give a name with that ending.")
    axes, pages = _axes(labels), _pages(labels)
    lengths = tuple(axes.values())
    places = [dict(zip(axes, map(int, at), strict=True)) for at in np.ndindex(*lengths)] if axes else [{}]
    found = [LabelledPage(name, p, i, at) for i, (p, at) in enumerate(zip(pages, places, strict=True))]
    return write(out, found, None)


def _pages(labels: Any) -> list[NDArray[np.int64]]:
    pixels = np.maximum(np.asarray(labels).astype(np.int64), 0)
    return list(pixels.reshape(-1, *pixels.shape[-2:]))


def _axes(labels: Any) -> dict[str, int]:
    """Names of the axes before y and x, as the writer of labels names them."""
    lengths = tuple(int(n) for n in labels.shape[:-2])
    if len(lengths) > 2:
        raise UserError(f"labels with {len(labels.shape)} axes: 2, 3 or 4 can be measured.")
    return dict(zip("tz", lengths, strict=False))
