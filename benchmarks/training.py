"""A training step: samples a second, peak memory and FLOP/s of ours, a plain loop and MONAI's pipeline.

    python -m benchmarks.training

All train the same U-Net on the same images with the same crop, batch, precision, optimizer and
loss. The plain loop is what a person writes by hand, on a batch that is made before and never
changes: no reading, no augmentation, no checks, in channels-last as ours, so the floor. MONAI's
pipeline draws crops with its own elastic, affine, flip, contrast and noise transforms in the same
process. nnU-Net's network (`pip install --no-deps dynamic-network-architectures==0.4.4`; it asks for timm,
which this does not need and which would replace torch) has the same features a stage, and as many
operations, but instance norm, LeakyReLU, strided convolutions and biases; it is timed in the same
plain loop in torch's own memory layout, which is nnU-Net's and on a CPU its faster one, and the note
names what both compute. The convolution rate is that of a single 3×3 convolution of 64 channels at the
same precision, forwards and backwards: what the device reaches at best on such layers. On a CPU: a net
of 16…256 channels; on a GPU: the paper's, for which nnU-Net's has padding and a crop of 576².
"""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, cast

import psutil
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.loops import Case, Step, examples, monai, nnunet, nnunet_crop, nnunet_net, plain
from benchmarks.rows import Row, interleaved_s, table
from unetseg.batches import batches
from unetseg.device import choose_device, precision_context
from unetseg.losses import weighted_cross_entropy
from unetseg.settings import AugmentSettings, NetOption, TrainSettings
from unetseg.train import new_state, train

ENDLESS = 10**9
COMPILED = "TORCHINDUCTOR_CACHE_DIR"


def rows(*, quick: bool = False) -> list[Row]:
    """Rows for float32 and bf16, and for the options that trade time for memory."""
    found = []
    for precision in ("float32", "bf16"):
        case = _case(precision, quick=quick)
        found += _rows_of(case) + _network_rows(case)
    return found + _option_rows(_case("bf16", quick=quick), quick=quick)


def _case(precision: Any, *, quick: bool) -> Case:
    device = choose_device("auto")
    if device.type == "cuda":
        net: dict[str, NetOption] = {"dropout": 0.0}
        settings = TrainSettings(
            steps=ENDLESS, batch=4, crop=(572,), schedule="constant", precision=precision
        )
        title = f"training step, the paper's U-Net, 4 of 572², {precision}, GPU"
        return Case(title, net, settings, device)
    width, side = (4, 64) if quick else (16, 256)
    net = {"width": width, "padding": "same", "norm": "batch", "dropout": 0.0}
    settings = TrainSettings(steps=ENDLESS, batch=4, crop=(side,), schedule="constant", precision=precision)
    return Case(f"training step, width {width}, 4 of {side}², {precision}, CPU", net, settings, device)


def _rows_of(case: Case) -> list[Row]:
    steps = {"ours": ours(case), "plain loop": plain(case)}
    with suppress(ImportError):
        steps["MONAI pipeline"] = monai(case)
    times = interleaved_s(steps, 4)
    size = case.settings.batch
    found = [
        Row(case.title, size / times["ours"], p, size / times[p], "samples/s", times[p] / times["ours"])
        for p in steps
        if p != "ours"
    ]
    memory = {name: peak_mib(steps[name], case.device) for name in ("ours", "plain loop")}
    ratio = memory["plain loop"] / memory["ours"]
    found.append(
        Row(f"{case.title}: memory", memory["ours"], "plain loop", memory["plain loop"], "MiB", ratio)
    )
    rate, limit = flop(case.build(), case, case.crop) / times["ours"] / 1e9, convolution_rate(case) / 1e9
    found.append(Row(f"{case.title}: rate", rate, "one convolution", limit, "GFLOP/s", rate / limit))
    return found


def _network_rows(case: Case) -> list[Row]:
    """Our network beside nnU-Net's, both in the plain loop; none where that is not installed."""
    peers = {"nnU-Net's network": False, "the same, deep supervision": True}
    try:
        steps = {name: nnunet(case, deep_supervision=deep) for name, deep in peers.items()}
    except ImportError:
        return []
    times = interleaved_s({"ours": plain(case), **steps}, 4)
    own, size = _size_of(case.build(), case, case.crop), case.settings.batch
    title = f"{case.title}: network alone"
    return [
        Row(title, size / times["ours"], name, size / times[name], "samples/s", times[name] / times["ours"],
            f"{own}; peer {_size_of(nnunet_net(case, deep_supervision=deep), case, nnunet_crop(case))}")
        for name, deep in peers.items()
    ]  # fmt: skip


