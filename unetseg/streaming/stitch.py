"""Object labels across tiles, exactly as if the whole image had been labelled at once.

Each tile is labelled separately (`split`) and leaves a small table of its components. From all tables
follows the id of every component of every tile (`object_ids`): components that meet at a border are one
object, areas add up, a hole that crosses a border is filled if all of it together is small, and objects are
numbered by their first pixel in reading order, as `scipy.ndimage.label` numbers them. Only what lies
at a tile's border is held for the whole image, everything else for one row of tiles at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from unetseg.tiles import Partition

ENDLESS = 2**40
"""An area that is too large for a hole in any case, for a hole that touches unlimited background."""


@dataclass(frozen=True)
class TileComponents:
    """The components 1…n of one tile.

    first: (n,) int64, place y·width + x in the image of a component's first pixel in reading order;
    area: (n,) int64 pixels; hole: (n,) bool, background that is filled if all of it together is small
    enough; edges: the components along the tile's top, bottom, left and right line, int32, empty where the
    image ends; touching: (m, 2) int32, pairs of a hole and an object that are edge neighbours.
    """

    first: NDArray[np.int64]
    area: NDArray[np.int64]
    hole: NDArray[np.bool_]
    edges: tuple[NDArray[np.int32], ...]
    touching: NDArray[np.int32]

    @property
    def open(self) -> NDArray[np.int32]:
        """The components (ascending) that depend on neighbouring tiles."""
        found: NDArray[np.int32] = np.unique(np.concatenate([*self.edges, self.touching.ravel()]))
        return found[found > 0]


def split(
    foreground: NDArray[np.bool_], partition: Partition, index: int, *, max_hole_area: int = 0
) -> tuple[NDArray[np.int32], TileComponents]:
    """The components of tile `index` of the partition: a map (y, x) int32 of 0…n, and their table.

    foreground: (y, x) of the tile. Components are connected by edge neighbours. Background
    of at most `max_hole_area` pixels is filled if it ends inside the tile; if it meets a border, it
    becomes a separate component, for `object_ids` to decide.
    """
    inner = partition.inner(index)  # whether top, bottom, left and right meet another tile
    undecided = None
    if max_hole_area > 0:
        foreground, undecided = _fill(foreground, inner, max_hole_area)
    parts, count = ndimage.label(foreground)
    objects = count
    if undecided is not None and undecided.any():
        more, extra = ndimage.label(undecided)
        parts, count = np.where(more > 0, more + count, parts), count + extra
    hole = np.arange(1, count + 1) > objects  # (n,): the holes are numbered after the objects
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:].astype(np.int64)  # (n,)
    first = _first_pixels(parts, count, partition, index)
    return parts, TileComponents(first, area, hole, _edges(parts, inner), _touching(parts, hole))


def object_ids(
    table: Callable[[int], TileComponents], partition: Partition, *, min_area: int = 0, max_hole_area: int = 0
) -> Iterator[NDArray[np.int64]]:
    """For each tile of the partition in turn: (n + 1,) int64, the object id of its components 0…n.

    table: returns the `TileComponents` of a tile; called twice, in reading order. Ids are consecutive over
    the whole image, 0 for background and for objects of fewer than `min_area` pixels.
    """
    objects = _join(table, partition, min_area, max_hole_area)
    base = 0  # objects in the rows above
    for row in range(partition.rows):
        tiles = [table(i) for i in range(row * partition.columns, (row + 1) * partition.columns)]
        whole = [_whole(parts, min_area) for parts in tiles]
        firsts = [parts.first[w - 1] for parts, w in zip(tiles, whole, strict=True)]
        # objects that cross borders and have their first pixel in this row of tiles
        begin, end = np.searchsorted(objects.first, [row * partition.band, (row + 1) * partition.band])
        # whole objects and crossing ones are numbered together, by first pixel
        order = np.concatenate([objects.first[begin:end], *firsts]).argsort()
        ids = np.empty(len(order), np.int64)
        ids[order] = np.arange(base + 1, base + 1 + len(order))
        objects.ids[begin:end], base = ids[: end - begin], base + len(order)
        at = end - begin
        for column, parts in enumerate(tiles):
            result = np.zeros(len(parts.area) + 1, np.int64)
            result[parts.open] = objects.of_tile(row * partition.columns + column)
            result[whole[column]] = ids[at : at + len(whole[column])]
            at += len(whole[column])
            yield result


@dataclass(frozen=True)
class _Objects:
    """Objects that cross borders. first, ids: of the kept objects by first pixel (ids are filled in later);
    number: the object of every open component of every tile, −1 for none; start: of a tile in `number`.
    """

    first: NDArray[np.int64]
    ids: NDArray[np.int64]
    number: NDArray[np.int64]
    start: list[int]

    def of_tile(self, index: int) -> NDArray[np.int64]:
        number = self.number[self.start[index] : self.start[index + 1]]
        return np.where(number < 0, 0, np.append(self.ids, 0)[number])


def _join(
    table: Callable[[int], TileComponents], partition: Partition, min_area: int, max_hole_area: int
) -> _Objects:
    """The objects that open components form, after small holes are filled."""
    first, area, hole, pairs, start = _gather(table, partition)
    # holes with holes, objects with objects: the area of a whole hole decides whether it is filled
    same = hole[pairs[:, 0]] == hole[pairs[:, 1]]  # (m,)
    root = _components(pairs[same], len(first))
    filled = hole & (_sums(root, area)[root] <= max_hole_area)
    # a filled hole joins the objects that it touches
    joins = same | filled[pairs].any(1)
    root = _components(pairs[joins], len(first))
    is_object = ~hole | filled  # (parts,)
    count = int(root.max(initial=-1)) + 1
    firsts = np.full(count, np.iinfo(np.int64).max)  # (objects,): the first of its parts' first pixels
    np.minimum.at(firsts, root[is_object], first[is_object])
    kept = np.bincount(root[is_object], minlength=count) > 0
    kept &= _sums(root, np.where(is_object, area, 0)) >= min_area
    order = np.flatnonzero(kept)[firsts[kept].argsort()]
    number = np.full(count, -1, np.int64)
    number[order] = np.arange(len(order))
    return _Objects(firsts[order], np.zeros(len(order), np.int64), number[root], start)


def _gather(
    table: Callable[[int], TileComponents], partition: Partition
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64], list[int]]:
    """Of all open components, numbered through: first, area, hole, the pairs that meet, each tile's start."""
    rows: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]] = []
    pairs, start = [np.zeros((0, 2), np.int64)], [0]
    # numbers along the last line of the tile above, for each column, and of the tile to the left
    above: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * partition.columns
    left = np.zeros(0, np.int64)
    for index in range(len(partition)):
        parts, column = table(index), index % partition.columns
        of = parts.open
        rows.append((parts.first[of - 1], parts.area[of - 1], parts.hole[of - 1]))
        number = np.full(len(parts.area) + 1, -1, np.int64)  # of a component in the whole image, -1: not open
        number[of] = start[-1] + np.arange(len(of))
        start.append(start[-1] + len(of))
        top, bottom, west, east = (number[e] for e in parts.edges)
        pairs += [number[parts.touching], _meeting(above[column], top), _meeting(left, west)]
        above[column], left = bottom, east
    first, area, hole = (np.concatenate(part) for part in zip(*rows, strict=True))
    met = np.concatenate(pairs)
    # a hole beside background that is not a component: that background was too large to fill
    alone = (met < 0).any(1)
    beside = met[alone].max(1)
    area[beside[hole[beside]]] = ENDLESS
    return first, area, hole, met[~alone], start


