"""A network's footprint, derived from its layers by following an interval of pixels through them.

>>> layers = [Conv(3), Branches([], [pool(2), Conv(3), Up(2, 2)]), Conv(3)]
>>> derive_footprint(layers, dims=2)
Footprint(context=(5, 5), stride=(2, 2), valid=False, phase=(0, 0))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from unetseg.errors import UserError
from unetseg.tiles import Footprint

Sizes = int | tuple[int, ...]
"""One number for every axis, or one for each of yx."""


@dataclass(frozen=True)
class Conv:
    """A convolution or pooling; `padded` adds ⌊dilation·(kernel − 1)/2⌋ before it, as torch's "same".

    before: pixels that are added before it instead, where that is another number.
    """

    kernel: Sizes
    stride: Sizes = 1
    dilation: Sizes = 1
    padded: bool = True
    before: int | None = None

    def seen(self, low: int, high: int, axis: int) -> tuple[int, int]:
        """The input pixels that the output pixels low…high see."""
        span, stride = self._span(axis), _at(self.stride, axis)
        usual = span // 2 if self.padded else 0
        before = usual if self.before is None else self.before
        return low * stride - before, high * stride - before + span

    def size(self, n: int, axis: int) -> int:
        """The size of the output of an input of n pixels; 0 where the layer does not divide n."""
        left, stride = n - (0 if self.padded else self._span(axis)) - 1, _at(self.stride, axis)
        exact = (left + 1 - stride) % stride == 0 if self.padded else left % stride == 0
        return left // stride + 1 if left >= 0 and exact else 0

    def scale(self, scale: Fraction, axis: int) -> list[Fraction]:
        """Pixels of the image in a pixel of the output."""
        return [scale * _at(self.stride, axis)]

    def _span(self, axis: int) -> int:
        return _at(self.dilation, axis) * (_at(self.kernel, axis) - 1)


@dataclass(frozen=True)
class Up:
    """A transposed convolution whose output is `stride` times the input's size.

    cut: pixels that it drops before its output, by default half of what the kernel exceeds the stride by.
    """

    kernel: Sizes
    stride: Sizes
    cut: int | None = None

    def seen(self, low: int, high: int, axis: int) -> tuple[int, int]:
        """The input pixels that the output pixels low…high see."""
        kernel, stride = _at(self.kernel, axis), _at(self.stride, axis)
        cut = (kernel - stride) // 2 if self.cut is None else self.cut
        return -(-(low + cut - kernel + 1) // stride), (high + cut) // stride

    def size(self, n: int, axis: int) -> int:
        """The size of the output of an input of n pixels."""
        return n * _at(self.stride, axis)

    def scale(self, scale: Fraction, axis: int) -> list[Fraction]:
        """Pixels of the image in a pixel of the output."""
        return [scale / _at(self.stride, axis)]


@dataclass(frozen=True)
class Branches:
    """Paths that part and meet again (skips, residuals), cropped to the smallest where they meet."""

    paths: tuple[tuple[Layer, ...], ...]

    def __init__(self, *paths: Sequence[Layer]) -> None:
        object.__setattr__(self, "paths", tuple(tuple(path) for path in paths))

    def seen(self, low: int, high: int, axis: int) -> tuple[int, int]:
        """The farthest that any path sees."""
        ends = [_seen(path, low, high, axis) for path in self.paths]
        return min(a for a, _ in ends), max(b for _, b in ends)

    def size(self, n: int, axis: int) -> int:
        """The smallest of the paths' outputs; 0 where one of them does not take n pixels."""
        return min(_size(path, n, axis) for path in self.paths)

    def scale(self, scale: Fraction, axis: int) -> list[Fraction]:
        """The scales on all paths; the last is that where they meet."""
        return [s for path in self.paths for s in _scales(path, scale, axis)]


Layer = Conv | Up | Branches


def pool(factor: Sizes) -> Conv:
    """Pooling of blocks that do not overlap."""
    return Conv(factor, factor, padded=False)


def derive_footprint(layers: Sequence[Layer], *, dims: int, valid: bool = False) -> Footprint:
    """The footprint of a network of `layers`, from the image to logits of the image's resolution.

    What a pixel of a padded net sees also depends on its place within a block of the stride: the
    farthest over the block is the context. The context of a valid net is what its output lacks on
    each side. Raises UserError for a valid net whose output lacks an odd number of pixels.
    """
    axes = range(dims)
    stride = tuple(_stride(layers, axis) for axis in axes)
    if not valid:
        context = tuple(_context(layers, s, axis) for axis, s in enumerate(stride))
        return Footprint(context, stride, False, (0,) * dims)
    smallest = [_smallest(layers, axis) for axis in axes]
    lost = [n - _size(layers, n, axis) for axis, n in enumerate(smallest)]
    if any(n % 2 for n in lost):
        raise UserError(f"a network whose output lacks {lost} pixels: they must be even, half each side.")
    phase = tuple(n % s for n, s in zip(smallest, stride, strict=True))
    return Footprint(tuple(n // 2 for n in lost), stride, True, phase)


def _context(layers: Sequence[Layer], stride: int, axis: int) -> int:
    ends = [(place, *_seen(layers, place, place, axis)) for place in range(stride)]
    return max(max(place - low, high - place) for place, low, high in ends)


def _stride(layers: Sequence[Layer], axis: int) -> int:
    return math.lcm(*(s.numerator for s in _scales(layers, Fraction(1), axis)))


def _smallest(layers: Sequence[Layer], axis: int) -> int:
    """The smallest input that every layer takes whole."""
    n = 1
    while _size(layers, n, axis) < 1:
        n += 1
    return n


def _seen(layers: Sequence[Layer], low: int, high: int, axis: int) -> tuple[int, int]:
    for layer in reversed(layers):
        low, high = layer.seen(low, high, axis)
    return low, high


def _size(layers: Sequence[Layer], n: int, axis: int) -> int:
    for layer in layers:
        n = layer.size(n, axis)
        if n < 1:
            return 0
    return n


def _scales(layers: Sequence[Layer], scale: Fraction, axis: int) -> list[Fraction]:
    scales = [scale]
    for layer in layers:
        scales += layer.scale(scales[-1], axis)
    return scales


def _at(sizes: Sizes, axis: int) -> int:
    return sizes if isinstance(sizes, int) else sizes[axis]