def _size_of(net: Any, case: Case, crop: Sequence[int]) -> str:
    parameters = sum(p.numel() for p in net.parameters())
    return f"{parameters / 1e6:.3f} M parameters, {flop(net, case, crop) / 1e9:.1f} GFLOP"


def _option_rows(case: Case, *, quick: bool) -> list[Row]:
    """The options beside the default; torch.compile, which takes a minute, not when it is to be quick."""
    options = {"checkpointing": replace(case.settings, checkpointing=True)}
    if not quick and (case.device.type == "cuda" or shutil.which("g++")):
        options["compile"] = replace(case.settings, compile=True)
    steps = {name: ours(replace(case, settings=settings)) for name, settings in options.items()}
    notes = {name: f"first step {_first_s(step):.0f} s" for name, step in steps.items() if name == "compile"}
    steps["default"] = ours(case)
    times = interleaved_s(steps, 4)
    memory = {name: peak_mib(step, case.device) for name, step in steps.items()}
    return [
        row
        for name in options
        for row in (
            Row(f"{case.title}: {name}", 1e3 * times[name], "default", 1e3 * times["default"], "ms",
                times["default"] / times[name], notes.get(name, "")),
            Row(f"{case.title}: {name}", memory[name], "default", memory["default"], "MiB",
                memory["default"] / memory[name]),
        )
    ]  # fmt: skip


def _first_s(step: Step) -> float:
    """Wall seconds of the first step and all it compiles, with nothing from an earlier run's cache."""
    started, before = time.perf_counter(), os.environ.get(COMPILED)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[COMPILED] = folder
        step()
    taken = time.perf_counter() - started
    os.environ.pop(COMPILED)
    if before is not None:
        os.environ[COMPILED] = before
    return taken


def ours(case: Case) -> Step:
    """A step of our training, augmentation and all, on made-up cells."""
    state = new_state(case.build(), case.settings, case.device)
    source = batches(
        examples(),
        augment=AugmentSettings(),
        crop=case.crop,
        footprint=state.net.footprint,
        train=case.settings,
        seed=0,
        start=0,
        device=case.device,
    )
    done = train(state, source, weighted_cross_entropy, case.settings, seed=0, device=case.device)
    return lambda: next(done)


def flop(net: Any, case: Case, crop: Sequence[int]) -> float:
    """Floating-point operations of a step of the net, forwards and backwards."""
    net.to(case.device)
    images = torch.zeros(case.settings.batch, 1, *crop, device=case.device)
    with FlopCounterMode(display=False) as counter:
        found = net(images)
        sum(head.sum() for head in (found if isinstance(found, list) else [found])).backward()
    return float(counter.get_total_flops())


def convolution_rate(case: Case) -> float:
    """FLOP/s of one 3×3 convolution, 64 to 64 channels, 4 images of 128², forwards and backwards."""
    layer = nn.Conv2d(64, 64, 3, padding=1).to(case.device, memory_format=torch.channels_last)
    images = torch.randn(4, 64, 128, 128, device=case.device).contiguous(memory_format=torch.channels_last)
    images.requires_grad_()

    def work() -> None:
        with precision_context(case.settings.precision, case.device):
            out = layer(images)
        out.backward(torch.ones_like(out))

    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops()) / interleaved_s({"": work}, 5)[""]


def peak_mib(step: Step, device: torch.device) -> float:
    """The most memory two steps take: on a GPU all that torch holds, on a CPU what they add."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return torch.cuda.max_memory_allocated(device) / 2**20
    with _watched() as peak:
        step()
        step()
    return peak[0] / 2**20


@contextmanager
def _watched() -> Iterator[list[int]]:
    """The largest rise of the process's resident bytes while the block runs, looked at every 2 ms."""
    process, done = psutil.Process(), threading.Event()
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc gives back what it holds in reserve
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = process.memory_info().rss
    peak = [1]

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield cast(list[int], peak)
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    print(table(rows()))
