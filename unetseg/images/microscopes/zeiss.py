"""CZI files, read region by region with Zeiss's own library (pylibCZIrw)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.microscopes.scenes import Place, Scene
from unetseg.images.scale import SECONDS, UM, Scale, in_unit, pair

BLOCK = 1024
"""Side in pixels of the blocks that are read; the file's own tiles may have any size."""
DTYPES = {"Gray8": "u1", "Gray16": "u2", "Gray32Float": "f4", "Bgr24": "u1", "Bgr48": "u2"}
ORDER = "TZC"


def zeiss_scenes(path: Path) -> Sequence[Scene]:
    """The scenes of a CZI file; raises UserError for pixels of another type."""
    from pylibCZIrw import czi

    file, lock = czi.CziReader(str(path)), Lock()
    kinds = set(file.pixel_types.values())
    if len(kinds) != 1 or not kinds <= set(DTYPES):
        raise UserError(f"{path}: pixels of {', '.join(kinds)}; allowed is one of {', '.join(DTYPES)}.")
    kind = kinds.pop()
    bounds = {a: s for a, s in file.total_bounding_box_no_pyramid.items() if a not in "XYSMB"}
    order = sorted(bounds, key=lambda a: ORDER.index(a) if a in ORDER else -1)
    outer = {axis: bounds[axis][1] - bounds[axis][0] for axis in order}
    starts = {axis: start for axis, (start, _) in bounds.items()}
    places = file.scenes_bounding_rectangle_no_pyramid or {None: file.total_bounding_rectangle_no_pyramid}
    return [
        Scene(
            name=f"scene {number}",
            axes=outer | {"Y": box.h, "X": box.w} | ({"S": 3} if kind.startswith("Bgr") else {}),
            dtype=np.dtype(DTYPES[kind]),
            scale=_scale(file.metadata),
            chunk=(min(BLOCK, box.h), min(BLOCK, box.w)),
            read=_Reader(file, lock, number, (box.y, box.x), starts),
        )
        for number, box in places.items()
    ]


@dataclass(frozen=True)
class _Reader:
    """Reads blocks of a scene, whose box and other axes begin anywhere."""

    file: Any
    lock: Lock
    scene: int | None
    origin: tuple[int, int]
    starts: Place

    def __call__(self, at: Place, y: slice, x: slice) -> NDArray[Any]:
        plane = {axis: at.get(axis, 0) + start for axis, start in self.starts.items()}
        top, left = self.origin
        region = (left + x.start, top + y.start, x.stop - x.start, y.stop - y.start)
        with self.lock:
            pixels = self.file.read(roi=region, plane=plane, scene=self.scene)
        return pixels[..., ::-1] if pixels.shape[-1] == 3 else pixels[..., 0]


def _scale(metadata: Any) -> Scale:
    """Distances in metres, and the increment of a time-lapse in seconds, where the metadata have them."""
    found = _at(metadata, "ImageDocument", "Metadata", "Scaling", "Items", "Distance") or []
    distances = found if isinstance(found, list) else [found]
    um = {d.get("@Id"): in_unit(d.get("Value"), "m", UM) for d in distances}
    times = ("ImageDocument", "Metadata", "Information", "Image", "Dimensions", "T", "Positions", "Interval")
    frame = in_unit(_at(metadata, *times, "Increment"), "s", SECONDS)
    return Scale(pair(um.get("Y"), um.get("X")), um.get("Z"), frame)


def _at(tree: Any, *keys: str) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree
