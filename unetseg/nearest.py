"""Every pixel's nearest and second nearest object, exactly, one axis after the other.

A separable distance transform finds the nearest object with one pass per axis. Here the passes
carry two: a pixel's two nearest objects are among the two nearest ones that the earlier axes found
for the pixels of its line, since there at most one object is closer than its second. Squared distance
and object number share one unsigned integer, the *key* `(distance + 1) << bits | number`, so
that one `minimum` handles both. The time is at most (image x reach x axes), whatever the number of
objects; stretches of lines with fewer than two objects in reach are skipped, and a search ends
when nothing farther away can be nearer than what was found.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.integer[Any]]
Keys = NDArray[np.unsignedinteger[Any]]

LINES, STRETCH = 256, 128  # processed at a time: the few arrays of a step stay in the cache
GLANCE = 4  # offsets between two checks whether the search may end


@dataclass(frozen=True)
class Code:
    """How a key is written: `(round(squared distance * scale) + 1) << bits | object number`.

    The 1 makes a key larger than any number alone. Keys of `nothing` and above mean that no object
    is in reach. There is room for twice `nothing`, so that adding a step to a key never overflows.
    """

    dtype: type[np.unsignedinteger[Any]]
    bits: int
    scale: float
    limit: int

    @property
    def nothing(self) -> int:
        """The key of no object: farther than any."""
        return (self.limit + 1) << self.bits

    @property
    def number(self) -> int:
        """The mask of a key's object number."""
        return (1 << self.bits) - 1

    def steps(self, size: float, length: int) -> Keys:
        """What 0, 1, 2, ... pixels of `size` add to a key, up to the reach."""
        squares = np.round((np.arange(length) * size) ** 2 * self.scale)
        reached: Keys = squares[squares < self.limit].astype(self.dtype)
        return reached << self.dtype(self.bits)

    def key(self, distance: float) -> int:
        """A key that no object within `distance` reaches, or `nothing`."""
        square = min(math.floor(distance**2 * self.scale) + 1, self.limit)
        return (square + 1) << self.bits

    def distances(self, keys: Keys) -> NDArray[np.float64]:
        """The distances that keys hold, in pixels of `sizes`."""
        return np.sqrt(((keys >> self.bits) - self.dtype(1)) / self.scale)


