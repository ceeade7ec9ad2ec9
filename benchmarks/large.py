"""Streamed prediction of a large image against the network alone and MONAI's sliding windows.

    python -m benchmarks.large RUN IMAGE [--side 2048] [--memory 2] [--repeat 2]
    python -m benchmarks.large RUN IMAGE --growth          # peak memory at 4,096², 8,192² and 16,384²

RUN is a run folder or a model file, or "narrow": an untrained U-Net of the default size. IMAGE is a
TIFF or "synthetic"; it is tiled to the side asked for. Each row is a process of its own; rows are
repeated in turn and the fastest of each is shown, so that ratios are those of one run; CPU seconds, of all
threads, say more on a busy machine. Differences are of the probability of the last class from that of
the whole image computed at once: where the image's border is within the network's context, and in the
interior; with the pixels that are on the other side of 1/2. `rows` takes the untrained net, whose
differences say little.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.rows import Row
from benchmarks.sliding import ALONE, CONTENDERS, OURS, WHOLE, Maps, model_of
from unetseg.allocator import keep_freed_memory
from unetseg.device import peak_memory
from unetseg.images.whole import read_stack
from unetseg.pipeline.model import PredictSettings
from unetseg.streaming.plan import make_plan

STREAMED, LABELS = "streamed, probabilities", "streamed, file to labels"


@dataclass(frozen=True)
class Task:
    """What all contenders predict: the image made of `source`, `side`² pixels, in `memory` GiB.

    engine: what the streamed contenders and the whole image are computed by.
    """

    run: str
    source: str
    side: int
    memory: float
    engine: str = "auto"

    @property
    def tiling(self) -> PredictSettings:
        """How the streamed prediction is cut up."""
        return PredictSettings(memory=int(self.memory * 2**30), engine=self.engine)


@dataclass(frozen=True)
class Apart:
    """The largest differences from the whole image, and the pixels on the other side of 1/2."""

    border: float
    border_pixels: int
    interior: float
    interior_pixels: int

    def __str__(self) -> str:
        return (
            f"border {self.border:.2g} ({self.border_pixels} px), "
            f"interior {self.interior:.2g} ({self.interior_pixels} px)"
        )


@dataclass(frozen=True)
class Measured:
    """The fastest of a contender's runs by the clock and by the CPU, its peak bytes, its difference."""

    seconds: float
    cpu: float
    peak: int
    apart: Apart | None


def rows(*, quick: bool = False) -> list[Row]:
    """Streamed prediction beside the network alone, the whole image, and MONAI where it is installed."""
    task = Task("narrow", "synthetic", 512 if quick else 2048, 2.0)
    peers = [ALONE, WHOLE, *(n for n in CONTENDERS if "MONAI" in n and importlib.util.find_spec("monai"))]
    with tempfile.TemporaryDirectory() as folder:
        found = measured(task, [*peers, STREAMED, LABELS], 1, Path(folder))
    title = f"prediction of {task.side}²"
    return [_row(title, STREAMED, peer, found) for peer in peers] + [_row(title, LABELS, ALONE, found)]


def _row(title: str, name: str, peer: str, found: dict[str, Measured]) -> Row:
    ours, other = found[name], found[peer]
    said = [f"peak {ours.peak / 1e6:.0f} MB, peer {other.peak / 1e6:.0f}"]
    said += [f"{who}: {m.apart}" for who, m in (("ours", ours), ("peer", other)) if m.apart and peer != WHOLE]
    return Row(f"{title}, {name}", ours.cpu, peer, other.cpu, "s", other.cpu / ours.cpu, "; ".join(said))


def measured(task: Task, names: Sequence[str], repeat: int, folder: Path) -> dict[str, Measured]:
    """Each contender's figures; they take turns, `repeat` times."""
    image = _write_image(task, folder)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(repeat):
        for name in names:
            runs[name].append(_run(task, name, image, folder))
    context = model_of(task.run).net.footprint.context[0]
    return {
        name: Measured(
            seconds=min(r["seconds"] for r in done),
            cpu=min(r["cpu"] for r in done),
            peak=int(max(r["peak"] for r in done)),
            apart=compared(folder / f"{_slug(name)}.npy", folder / f"{_slug(WHOLE)}.npy", context),
        )
        for name, done in runs.items()
    }


