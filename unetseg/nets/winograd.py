"""3×3 convolutions with half of the multiplications, for prediction on a CPU.

Winograd's minimal filtering F(4, 3) along y (Lavin & Gray, CVPR 2016, section 4.1): of six rows at a time
the sums that stand for six points of a polynomial are convolved along x by 1×3 kernels, and their products
are summed to four rows, which take twelve such convolutions otherwise. Whole rows are added: unlike the
filtering in both directions, which halves the multiplications again, that keeps pace with the convolutions,
and is shared among threads as they are. The points are 0, ±√½, ±√2 and ∞, which round less than the usual
0, ±1, ±2 and ∞ (on the choice: Barabasz et al., ACM TOMS 2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

ROWS, SEEN = 4, 6
"""Rows that come of as many seen. All of these enter the rounding of each, so where they begin (in another
tiling elsewhere) makes a difference in the last digits."""
SMALL, LARGE = math.sqrt(0.5), math.sqrt(2)
"""Points; one is the inverse of the other, which the sums make use of."""
WIDE = 64
"""The fewest channels, in and out, for which the sums, six passes over the maps, are worth it."""
STRIP = 2**20
"""Numbers of a map that are computed at once: what is made on the way is four times as large."""
Rows = Sequence[Tensor]


def use_winograd(module: nn.Module) -> None:
    """Have a network compute its wide 3×3 convolutions by `Winograd`, in place."""
    for name, child in module.named_children():
        if type(child) is nn.Conv2d and _fits(child):
            setattr(module, name, Winograd(child))
        else:
            use_winograd(child)


class Winograd(nn.Module):
    """A 3×3 convolution of stride 1: (b, i, y, x) float32 to (b, o, y, x), 2 less each if not padded."""

    kernels: Tensor
    biases: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.pad = int(conv.padding[0])
        weight = conv.weight.detach()
        bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach()
        self.register_buffer("kernels", evaluated(weight))
        # the bias of the products that gives each row the bias once
        shares = [1 - 1 / SMALL**2, (1 + 1 / SMALL) / 2, (1 / SMALL - 1) / 2, 0.0, 0.0, 1 - SMALL**2]
        self.register_buffer("biases", torch.tensor(shares).to(bias)[:, None] @ bias[None])

    def forward(self, maps: Tensor) -> Tensor:
        """The maps in channels-last layout, computed in strips of rows."""
        batch, channels, *size = maps.shape
        height, width = (n + 2 * self.pad - 2 for n in size)
        outs = self.kernels.shape[1]
        out = maps.new_empty(batch, height, width, outs)
        step = ROWS * max(STRIP // (ROWS * width * max(channels, outs)), 1)
        for image, found in zip(maps.permute(0, 2, 3, 1), out, strict=True):
            for top in range(0, height, step):
                self._convolve(image, top - self.pad, found[top : top + step])
        return out.permute(0, 3, 1, 2)

    def _convolve(self, image: Tensor, top: int, out: Tensor) -> None:
        """Fill rows (y, x, o) from an image (y, x, i), whose row `top` is the first that they see."""
        count = -(-len(out) // ROWS)
        last = ROWS * (count - 1) + 1
        seen = _seen(image, top, last + SEEN - 1)
        points = seen.new_empty(SEEN, count, *seen.shape[1:])
        _evaluate([seen[i : i + last : ROWS] for i in range(SEEN)], points.unbind())
        products = [
            conv2d(point[None].permute(0, 3, 1, 2), kernel, bias, padding=(0, self.pad))
            for point, kernel, bias in zip(points, self.kernels, self.biases, strict=True)
        ]
        del points
        rows = out if len(out) == ROWS * count else out.new_empty(ROWS * count, *out.shape[1:])
        _interpolate([p[0].permute(1, 2, 0) for p in products], [rows[i::ROWS] for i in range(ROWS)])
        if rows is not out:
            out.copy_(rows[: len(out)])


def evaluated(weight: Tensor) -> Tensor:
    """Kernels (o, i, 3, 3) evaluated along y at the six points: (6, o, i, 1, 3), channels last in memory.

    Those at the points ±p have the factor p, which `_interpolate` reckons with.
    """
    a, b = SMALL**2, LARGE**2
    # each point with the denominator of its Lagrange polynomial, which so needs no pass of its own
    points = {0.0: a * b, SMALL: 2 * SMALL * (a - b), -SMALL: 2 * SMALL * (a - b)}
    points |= {LARGE: 2 * LARGE * (b - a), -LARGE: 2 * LARGE * (b - a)}
    rows = [[point**n / divisor for n in range(3)] for point, divisor in points.items()]
    g = torch.tensor([*rows, [0.0, 0.0, 1.0]]).to(weight)
    by_y = weight.permute(2, 0, 3, 1)  # (y, o, x, i)
    kernels = (g @ by_y.flatten(1)).view(SEEN, *by_y.shape[1:])
    return kernels.transpose(-1, -2)[:, :, :, None]


def _evaluate(d: Rows, out: Rows) -> None:
    """Bᵀd: six rows, each of four further on, to the six points."""
    for point, plus, minus in ((SMALL, out[1], out[2]), (LARGE, out[3], out[4])):
        even = torch.sub(d[4], d[2], alpha=1 / point**2, out=plus)
        odd = torch.sub(d[3], d[1], alpha=1 / point**2)
        torch.sub(even, odd, alpha=point, out=minus)
        even.add_(odd, alpha=point)
    for first, middle, last, end in ((d[0], d[2], d[4], out[0]), (d[1], d[3], d[5], out[5])):
        torch.add(first, last, out=end).sub_(middle, alpha=SMALL**2 + LARGE**2)


def _interpolate(m: Rows, out: Rows) -> None:
    """Aᵀm: the six products, which are used up, to four rows."""
    even = (m[1] + m[2], m[3] + m[4])
    odd = (m[1].sub_(m[2]), m[3].sub_(m[4]))
    torch.add(m[0], even[0], alpha=1 / SMALL, out=out[0]).add_(even[1], alpha=1 / LARGE)
    torch.add(odd[0], odd[1], out=out[1])
    torch.add(even[0], even[1], alpha=LARGE / SMALL, out=out[2]).mul_(SMALL)
    torch.add(m[5], odd[0], alpha=SMALL**2, out=out[3]).add_(odd[1], alpha=LARGE**2)


def _seen(image: Tensor, top: int, count: int) -> Tensor:
    """`count` rows of an image (y, x, c) from row `top` on, zeros beside it."""
    inside = image[max(top, 0) : top + count]
    if len(inside) == count:
        return inside
    rows = image.new_zeros(count, *image.shape[1:])
    above = max(-top, 0)
    rows[above : above + len(inside)] = inside
    return rows


def _fits(conv: nn.Conv2d) -> bool:
    plain = conv.kernel_size == (3, 3) and conv.stride == conv.dilation == (1, 1) and conv.groups == 1
    padded = conv.padding in ((0, 0), (1, 1)) and conv.padding_mode == "zeros"
    return plain and padded and min(conv.in_channels, conv.out_channels) >= WIDE