def _meeting(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pairs of numbers that lie side by side on two lines of pixels."""
    if len(one) == 0 or len(other) == 0:
        return np.zeros((0, 2), np.int64)
    pairs = np.unique(np.stack([one, other], 1), axis=0)
    return pairs[(pairs >= 0).any(1)]


def _components(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    ones = np.ones(len(pairs), np.int8)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _sums(root: NDArray[np.int64], area: NDArray[np.int64]) -> NDArray[np.int64]:
    sums = np.zeros(int(root.max(initial=-1)) + 1, np.int64)
    np.add.at(sums, root, area)
    return sums


def _whole(parts: TileComponents, min_area: int) -> NDArray[np.int64]:
    """The components that are whole objects, and large enough."""
    enough = parts.area >= min_area
    enough[parts.open - 1] = False
    return np.flatnonzero(enough) + 1


def _fill(
    foreground: NDArray[np.bool_], inner: tuple[bool, ...], max_hole_area: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The foreground with small holes filled, and the small background that meets a border."""
    background, count = ndimage.label(~foreground)
    small = np.bincount(background.ravel(), minlength=count + 1) <= max_hole_area
    small[0] = False
    meets = np.zeros(count + 1, bool)
    meets[np.concatenate(_edges(background, inner))] = True
    return foreground | (small & ~meets)[background], (small & meets)[background]


def _edges(parts: NDArray[np.int32], inner: tuple[bool, ...]) -> tuple[NDArray[np.int32], ...]:
    lines = (parts[0], parts[-1], parts[:, 0], parts[:, -1])
    return tuple(
        line.astype(np.int32) if i else np.zeros(0, np.int32) for line, i in zip(lines, inner, strict=True)
    )


def _touching(parts: NDArray[np.int32], hole: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The pairs (hole, object) of edge neighbours, each once."""
    if not hole.any():
        return np.zeros((0, 2), np.int32)
    beside = [(parts[1:], parts[:-1]), (parts[:, 1:], parts[:, :-1])]
    is_hole = np.append(False, hole)
    found = [np.zeros((0, 2), np.int32)]
    for a, b in (*beside, *((b, a) for a, b in beside)):  # both ways: a the hole, b the object
        met = is_hole[a] & (b > 0)
        found.append(np.stack([a[met], b[met]], 1))
    return np.unique(np.concatenate(found), axis=0).astype(np.int32)


def _first_pixels(
    parts: NDArray[np.int32], count: int, partition: Partition, index: int
) -> NDArray[np.int64]:
    places = np.flatnonzero(parts)[::-1]  # in the tile, last pixel first
    first = np.zeros(count + 1, np.int64)
    first[parts.ravel()[places]] = places  # the last assignment stays, which is the first pixel
    y, x = np.divmod(first[1:], parts.shape[1])
    top, left = (s.start for s in partition[index])
    return (y + top) * partition.shape[1] + x + left
