"""GeoJSON as QuPath writes it: polygons in pixels, each with the plane that it lies on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.tasks.label_formats.painting import Canvas, ObjectMask, outlined


def geojson_objects(path: Path, canvas: Canvas) -> tuple[list[ObjectMask], int]:
    """The objects of a GeoJSON file, and how many features enclose no pixel: points and lines.

    An object keeps the id that export-labels wrote; others are numbered in their order.
    """
    read = json.loads(path.read_text(encoding="utf-8"))
    features = read.get("features", [read]) if isinstance(read, dict) else read
    ids = [_id(feature) for feature in features]
    following, found, without_area = max(ids, default=0), [], 0
    for feature, known in zip(features, ids, strict=True):
        following += not known
        rings = _rings(feature["geometry"])
        page = _page(feature, canvas, path)
        piece = outlined(rings, page, known or following, canvas) if rings else None
        found += [piece] if piece else []
        without_area += piece is None
    return found, without_area


def _id(feature: Any) -> int:
    measured = (feature.get("properties") or {}).get("measurements")
    number = measured.get("id", 0) if isinstance(measured, dict) else 0
    return int(number) if number > 0 and number == int(number) else 0


def _rings(geometry: Any) -> list[NDArray[np.float64]]:
    """The rings of a polygon or of several; a ring's last corner repeats its first."""
    kind, places = geometry["type"], geometry.get("coordinates", [])
    polygons = [places] if kind == "Polygon" else places if kind == "MultiPolygon" else []
    return [np.array(ring, float)[:-1, :2] for polygon in polygons for ring in polygon if len(ring) > 3]


def _page(feature: Any, canvas: Canvas, path: Path) -> int:
    if canvas.shape[0] == 1:
        return 0
    plane = (feature.get("properties") or {}).get("plane") or feature["geometry"].get("plane")
    if plane is None:
        raise UserError(
            f"{path}: an object does not say on which plane it lies, and {canvas.name} has {canvas.shape[0]} "
            "pages. Give one file per image."
        )
    places = [int(plane.get(axis, 0)) for axis in canvas.axes]
    if len(places) == 1 and not places[0]:  # one axis, of any name: QuPath calls it z or t
        places = [max(int(plane.get("z", 0)), int(plane.get("t", 0)))]
    if not all(0 <= place < n for place, n in zip(places, canvas.axes.values(), strict=True)):
        raise UserError(
            f"{path}: an object lies on plane {plane}, and {canvas.name} has {canvas.shape[0]} pages."
        )
    return int(np.ravel_multi_index(places, tuple(canvas.axes.values())))
