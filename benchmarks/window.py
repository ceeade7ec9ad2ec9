"""The sliding-window net over a whole image: every window by itself against all of them at once.

    python -m benchmarks.window [SIDE] [THREADS]

Every window by itself is the ordinary net with strided pooling on batches of windows, the fastest of
several batch sizes; it is timed on a sample of windows and extrapolated to all of them. Both sides
have the same weights, memory layout and number of threads.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.rows import Row, table
from unetseg.nets import build_net

BATCHES = (4, 16, 64)
SAMPLE = 512
"""Windows that are timed and compared."""


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """The shortest time of one call in `repeats`, after a call that warms up."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def ordinary(net: Any) -> nn.Module:
    """The same layers, one after the other: what classifies a single window."""
    convs = [m for conv in net.convs for m in (conv, nn.ReLU(inplace=True), nn.MaxPool2d(2))]
    return nn.Sequential(*convs, net.hidden, nn.ReLU(inplace=True), net.head).eval()


def sampled_windows(image: Tensor, window: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """`count` windows (n, c, window, window) of an image (c, y, x) and the rows and columns they start at."""
    generator = torch.Generator().manual_seed(1)
    rows, columns = (torch.randint(n - window + 1, (count,), generator=generator) for n in image.shape[1:])
    windows = [
        image[:, y : y + window, x : x + window] for y, x in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    return torch.stack(windows), rows, columns


def rows(*, quick: bool = False) -> list[Row]:
    """All windows of a square at once against each by itself."""
    side, windows = (16, (65,)) if quick else (128, (95, 65))
    return [_row(window, side) for window in windows]


@torch.no_grad()
def _row(window: int, side: int) -> Row:
    layout = torch.channels_last
    net: Any = build_net("window", channels=1, classes=2, window=window)
    net.eval().to(memory_format=layout)
    plain, image = ordinary(net), torch.randn(1, side + window - 1, side + window - 1)
    windows, rows, columns = sampled_windows(image, window, SAMPLE)
    parts = {b: [p.contiguous(memory_format=layout) for p in windows.split(b)] for b in BATCHES}
    each = {b: seconds(lambda p=p: [plain(x) for x in p], 1) / SAMPLE for b, p in parts.items()}
    best = min(each, key=lambda b: each[b])
    whole = image[None].contiguous(memory_format=layout)
    dense = seconds(lambda: net(whole), 2)
    apart = torch.cat([plain(p) for p in parts[best]])[:, :, 0, 0]
    off = float((net(whole)[0, :, rows, columns].T - apart).abs().max())
    note = f"scaled from {SAMPLE} windows; difference of a logit {off:.1g}"
    title, peer = f"window net {window}, {side}²", f"~each by itself, batches of {best}"
    return Row(title, dense, peer, each[best] * side * side, "s", each[best] * side * side / dense, note)


def main() -> None:
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 512
    torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    print(f"{torch.get_num_threads()} threads, float32")
    print(table([_row(window, side) for window in (95, 65)]))


if __name__ == "__main__":
    main()
