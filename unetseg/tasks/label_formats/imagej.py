"""ROIs of ImageJ and Fiji: a ROI set (.zip) or a single ROI (.roi)."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.limits import check_claim
from unetseg.tasks.label_formats.painting import Canvas, ObjectMask, outlined

OURS = re.compile(r"\d{4}-(\d{5,})(?:-\d+)?")
"""Names that export-labels gives: page, id, and the piece of an object in several pieces."""
AREAS = {"POLYGON", "RECT", "OVAL", "FREEHAND", "TRACED"}
NO_AREAS = {"TEXT", "ARROW", "IMAGE"}


def imagej_objects(path: Path, canvas: Canvas) -> tuple[list[ObjectMask], int]:
    """The objects of a ROI set, and how many ROIs enclose no pixel: lines, points, text.

    The pieces of an object that export-labels wrote are one object again, with its id; other ROIs are
    numbered in their order. In a stack every ROI names its slice or frame.
    """
    found, without_area, rois = [], 0, list(_rois(path))
    ids = [int(m[1]) if (m := OURS.fullmatch(roi.name or "")) else 0 for roi in rois]
    following = max(ids, default=0)
    for roi, known in zip(rois, ids, strict=True):
        following += not known
        page = _page(roi, canvas, path)
        rings = _rings(roi)
        piece = outlined(rings, page, known or following, canvas) if rings else None
        found += [piece] if piece else []
        without_area += piece is None
    return found, without_area


def _rois(path: Path) -> Iterator[Any]:
    import roifile

    if path.suffix.lower() == ".roi":
        yield roifile.ImagejRoi.frombytes(path.read_bytes())
        return
    with zipfile.ZipFile(path) as archive:
        entries = [e for e in archive.infolist() if e.filename.lower().endswith(".roi")]
        check_claim(path, sum(e.file_size for e in entries), path.stat().st_size)
        if not entries:
            raise UserError(f"{path}: this archive holds no ROIs (.roi) of ImageJ. Move it away.")
        for entry in entries:
            yield roifile.ImagejRoi.frombytes(archive.read(entry))


def _rings(roi: Any) -> list[NDArray[Any]]:
    if roi.roitype.name not in AREAS or roi.subtype.name in NO_AREAS:
        return []
    return [ring for ring in roi.coordinates(multi=True) if len(ring) > 2]


def _page(roi: Any, canvas: Canvas, path: Path) -> int:
    """The page that a ROI lies on, by its frame and slice, or by its position among all planes."""
    if canvas.shape[0] == 1:
        return 0
    at = {"t": roi.t_position, "z": roi.z_position}
    if any(at.get(axis) for axis in canvas.axes):
        places = [max(at.get(axis, 1), 1) - 1 for axis in canvas.axes]
    else:
        position = (roi.position - 1) // canvas.channels + 1 if roi.position > 0 else max(at.values())
        places = [position - 1] if len(canvas.axes) == 1 else _unravelled(position - 1, canvas)
    if not all(0 <= place < n for place, n in zip(places, canvas.axes.values(), strict=True)):
        where = "no slice" if places[-1] < 0 else f"slice or frame {places[-1] + 1}"
        raise UserError(
            f"{path}: the ROI {roi.name or 'without a name'} is on {where}, but {canvas.name} has "
            f"{canvas.shape[0]} pages. In Fiji, select it on its slice and set Edit > Properties > Position."
        )
    return int(np.ravel_multi_index(places, tuple(canvas.axes.values())))


def _unravelled(position: int, canvas: Canvas) -> list[int]:
    """A place along the axes, of which ImageJ counts slices first and then frames."""
    order: list[str] = [axis for axis in ("t", "z") if axis in canvas.axes]
    lengths = [canvas.axes[axis] for axis in order]
    if not 0 <= position < canvas.shape[0] or len(order) != len(canvas.axes):
        return [position] * len(canvas.axes)
    places = dict(zip(order, np.unravel_index(position, lengths), strict=True))
    return [int(places[axis]) for axis in canvas.axes]
