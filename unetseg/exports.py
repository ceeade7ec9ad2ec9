"""Objects for other programs: ImageJ ROI sets, GeoJSON for QuPath, COCO JSON.

Polygons run along the edges of the pixels (`outlines`), so nothing is lost, except the holes in ImageJ's
polygons.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import find_objects

from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.images.marks import KEY as MARK
from unetseg.images.marks import Mark
from unetseg.measurements import WINDOW, object_groups
from unetseg.outlines import Ring, outlines, signed_area


@dataclass(frozen=True)
class LabelledPage:
    """Object ids (y, x) of one page: the image that it belongs to, and its number in a stack of n from 0.

    labels: anything that slices like an array. place: the page's index along the stack's axes, such as
    {"t": 3}; empty for a single image.
    """

    name: str
    labels: Any
    number: int = 0
    place: Mapping[str, int] | None = None


def objects_of(labels: Any, window: int = WINDOW) -> Iterator[tuple[int, list[list[Ring]]]]:
    """Id and polygons of every object, read window by window; in each window in the order of the ids."""
    for group in object_groups(labels, window):
        dense, ids = group.dense(labels)
        for place, box in enumerate(find_objects(dense), 1):
            offset = np.array([s.start + r.start for s, r in zip(box, group.region, strict=True)][::-1])
            polygons = outlines(dense[box] == place)
            yield int(ids[place - 1]), [[ring + offset for ring in polygon] for polygon in polygons]


def write_imagej(path: Path, pages: Sequence[LabelledPage], mark: Mark | None = None) -> int:
    """A ROI set that ImageJ's ROI Manager opens: a polygon for each piece of an object, named by its id.

    In a stack, every ROI has its page: as a time point or slice if that is known, else as a position.
    Like every writer here it returns the number of objects; mark: of a result, see `marks`.
    """
    roifile, objects = _package("roifile", path), 0
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"" if mark is None else json.dumps(mark).encode()
        for page in pages:
            for number, polygons in objects_of(page.labels):
                objects += 1
                for piece, (outer, *_) in enumerate(polygons):
                    name = f"{page.number + 1:04d}-{number:05d}{f'-{piece + 1}' if piece else ''}"
                    roi = roifile.ImagejRoi.frompoints(outer, name=name, **_position(page, len(pages)))
                    entry = zipfile.ZipInfo(f"{name}.roi")  # without the time, so that bytes are the same
                    archive.writestr(entry, roi.tobytes(), zipfile.ZIP_DEFLATED)
    return objects


def write_geojson(
    path: Path, pages: Sequence[LabelledPage], mark: Mark | None = None, *, classification: str = "object"
) -> int:
    """A GeoJSON file that QuPath imports as objects, each with its id and a classification."""
    several = len({page.name for page in pages}) > 1
    features = (
        {
            "type": "Feature",
            "geometry": _geometry(polygons),
            "properties": {
                "objectType": "annotation",
                "name": str(number),
                "classification": {"name": classification},
                "measurements": {"id": number},
                **({"image": page.name} if several else {}),
                **({"plane": {"c": -1, **_plane(page)}} if len(pages) > 1 else {}),
            },
        }
        for page in pages
        for number, polygons in objects_of(page.labels)
    )
    return _write(path, mark, {"type": "FeatureCollection"}, "features", features)


def write_coco(
    path: Path, pages: Sequence[LabelledPage], mark: Mark | None = None, *, classification: str = "object"
) -> int:
    """COCO instances: polygons, or run lengths for objects with holes; one image per page."""
    images = [
        {"id": at, "file_name": page.name, "height": page.labels.shape[0], "width": page.labels.shape[1]}
        for at, page in enumerate(pages, 1)
    ]
    annotations = (
        _coco_object(page, *found) | {"image_id": at, "category_id": 1, "iscrowd": 0}
        for at, page in enumerate(pages, 1)
        for found in objects_of(page.labels)
    )
    numbered = ({"id": number} | annotation for number, annotation in enumerate(annotations, 1))
    head = {"images": images, "categories": [{"id": 1, "name": classification}]}
    return _write(path, mark, head, "annotations", numbered)


Writer = Callable[[Path, Sequence[LabelledPage], Mark | None], int]
FORMATS: dict[str, tuple[str, Writer]] = {
    "imagej": (".zip", write_imagej),
    "geojson": (".geojson", write_geojson),
    "coco": (".json", write_coco),
}
"""The ending of a format's files, and what writes them."""


def _position(page: LabelledPage, count: int) -> dict[str, int]:
    """Where a ROI lies in ImageJ's hyperstack, counted from 0."""
    place = page.place or {}
    if set(place) & {"t", "z"}:
        return {axis: place[axis] for axis in ("t", "z") if axis in place}
    return {"position": page.number} if count > 1 else {}


def _plane(page: LabelledPage) -> dict[str, int]:
    place = page.place or {"z": page.number}
    return {"z": place.get("z", 0), "t": place.get("t", 0)}


def _geometry(polygons: list[list[Ring]]) -> dict[str, Any]:
    closed = [[[*ring.tolist(), ring[0].tolist()] for ring in polygon] for polygon in polygons]
    if len(closed) == 1:
        return {"type": "Polygon", "coordinates": closed[0]}
    return {"type": "MultiPolygon", "coordinates": closed}


def _coco_object(page: LabelledPage, number: int, polygons: list[list[Ring]]) -> dict[str, Any]:
    corners = np.concatenate([outer for outer, *_ in polygons])
    (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
    whole = all(len(polygon) == 1 for polygon in polygons)
    return {
        "label_id": number,
        "bbox": [left, top, right - left, bottom - top],
        "area": sum(signed_area(ring) for polygon in polygons for ring in polygon),
        "segmentation": [polygon[0].ravel().tolist() for polygon in polygons]
        if whole
        else _run_lengths(page, number, slice(top, bottom), slice(left, right)),
    }


def _run_lengths(page: LabelledPage, number: int, y: slice, x: slice) -> dict[str, Any]:
    """COCO's run lengths of an object in a box: down the columns of the page, background first."""
    height, width = page.labels.shape
    columns, rows = np.nonzero(np.equal(page.labels[y, x], number).T)
    places = (columns + x.start) * height + rows + y.start
    first = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    last = np.append(first[1:], len(places)) - 1
    changes = np.stack([places[first], places[last] + 1], 1).ravel()
    counts = np.diff(changes, prepend=0, append=height * width).tolist()
    return {"counts": counts if counts[-1] else counts[:-1], "size": [height, width]}


def _write(
    path: Path, mark: Mark | None, head: dict[str, Any], name: str, items: Iterable[dict[str, Any]]
) -> int:
    """JSON: the mark first, `head`, and the array `name` of items that are written as they come."""
    begun = json.dumps(({} if mark is None else {MARK: mark}) | head)
    count = 0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f'{begun[:-1]}, "{name}": [')
        for count, item in enumerate(items, 1):
            file.write((",\n" if count > 1 else "\n") + json.dumps(item))
        file.write("\n]}\n")
    return count


def _package(name: str, path: Path) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise UserError(f"{path}: needs the package {name}: pip install {name}.") from None
