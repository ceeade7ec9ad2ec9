"""The inference engines beside each other: time, peak memory and difference from PyTorch.

    python -m benchmarks.engines [--net unet] [--width 16]… [--kept 1024]… [--threads 1]… [--repeat 2]

Every figure comes from a process of its own, so that its peak memory is its own. The engines take turns, and
the fastest forward pass after the first is shown. On a busy machine trust the processor time, not the clock.
Weights are random; the difference is the largest of a logit from PyTorch's. "whole" computes an image of the
given side; "tile" keeps that many pixels a side and computes the context around them too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.rows import Row
from unetseg.allocator import keep_freed_memory
from unetseg.device import peak_memory
from unetseg.inference.engines import prepare
from unetseg.nets import build_net
from unetseg.tiles import TileGrid

EAGER, ENOUGH_S = "PyTorch eager", 10.0
CPU = torch.device("cpu")
OPTIONS: dict[str, dict[str, Any]] = {
    "unet": {"padding": "same", "norm": "batch", "dropout": 0.0},
    "unet++": {"norm": "batch"},
    "fcn-8s": {"norm": "batch", "dropout": 0.0, "context": 128},
    "v-net": {"depth": 2, "context": 12},
}
"""As they are trained here, with a short context where all that a pixel sees is too much for a tile."""


@dataclass(frozen=True)
class Case:
    """A network, the pixels that are kept (of a volume: half as many slices), and the threads."""

    net: str
    width: int
    kept: int
    tile: bool
    threads: int

    def __str__(self) -> str:
        what = "tile" if self.tile else "whole"
        return f"{self.net} {self.width}, {what} {self.kept}, {self.threads} threads"


@dataclass(frozen=True)
class Measured:
    """Seconds of a forward pass by the clock and of the processor; peak bytes; difference of the logits."""

    seconds: float
    cpu: float
    peak: int
    difference: float


def eager(net: Any) -> Callable[[Tensor], Tensor]:
    """The network as it was trained."""
    return lambda images: net(images)


ENGINES: dict[str, Callable[[Any], Callable[[Tensor], Tensor]]] = {
    EAGER: eager,
    "torch": lambda net: prepare(net, CPU, engine="torch"),
    "onnxruntime": lambda net: prepare(net, CPU, engine="onnxruntime"),
    "openvino": lambda net: prepare(net, CPU, engine="openvino"),
}


def rows(*, quick: bool = False) -> list[Row]:
    """The default engine beside PyTorch on the default network."""
    case = Case("unet", 4 if quick else 16, 64 if quick else 1024, tile=False, threads=1)
    found = measured(case, [EAGER, "torch", "openvino"], 1)
    ours = found.pop("openvino")
    return [
        Row(f"{case.kept}² by OpenVINO", ours.cpu, name, peer.cpu, "s", peer.cpu / ours.cpu,
            f"peak {ours.peak / 1e6:.0f} MB, peer {peer.peak / 1e6:.0f}; difference {ours.difference:.1g}")
        for name, peer in found.items()
    ]  # fmt: skip


def measured(case: Case, engines: Iterable[str], repeat: int) -> dict[str, Measured]:
    """Each engine's figures; they take turns, `repeat` times."""
    engines = list(engines)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in engines}
    with tempfile.TemporaryDirectory() as folder:
        for _, name in product(range(repeat), engines):
            runs[name].append(in_a_process(case, name, _logits_file(folder, name)))
        expected = np.load(_logits_file(folder, engines[0]))
        return {
            name: Measured(
                seconds=min(r["seconds"] for r in done),
                cpu=min(r["cpu"] for r in done),
                peak=int(max(r["peak"] for r in done)),
                difference=float(np.abs(np.load(_logits_file(folder, name)) - expected).max()),
            )
            for name, done in runs.items()
        }


def in_a_process(case: Case, engine: str, out: Path) -> dict[str, float]:
    """The figures of one process; its logits are written to `out`."""
    command = [sys.executable, "-m", "benchmarks.engines", "--child", json.dumps([engine, asdict(case)])]
    done = subprocess.run([*command, "--out", str(out)], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _logits_file(folder: str, engine: str) -> Path:
    return Path(folder) / f"{engine.replace(' ', '-')}.npy"


def forward_passes(case: Case, compile_net: Callable[[Any], Callable[[Tensor], Tensor]], out: Path) -> None:
    """Time forward passes in this process, after a first one, and print the figures of the fastest."""
    keep_freed_memory()  # as the command does
    torch.set_num_threads(case.threads)
    net = build_net(case.net, channels=1, classes=2, width=case.width, **OPTIONS[case.net]).eval()
    size, crop = what_is_read(case, net)
    images = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(0))
    compiled = compile_net(net)
    with torch.no_grad():
        first = compiled(images)
        np.save(out, first[(0, slice(None), *crop)].numpy())
        del first
        times = [_timed(compiled, images)]
        while len(times) < 5 and sum(seconds for seconds, _ in times) < ENOUGH_S:
            times.append(_timed(compiled, images))
    seconds, cpu = (min(found) for found in zip(*times, strict=True))
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak_memory(CPU)}))


def what_is_read(case: Case, net: Any) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """The size of the network's input, and the region of its output that is kept."""
    sides = (case.kept, case.kept) if net.dims == 2 else (case.kept // 2, case.kept, case.kept)
    if not case.tile:
        return sides, tuple(slice(0, n) for n in sides)
    grid = TileGrid(sides, sides, net.footprint)
    return grid.read_shape, grid[0].crop


def _timed(compiled: Callable[[Tensor], Tensor], images: Tensor) -> tuple[float, float]:
    """Seconds of a forward pass by the clock, and of the processor."""
    clock, cpu = time.perf_counter(), time.process_time()
    compiled(images)
    return time.perf_counter() - clock, time.process_time() - cpu


def main() -> None:
    options = _options()
    if options.child:
        engine, case = json.loads(options.child)
        forward_passes(Case(**case), ENGINES[engine], options.out)
        return
    cases = product(options.net, options.width, options.kept, (False, True), options.threads)
    for case in (Case(*values) for values in cases):
        print_case(case, measured(case, ENGINES, options.repeat))


def print_case(case: Case, found: dict[str, Measured]) -> None:
    """A line for each engine."""
    print(case)
    for name, m in found.items():
        figures = f"{m.cpu:8.2f} CPU s{m.seconds:8.2f} s{m.peak / 1e6:8.0f} MB"
        print(f"  {name:18}{figures}  difference {m.difference:.1g}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--net", nargs="+", choices=OPTIONS, default=["unet"])
    parser.add_argument("--width", nargs="+", type=int, default=[16])
    parser.add_argument("--kept", nargs="+", type=int, default=[1024])
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
