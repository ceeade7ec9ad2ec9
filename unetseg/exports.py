"""Objects for other programs: ImageJ ROI sets, GeoJSON for QuPath, COCO JSON.

Polygons run along the edges of the pixels (`outlines`), so that nothing is lost but, in ImageJ's polygons,
the holes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.outlines import Ring, outlines, signed_area


@dataclass(frozen=True)
class LabelledPage:
    """Object ids (y, x) of one page: which image it is of, and its number in a stack of n from 0.

    place: the page's index along the stack's axes, such as {"t": 3}; empty for a single image.
    """

    name: str
    labels: NDArray[np.integer[Any]]
    number: int = 0
    place: Mapping[str, int] | None = None


def objects_of(labels: NDArray[np.integer[Any]]) -> Iterator[tuple[int, list[list[Ring]]]]:
    """Id and polygons of every object, in the order of the ids."""
    ids, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape) + (0 if (ids == 0).any() else 1)
    for place, box in enumerate(find_objects(dense), 1):
        offset = np.array([box[1].start, box[0].start])
        polygons = outlines(dense[box] == place)
        yield int(ids[ids != 0][place - 1]), [[ring + offset for ring in polygon] for polygon in polygons]


def write_imagej(path: Path, pages: Sequence[LabelledPage]) -> None:
    """A ROI set that ImageJ's ROI Manager opens: a polygon for each piece of an object, named by its id.

    In a stack every ROI knows its page: as a time point or slice where that is known, else by position.
    """
    roifile = _package("roifile", path)
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for page in pages:
            for number, polygons in objects_of(page.labels):
                for piece, (outer, *_) in enumerate(polygons):
                    name = f"{page.number + 1:04d}-{number:05d}{f'-{piece + 1}' if piece else ''}"
                    roi = roifile.ImagejRoi.frompoints(outer, name=name, **_position(page, len(pages)))
                    archive.writestr(f"{name}.roi", roi.tobytes())


def write_geojson(path: Path, pages: Sequence[LabelledPage], classification: str = "object") -> None:
    """A GeoJSON that QuPath imports as objects, each with its id and a classification."""
    features = [
        {
            "type": "Feature",
            "geometry": _geometry(polygons),
            "properties": {
                "objectType": "annotation",
                "name": str(number),
                "classification": {"name": classification},
                "measurements": {"id": number},
                **({"image": page.name} if len({p.name for p in pages}) > 1 else {}),
                **({"plane": {"c": -1, **_plane(page)}} if len(pages) > 1 else {}),
            },
        }
        for page in pages
        for number, polygons in objects_of(page.labels)
    ]
    _write(path, {"type": "FeatureCollection", "features": features})


def write_coco(path: Path, pages: Sequence[LabelledPage], classification: str = "object") -> None:
    """COCO instances: polygons, and run lengths for objects with holes; one image a page."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for at, page in enumerate(pages, 1):
        height, width = page.labels.shape
        images.append({"id": at, "file_name": page.name, "height": height, "width": width})
        for number, polygons in objects_of(page.labels):
            corners = np.concatenate([outer for outer, *_ in polygons])
            low, high = corners.min(0).tolist(), corners.max(0).tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": at,
                    "category_id": 1,
                    "label_id": number,
                    "iscrowd": 0,
                    "bbox": [*low, high[0] - low[0], high[1] - low[1]],
                    "area": sum(signed_area(ring) for polygon in polygons for ring in polygon),
                    "segmentation": _segmentation(page.labels == number, polygons),
                }
            )
    categories = [{"id": 1, "name": classification}]
    _write(path, {"images": images, "annotations": annotations, "categories": categories})


Writer = Callable[[Path, Sequence[LabelledPage]], None]
FORMATS: dict[str, tuple[str, Writer]] = {
    "imagej": (".zip", write_imagej),
    "geojson": (".geojson", write_geojson),
    "coco": (".json", write_coco),
}
"""The ending of a format's files, and what writes them."""


def _position(page: LabelledPage, count: int) -> dict[str, int]:
    """Where a ROI is in ImageJ's hyperstack, counted from 0."""
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


def _segmentation(mask: NDArray[np.bool_], polygons: list[list[Ring]]) -> Any:
    if all(len(polygon) == 1 for polygon in polygons):
        return [polygon[0].ravel().tolist() for polygon in polygons]
    column = np.concatenate([[False], mask.ravel(order="F"), [False]])
    changes = np.flatnonzero(column[1:] != column[:-1])
    counts = np.diff([0, *changes.tolist(), mask.size])
    return {"counts": counts[: len(counts) - (counts[-1] == 0)].tolist(), "size": list(mask.shape)}


def _write(path: Path, value: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value), encoding="utf-8")


def _package(name: str, path: Path) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise UserError(f"{path}: needs the package {name}. pip install {name}") from None