def two_nearest(
    numbers: Numbers, wanted: NDArray[np.bool_], sizes: Sequence[float], reach: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Where two objects are near, and the sum d1 + d2 of the distances to the nearest two.

    numbers: integers, 2-D or 3-D: 0 or an object's number; few and small ones are fastest. wanted:
    bool, same shape: the pixels to compute, none of them in an object. sizes: of a pixel
    along each axis. Returns flat indices (n,) of wanted pixels, including all with d1 + d2 < reach,
    and the exact sums there, (n,) float64, in the unit of sizes.
    """
    code = _code(numbers, sizes, reach)
    keys = np.full((2, *numbers.shape), code.nothing, code.dtype)  # nearest and second nearest, *yx
    np.copyto(keys[0], numbers.astype(code.dtype) + code.dtype(1 << code.bits), where=numbers > 0)
    every, last = np.ones_like(wanted), numbers.ndim - 1
    for axis, (length, size) in enumerate(zip(numbers.shape, sizes, strict=True)):
        steps = code.steps(size, length)
        if axis == 0:
            keys = _along_first(keys, code, steps)
        elif axis < last:
            keys = _along_next(keys, every, axis, Search(code, steps, steps, code.key(reach)))
        else:  # of a sum below reach, the nearer one is below half of it
            near = steps[: math.floor(reach / 2 / size) + 1]
            keys = _along_next(keys, wanted, axis, Search(code, steps, near, code.key(reach / 2)))
    near, far = keys  # each *yx
    found = np.flatnonzero(far < code.nothing)  # pixels with two objects in reach
    return found, code.distances(near.take(found)) + code.distances(far.take(found))


@dataclass(frozen=True)
class Search:
    """How far to search along an axis: `steps` for the second object, `near` for the nearest.

    If the nearest object is farther than the key `enough`, the second one is not needed.
    """

    code: Code
    steps: Keys
    near: Keys
    enough: int


def _code(numbers: Numbers, sizes: Sequence[float], reach: float) -> Code:
    """Small integer keys where whole squared distances fit, else fixed point in 64 bits."""
    bits = int(numbers.max()).bit_length()
    square = min(reach**2, float(np.square(np.multiply(numbers.shape, sizes)).sum()))
    limit = math.ceil(square) + 1
    if all(float(size).is_integer() for size in sizes):
        for dtype, room in ((np.uint16, 2**16), (np.uint32, 2**32)):
            if 2 * (limit + 1) << bits < room:
                return Code(dtype, bits, 1.0, limit)
    return Code(np.uint64, bits, 2.0 ** (62 - bits) / square, 1 << (62 - bits))


def _along_first(keys: Keys, code: Code, steps: Keys) -> Keys:
    """`keys` after the first axis: distances add up along a line, so offsets of 1, 2, 4, ... are enough."""
    table = np.append(steps, code.dtype(code.nothing - (1 << code.bits))) + code.dtype(1 << code.bits)
    lines = keys.reshape(2, keys.shape[1], -1)  # (2, length, lines)
    for start in range(0, lines.shape[2], LINES):
        best = np.ascontiguousarray(lines[:, :, start : start + LINES])
        offset = 1
        while offset < len(steps):
            for here, there in _shifts(offset):
                _merge(best[:, here], best[:, there] + code.dtype(offset << code.bits), code)
            offset *= 2
        # steps along the line → squared distances; out of reach → nothing
        pixels = np.minimum((best >> code.bits) - code.dtype(1), len(steps))
        best = table.take(pixels) | (best & code.number)
        lines[:, :, start : start + LINES] = np.minimum(best, code.nothing)
    return keys


def _merge(best: Keys, other: Keys, code: Code) -> None:
    """Make `best` the two nearest objects, each counted once, of `best` and `other`; (2, n, m).

    The farther of the two first keys comes second, unless both are of the same object: then the number
    bits cancel, and 0 - 1 wraps around to the largest key. Otherwise that difference is below any
    key and does not matter.
    """
    loser = best[0] ^ other[0]
    loser &= code.number
    loser -= 1
    np.maximum(loser, best[0], out=loser)
    np.maximum(loser, other[0], out=loser)
    np.minimum(best, other, out=best)
    np.minimum(best[1], loser, out=best[1])


def _shifts(offset: int) -> Iterator[tuple[slice, slice]]:
    """Both ways to shift a line against itself: (pixels, pixels `offset` away from them)."""
    return itertools.permutations((slice(offset, None), slice(None, -offset)), 2)


def _along_next(keys: Keys, wanted: NDArray[np.bool_], axis: int, search: Search) -> Keys:
    """The keys after a later axis: squared distances of the axes add, so every offset counts."""
    done = np.empty_like(keys)
    views = (_lines(array, axis) for array in (keys, wanted[None], done))
    for lines, (asked,), found in zip(*views, strict=True):
        for start in range(0, lines.shape[2], LINES):
            some = slice(start, start + LINES)
            block = np.ascontiguousarray(lines[:, :, some])
            for begin in range(0, len(asked), STRETCH):
                part = slice(begin, min(begin + STRETCH, len(asked)))
                found[:, part, some] = _stretch(block, part, asked[part, some], search)
    return done


def _lines(array: NDArray[Any], axis: int) -> Iterator[NDArray[Any]]:
    """Views (k, n, m) of an array (k, *shape), its lines along `axis` of shape as columns."""
    if axis == array.ndim - 2:
        yield array.reshape(len(array), -1, array.shape[-1]).swapaxes(1, 2)
    else:
        for index in np.ndindex(array.shape[1 : axis + 1]):
            yield array[(slice(None), *index)].reshape(len(array), array.shape[axis + 1], -1)


def _stretch(keys: Keys, part: slice, wanted: NDArray[np.bool_], search: Search) -> Keys:
    """The two nearest objects of the pixels `part` of the lines `keys` (2, n, m)."""
    code, most = search.code, len(search.steps)
    best = np.full((2, *wanted.shape), code.nothing, code.dtype)
    near, far = best
    seen = slice(max(0, part.start - most), part.stop + most)
    numbers = keys[0] & code.number
    objects = _objects(numbers[seen], keys[1, seen], code)
    if objects > 0:
        for step, here, there in _looks(search.near, part, keys.shape[1]):
            np.minimum(near[here], keys[0, there] + step, out=near[here])
    if objects > 1:
        asked = wanted & (near <= search.enough)
        far[~asked] = 0  # nothing is nearer: no search is needed for them
        _second(far, near & code.number, keys, numbers, part, search)
        far[~asked] = code.nothing
    return best


def _second(far: Keys, own: Keys, keys: Keys, numbers: Keys, part: slice, search: Search) -> None:
    """Make `far` the nearest object other than `own`, the number of the nearest one; (n, m) each.

    If a pixel of the line has `own` first, its second counts: the numbers cancel, 0 - 1 wraps
    around to the largest key, and the minimum with the second remains. Otherwise the first counts.
    """
    for offset, (step, here, there) in enumerate(_looks(search.steps, part, keys.shape[1])):
        if offset % GLANCE == 0 and far.max() <= step:
            return
        key = numbers[there] ^ own[here]
        key -= 1
        np.maximum(key, keys[0, there], out=key)
        np.minimum(key, keys[1, there], out=key)
        key += step
        np.minimum(far[here], key, out=far[here])


def _looks(steps: Keys, part: slice, length: int) -> Iterator[tuple[Any, slice, slice]]:
    """(step, pixels of `part` counted from its start, pixels of the line at that distance from them)."""
    for offset, step in enumerate(steps):
        for moved in {offset, -offset}:
            start, stop = max(part.start, -moved), min(part.stop, length - moved)
            if start < stop:
                here = slice(start - part.start, stop - part.start)
                yield step, here, slice(start + moved, stop + moved)


def _objects(numbers: Keys, seconds: Keys, code: Code) -> int:
    """How many objects there are among `numbers` and `seconds`: 0, 1, or 2 for two and more."""
    most = int(numbers.max())
    if most == 0:
        return 0
    least = int((numbers - code.dtype(1)).min()) + 1  # 0 - 1 wraps around: it is no object's number
    return 2 if least < most or seconds.min() < code.nothing else 1
