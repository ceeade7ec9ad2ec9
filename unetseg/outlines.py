"""Outlines of objects along the edges of their pixels: a polygon encloses exactly the object."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Ring = NDArray[np.int64]
"""Corners (n, 2) as (x, y) in pixels; the image's top left corner is (0, 0), the first is not repeated."""
Step = tuple[int, int]
Edge = tuple[Step, Step]
"""Where an edge begins, and its direction (dx, dy)."""
SIDES = {
    (-1, 0): ((0, 0), (1, 0)),
    (0, 1): ((1, 0), (0, 1)),
    (1, 0): ((1, 1), (-1, 0)),
    (0, -1): ((0, 1), (0, -1)),
}
"""For the neighbour in each direction (dy, dx) of a pixel: where the edge to it begins, and its direction."""
LEFT: dict[Step, Step] = {(1, 0): (0, -1), (0, -1): (-1, 0), (-1, 0): (0, 1), (0, 1): (1, 0)}


def outlines(mask: NDArray[np.bool_]) -> list[list[Ring]]:
    """The polygons of a mask (y, x): for each edge-connected piece its outer ring, then those of its holes.

    Outer rings run clockwise on the screen (y down), holes the other way. The polygons are valid by the
    rules of OGC's Simple Features: rings may touch in a point but never cross.
    """
    pieces, _ = ndimage.label(mask)
    polygons = []
    for number, (y, x) in enumerate(ndimage.find_objects(pieces), 1):
        rings = [ring + np.array([x.start, y.start]) for ring in _rings(pieces[y, x] == number)]
        polygons.append(sorted(rings, key=signed_area, reverse=True))
    return polygons


def signed_area(ring: Ring) -> float:
    """Area in pixels, positive for an outer ring and negative for a hole (the shoelace formula)."""
    x, y = ring.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _rings(piece: NDArray[np.bool_]) -> Iterator[Ring]:
    """The closed chains of edges between a piece and what is around it, with the piece on their right.

    Where two of its pixels meet only in a corner, the chains turn left, from one of them to the other; so
    a pocket that is closed by a corner is a hole, which touches the outer ring there.
    """
    ways = _edges(np.pad(piece, 1))
    left = {(place, step) for place, steps in ways.items() for step in steps}
    while left:
        first = edge = left.pop()
        corners = []
        while True:
            following = _following(edge, ways)
            if following[1] != edge[1]:
                corners.append(following[0])
            if following == first:
                break
            left.discard(following)
            edge = following
        yield np.array(corners)


def _following(edge: Edge, ways: dict[Step, list[Step]]) -> Edge:
    (x, y), (dx, dy) = edge
    place = x + dx, y + dy
    steps = ways[place]
    return place, steps[0] if len(steps) == 1 else LEFT[dx, dy]


def _edges(padded: NDArray[np.bool_]) -> dict[Step, list[Step]]:
    """Directions of the edges that leave each corner; padded: the piece with a rim of one pixel."""
    ways: dict[Step, list[Step]] = {}
    for (dy, dx), ((ox, oy), step) in SIDES.items():
        rows, columns = np.nonzero(padded & ~np.roll(padded, (-dy, -dx), (0, 1)))
        for x, y in zip((columns - 1 + ox).tolist(), (rows - 1 + oy).tolist(), strict=True):
            ways.setdefault((x, y), []).append(step)
    return ways
