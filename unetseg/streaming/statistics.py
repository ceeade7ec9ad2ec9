"""Mean, standard deviation and percentiles of images that are read block by block.

Everything is computed in float64 and in the blocks' order, so the same blocks give the same bits.
Percentiles are exact: the grey values wanted are found digit by digit, in as many passes over the
blocks as a grey value has pairs of bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.normalise import PERCENTILES, Normalisation

Blocks = Callable[[], Iterator[NDArray[Any]]]
"""Starts a pass over all blocks (c, y, x) of an image, always the same ones in the same order."""
DIGIT = 16


def streamed_statistics(rule: Normalisation, blocks: Blocks) -> Normalisation:
    """The rule with the offset and scale of this one image stored, so that it can be applied to regions.

    The result equals the rule on the whole image to float precision.
    """
    match rule.method:
        case "per-image":
            offset, scale = mean_and_deviation(blocks())
        case "percentile":
            offset, scale = _percentile_range(blocks)
        case _:
            return rule
    return replace(rule, method="training-set", offset=tuple(offset.tolist()), scale=tuple(scale.tolist()))


def mean_and_deviation(
    blocks: Iterable[NDArray[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (c,) of all pixels of the blocks (c, y, x).

    Sums of squares about the mean are merged block by block (Chan, Golub, LeVeque 1983, eq. 2.1).
    """
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for block in blocks:
        pixels = block.reshape(len(block), -1).astype(np.float64)
        n, centre = pixels.shape[1], pixels.mean(1)
        step = centre - mean
        squares = squares + ((pixels - centre[:, None]) ** 2).sum(1) + step**2 * (count * n / (count + n))
        mean, count = mean + step * (n / (count + n)), count + n
    return mean, np.sqrt(squares / max(count, 1))


def order_statistics(blocks: Blocks, ranks: Sequence[int]) -> NDArray[Any]:
    """The grey values of the given ranks (0 the smallest) among all pixels of the blocks (y, x).

    Radix selection: the ranks' values are narrowed down by 16 bits of them at a time.
    """
    dtype = next(blocks()).dtype
    bits = 8 * dtype.itemsize
    prefixes, remaining = [0] * len(ranks), list(ranks)
    for low in range(max(bits - DIGIT, 0), -1, -DIGIT):
        wanted = dict.fromkeys(prefixes)
        counts = {p: np.zeros(2 ** min(bits, DIGIT), np.int64) for p in wanted}
        for block in blocks():
            keys = _sortable(block.ravel())
            for prefix in wanted:
                among = keys if low + DIGIT >= bits else keys[keys >> (low + DIGIT) == prefix]
                digits = (among >> low) & (len(counts[prefix]) - 1)
                counts[prefix] += np.bincount(digits.astype(np.int64), minlength=len(counts[prefix]))
        for i, prefix in enumerate(prefixes):
            upto = counts[prefix].cumsum()
            digit = int(np.searchsorted(upto, remaining[i], side="right"))
            remaining[i] -= int(upto[digit - 1]) if digit else 0
            prefixes[i] = (prefix << min(bits, DIGIT)) | digit
    return _unsorted(np.array(prefixes, f"u{dtype.itemsize}"), dtype)


def _percentile_range(blocks: Blocks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower percentile and the distance to the upper one (or to the maximum), per channel."""
    sizes = [block.shape[1] * block.shape[2] for block in blocks()]
    channels = range(len(next(blocks())))
    found = [_percentiles(partial(_channel, blocks, c), sum(sizes)) for c in channels]
    low, high, most = (np.array(column) for column in zip(*found, strict=True))
    return low, np.where(high > low, high - low, most - low)


def _channel(blocks: Blocks, channel: int) -> Iterator[NDArray[Any]]:
    return (block[channel] for block in blocks())


def _percentiles(blocks: Blocks, count: int) -> tuple[float, float, float]:
    """The two percentiles, linear between neighbouring ranks as in numpy, and the maximum."""
    places = [q / 100 * (count - 1) for q in PERCENTILES]
    ranks = [r for p in places for r in (int(p), min(int(p) + 1, count - 1))] + [count - 1]
    values = order_statistics(blocks, ranks).astype(np.float64)
    low, high = (
        a + (b - a) * (p - int(p)) for a, b, p in zip(values[0:4:2], values[1:4:2], places, strict=True)
    )
    return float(low), float(high), float(values[4])


def _sortable(values: NDArray[Any]) -> NDArray[Any]:
    """Unsigned integers in the order of the values (of floats: sign and magnitude to two's complement)."""
    unsigned = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")
    sign = unsigned.dtype.type(1 << (8 * values.dtype.itemsize - 1))
    match values.dtype.kind:
        case "u" | "b":
            return unsigned
        case "i":
            return unsigned ^ sign
        case _:
            return np.where(unsigned & sign, ~unsigned, unsigned | sign)


def _unsorted(keys: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Undo `_sortable`."""
    sign = keys.dtype.type(1 << (8 * dtype.itemsize - 1))
    match dtype.kind:
        case "u" | "b":
            return keys.view(dtype)
        case "i":
            return (keys ^ sign).view(dtype)
        case _:
            return np.where(keys & sign, keys ^ sign, ~keys).view(dtype)
