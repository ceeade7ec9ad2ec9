"""Maps computed in blocks of rows, so that what makes a block is alive for that block only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from unetseg.nets.contract import Ranges, region

BLOCK_PIXELS, ROWS = 2**17, 32
"""Pixels of a block, about: enough to be computed at the full rate, a fraction of a tile; and the fewest
rows, so that the rim that is computed besides (2 rows each side, in a U-Net) stays a small part."""


@dataclass(frozen=True)
class Cut:
    """What is known of maps (b, c, *yx): the part that begins at `origin`."""

    maps: Tensor
    origin: Sequence[int]

    def region(self, ranges: Ranges) -> Tensor:
        """A region by its place in the whole maps."""
        return region(self.maps, [(a - o, b - o) for (a, b), o in zip(ranges, self.origin, strict=True)])


def by_rows(compute: Callable[[Ranges], Tensor], keep: Ranges) -> Cut:
    """The part `keep` of maps, of which `compute` gives any region (b, c, *yx), a block of rows at a time.

    Rows run along the first of the axes yx.
    """
    (start, stop), *others = keep
    rows = max(BLOCK_PIXELS // math.prod(b - a for a, b in others), ROWS)
    origin = [a for a, _ in keep]
    if rows >= stop - start:
        return Cut(compute(keep), origin)
    blocks = [(top, min(top + rows, stop)) for top in range(start, stop, rows)]
    first = compute([blocks[0], *others])
    batch, channels, _, *sides = first.shape
    # channels last, as the maps of a prediction are
    out = first.new_empty((batch, stop - start, *sides, channels)).movedim(-1, 1)
    out[:, :, : first.shape[2]] = first
    del first
    for top, bottom in blocks[1:]:
        out[:, :, top - start : bottom - start] = compute([(top, bottom), *others])
    return Cut(out, origin)
