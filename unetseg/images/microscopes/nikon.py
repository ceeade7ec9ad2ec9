"""ND2 files, read frame by frame with the package nd2; stage positions are scenes."""

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


def nikon_scenes(path: Path) -> Sequence[Scene]:
    """The stage positions of an ND2 file."""
    import nd2

    file, lock = nd2.ND2File(path), Lock()
    loops = {axis: n for axis, n in file.sizes.items() if axis not in "CYXS"}
    frame = {axis: n for axis in "CYXS" if (n := file.sizes.get(axis, 1 if axis in "YX" else 0))}
    return [
        Scene(
            name=f"position {position}",
            axes={axis: n for axis, n in loops.items() if axis != "P"} | frame,
            dtype=np.dtype(file.dtype),
            scale=_scale(file),
            chunk=(frame["Y"], frame["X"]),
            read=partial(_read, file, lock, loops, frame, position),
        )
        for position in range(loops.get("P", 1))
    ]


def _read(
    file: Any, lock: Lock, loops: Place, frame: Place, position: int, at: Place, y: slice, x: slice
) -> NDArray[Any]:
    places = [position if axis == "P" else at.get(axis, 0) for axis in loops]
    number = int(np.ravel_multi_index(places, tuple(loops.values()))) if loops else 0
    with lock:
        pixels = file.read_frame(number).reshape(tuple(frame.values()))
        return np.array((pixels[at.get("C", 0)] if "C" in frame else pixels)[y, x])


def _scale(file: Any) -> Scale:
    size = file.voxel_size()
    um = {axis: in_unit(getattr(size, axis), "um", UM) for axis in "zyx"}
    periods = [getattr(loop.parameters, "periodMs", None) for loop in file.experiment]
    frame = next((s for period in periods if (s := in_unit(period, "ms", SECONDS))), None)
    return Scale(pair(um["y"], um["x"]), um["z"] if "Z" in file.sizes else None, frame)