def compared(file: Path, whole: Path, context: int) -> Apart | None:
    """None for a contender that leaves no probabilities."""
    if not file.exists():
        return None
    maps: tuple[Maps, Maps] = np.load(file), np.load(whole)
    difference, other = np.abs(maps[0] - maps[1]), (maps[0] > 0.5) != (maps[1] > 0.5)
    inside = np.zeros(difference.shape, bool)
    inside[context:-context, context:-context] = True
    return Apart(
        float(difference[~inside].max()),
        int(other[~inside].sum()),
        float(difference[inside].max(initial=0)),
        int(other[inside].sum()),
    )


def _run(task: Task, name: str, image: Path, folder: Path) -> dict[str, float]:
    """One run in a process of its own, on as many threads as here."""
    for old in folder.glob(f"{_slug(name)}.zarr*"):
        subprocess.run(["rm", "-r", str(old)], check=True)  # noqa: S607
    command = [sys.executable, "-m", "benchmarks.large", task.run, str(image), "--contender", name]
    command += ["--out", str(folder / f"{_slug(name)}.npy"), "--memory", str(task.memory)]
    command += ["--threads", str(torch.get_num_threads()), "--engine", task.engine]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    options = _options()
    if options.contender in OURS:
        keep_freed_memory()  # before there are threads, as the command does
    torch.set_num_threads(options.threads)
    task = Task(options.run, options.image, options.side, options.memory, options.engine)
    if options.contender:
        contender, model = CONTENDERS[options.contender], model_of(task.run)
        with torch.no_grad():
            seconds, cpu = contender(model, Path(task.source), task.tiling, Path(options.out))
        print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak_memory(torch.device("cpu"))}))
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.growth:
            _growth(task, Path(folder))
        else:
            _compare(task, options.repeat, Path(folder))


def _compare(task: Task, repeat: int, folder: Path) -> None:
    plan = make_plan(model_of(task.run), (task.side, task.side), task.tiling)
    print(f"{task.side}², tiles of {plan.partition.step}, {plan.redundancy:.2f} pixels computed for each")
    print(f"{torch.get_num_threads()} threads; fastest of {repeat}")
    found = measured(task, list(CONTENDERS), repeat, folder)
    alone = found[ALONE]
    print(
        f"{'':30}{'s':>8}{'ratio':>8}{'CPU s':>8}{'ratio':>8}{'peak MB':>9}  difference from the whole image"
    )
    for name, m in found.items():
        times = f"{m.seconds:8.1f}{m.seconds / alone.seconds:8.2f}{m.cpu:8.1f}{m.cpu / alone.cpu:8.2f}"
        print(f"{name:30}{times}{m.peak / 1e6:9.0f}  {m.apart or ''}")


def _growth(task: Task, folder: Path) -> None:
    print(f"peak memory of the streamed prediction, --memory {task.memory}")
    for side in (4096, 8192, 16384):
        larger = replace(task, side=side)
        found = _run(larger, LABELS, _write_image(larger, folder), folder)
        rate = side**2 / 1e6 / found["seconds"]
        print(f"{side:6}²{found['peak'] / 1e6:8.0f} MB{found['seconds']:8.0f} s{rate:7.2f} Mpx/s", flush=True)


def _write_image(task: Task, folder: Path) -> Path:
    """A tiled TIFF from the pixels of an image, repeated with flips so that no seam shows."""
    import tifffile

    side, source = task.side, task.source
    one = _synthetic() if source == "synthetic" else read_stack(Path(source)).pixels[0, 0]
    two = np.concatenate([one, one[:, ::-1]], 1)
    four = np.concatenate([two, two[::-1]])
    counts = [-(-side // n) for n in four.shape]
    path = folder / f"image{side}.tif"
    tifffile.imwrite(
        path, np.tile(four, counts)[:side, :side], tile=(512, 512), compression="zlib", bigtiff=True
    )
    return path


def _synthetic() -> NDArray[np.uint8]:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(0).normal(size=(1024, 1024)), 6)
    return (128 + 100 * noise / np.abs(noise).max()).astype(np.uint8)


def _slug(row: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in row)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("image")
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--memory", type=float, default=2.0, help="GiB")
    parser.add_argument("--engine", default="auto", help="torch, openvino, onnxruntime or auto")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
