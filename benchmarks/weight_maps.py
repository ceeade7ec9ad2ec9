"""How long the border weights take, beside one distance transform per object.

    python -m benchmarks.weight_maps

The usual recipe runs a full-frame `scipy.ndimage.distance_transform_edt` for every object, stacks
the distances and sorts them. Where that would take too long or too much memory it is measured on
a few objects and scaled by the number of objects (marked ~; sorting more layers takes longer than
that, so the ratio is too small rather than too large), and the difference is measured on a corner
of the frame. `edt` is the same recipe with the package of that name, on one thread.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from unetseg.targets import border_weights, separate_touching

try:
    import edt
except ImportError:  # the column stays empty
    edt = None

Array = NDArray[Any]
Transform = Callable[[Array], Array]

CASES: list[tuple[int, tuple[int, ...]]] = [
    (20, (512, 512)),
    (200, (512, 512)),
    (800, (512, 512)),
    (200, (2048, 2048)),
    (800, (2048, 2048)),
    (100, (32, 128, 128)),
]
SAMPLE = 20  # objects the recipe is measured on where it is scaled
CORNER = 256  # side of the corner the difference is measured on there
LONGEST_S = 20.0
LARGEST_BYTES = 2 * 2**30
COLUMNS = ["objects", "frame", "ours_ms", "scipy_s", "ratio", "edt_s", "edt_ratio", "difference"]


def cells(count: int, shape: Sequence[int], seed: int = 0) -> Array:
    """Labels of `count` cells that fill about half the frame, many of them touching; int32."""
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


def measure(
    cases: Sequence[tuple[int, tuple[int, ...]]] = CASES, *, repeats: int = 5
) -> list[dict[str, Any]]:
    """One row per case with the keys COLUMNS and `scaled`; times are the best of `repeats`."""
    return [_measured_case(count, shape, repeats) for count, shape in cases]


def _measured_case(count: int, shape: tuple[int, ...], repeats: int) -> dict[str, Any]:
    labels = separate_touching(cells(count, shape))
    ids = np.unique(labels[labels > 0])
    ours_s = _best_s(lambda: border_weights(labels), repeats)
    scipy_s, scaled = _recipe_s(labels, ids, ndimage.distance_transform_edt)
    edt_s = _recipe_s(labels, ids, _edt)[0] if edt else None
    return {
        "objects": len(ids),
        "frame": "x".join(map(str, shape)),
        "ours_ms": 1e3 * ours_s,
        "scipy_s": scipy_s,
        "ratio": scipy_s / ours_s,
        "edt_s": edt_s,
        "edt_ratio": edt_s / ours_s if edt_s else None,
        "difference": _difference(labels, corner=scaled),
        "scaled": scaled,
    }


def _edt(outside: Array) -> Array:
    return np.asarray(edt.edt(outside, parallel=1))


def _recipe_s(labels: Array, ids: Array, transform: Transform) -> tuple[float, bool]:
    """Seconds of the recipe, and whether they are scaled up from a sample of the objects."""
    sample = ids[:: max(1, len(ids) // SAMPLE)][:SAMPLE]
    sample_s = _best_s(lambda: recipe(labels, sample, transform), 2)
    estimate_s = sample_s * len(ids) / len(sample)
    too_large = labels.size * len(ids) * 8 > LARGEST_BYTES
    if estimate_s > LONGEST_S or too_large:
        return estimate_s, True
    return _best_s(lambda: recipe(labels, ids, transform), 2), False


def _difference(labels: Array, *, corner: bool) -> float:
    """Largest absolute difference between ours and the recipe, on the frame or on its corner."""
    seen = labels[(slice(CORNER),) * labels.ndim] if corner else labels
    expected = recipe(seen, np.unique(seen[seen > 0]), ndimage.distance_transform_edt)
    return float(np.abs(border_weights(seen) - expected).max())


def _best_s(function: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def _cells_of_row(row: dict[str, Any]) -> list[str]:
    mark = "~" if row["scaled"] else ""
    return [
        str(row["objects"]),
        row["frame"],
        f"{row['ours_ms']:.1f}",
        f"{mark}{row['scipy_s']:.2f}",
        f"{mark}{row['ratio']:.0f}",
        "-" if row["edt_s"] is None else f"{mark}{row['edt_s']:.2f}",
        "-" if row["edt_ratio"] is None else f"{mark}{row['edt_ratio']:.0f}",
        f"{row['difference']:.1e}" + (" (corner)" if row["scaled"] else ""),
    ]


def main() -> None:
    rows = [COLUMNS, ["---"] * len(COLUMNS), *map(_cells_of_row, measure())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("| " + " | ".join(padded) + " |")
    if any("~" in cell for cell in itertools.chain(*rows)):
        print(f"~ measured on {SAMPLE} objects and scaled by the number of objects")


if __name__ == "__main__":
    main()
