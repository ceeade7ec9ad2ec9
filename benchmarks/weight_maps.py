"""How long the border weights take, beside one distance transform per object.

    python -m benchmarks.weight_maps

The usual recipe runs a full-frame `scipy.ndimage.distance_transform_edt` for every object, stacks
the distances and sorts them. Where that would take too long or too much memory it is measured on
a few objects and scaled by their number (marked ~; sorting more layers takes longer than that, so
the ratio is too small rather than too large), and the difference is measured on a corner of the
frame. `edt` is the same recipe with the package of that name, on one thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from benchmarks.rows import Row, faster, interleaved_s, table
from unetseg.targets import border_weights, separate_touching

try:
    import edt
except ImportError:  # its rows are left out
    edt = None

Array = NDArray[Any]
Transform = Callable[[Array], Array]

CASES: list[tuple[int, tuple[int, ...]]] = [
    (20, (512, 512)),
    (200, (512, 512)),
    (800, (512, 512)),
    (20, (2048, 2048)),
    (200, (2048, 2048)),
    (800, (2048, 2048)),
    (100, (32, 128, 128)),
]
QUICK = [(20, (128, 128)), (10, (8, 64, 64))]
SAMPLE = 20  # objects the recipe is measured on where it is scaled
CORNER = 256  # side of the corner the difference is measured on there
LARGEST_BYTES = 2**28


def cells(count: int, shape: Sequence[int], seed: int = 0) -> Array:
    """Labels of `count` cells, 40 pixels wide or as wide as fills half the frame, many touching; int32."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, len(shape))) * shape
    spacing = min(40.0, (math.prod(shape) / count) ** (1 / len(shape)))
    radii = 0.6 * spacing * rng.uniform(0.7, 1.1, count)
    pixels = np.moveaxis(np.indices(shape), 0, -1)
    distance, nearest = cKDTree(points).query(pixels)
    return np.where(distance < radii[nearest], nearest + 1, 0).astype(np.int32)


def recipe(labels: Array, ids: Array, transform: Transform) -> Array:
    """The usual way: all distances to all objects, sorted; w0 = 10, sigma = 5."""
    distances = np.stack([transform(labels != k) for k in ids], axis=-1)
    distances.sort(axis=-1)
    both = distances[..., 0] + distances[..., 1]
    return np.where(labels == 0, 10 * np.exp(-(both**2) / 50), 0)


def rows(*, quick: bool = False) -> list[Row]:
    """Per case: ours against the recipe with scipy, and with edt where it is installed."""
    return [row for count, shape in (QUICK if quick else CASES) for row in _case(count, shape)]


def _case(count: int, shape: tuple[int, ...]) -> list[Row]:
    labels = separate_touching(cells(count, shape))
    ids = np.unique(labels[labels > 0])
    scaled = labels.size * len(ids) * 8 > LARGEST_BYTES
    sample = ids[:: max(1, len(ids) // SAMPLE)][:SAMPLE] if scaled else ids
    peers: dict[str, Transform] = {"scipy EDT per object": ndimage.distance_transform_edt}
    if edt:
        peers["edt per object"] = lambda outside: np.asarray(edt.edt(outside, parallel=1))
    works: dict[str, Callable[[], object]] = {
        name: lambda transform=transform: recipe(labels, sample, transform)
        for name, transform in peers.items()
    }
    times = interleaved_s({"ours": lambda: border_weights(labels), **works}, 2)
    factor = len(ids) / len(sample)
    note = f"difference {_difference(labels, corner=scaled):.1e}" + (" (corner)" if scaled else "")
    title = f"weight map, {len(ids)} objects in {'×'.join(map(str, shape))}"
    mark = "~" if scaled else ""
    return [faster(title, times["ours"], mark + peer, times[peer] * factor, note) for peer in peers]


def _difference(labels: Array, *, corner: bool) -> float:
    """Largest absolute difference between ours and the recipe, on the frame or on its corner."""
    seen = labels[(slice(CORNER),) * labels.ndim] if corner else labels
    expected = recipe(seen, np.unique(seen[seen > 0]), ndimage.distance_transform_edt)
    return float(np.abs(border_weights(seen) - expected).max())


if __name__ == "__main__":
    print(table(rows()))
    print(f"~ measured on {SAMPLE} objects and scaled by the number of objects")
