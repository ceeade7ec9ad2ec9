"""A training step: samples a second, peak memory and FLOP/s of ours, a plain loop and MONAI's pipeline.

    python -m benchmarks.training

All train the same U-Net on the same images with the same crop, batch, precision, optimizer and
loss. The plain loop is what a person writes by hand, on a batch that is made before and never
changes: no reading, no augmentation, no checks, in channels-last as ours, so the floor. MONAI's
pipeline draws crops with its own elastic, affine, flip, contrast and noise transforms in the same
process. The convolution rate is that of a single 3×3 convolution of 64 channels at the same
precision, forwards and backwards: what the device reaches at best on such layers. On a CPU: a net
of 16…256 channels; on a GPU: the paper's.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import psutil
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.rows import Row, interleaved_s, table
from benchmarks.weight_maps import cells
from unetseg.batches import batches
from unetseg.device import choose_device, precision_context
from unetseg.losses import weighted_cross_entropy
from unetseg.nets import build_net
from unetseg.sample import Example, Sample, make_example
from unetseg.settings import AugmentSettings, NetOption, TargetSettings, TrainSettings
from unetseg.train import new_state, train

Step = Callable[[], object]
ENDLESS = 10**9


@dataclass(frozen=True)
class Case:
    """What all contenders share."""

    title: str
    net: dict[str, NetOption]
    settings: TrainSettings
    device: torch.device

    @property
    def crop(self) -> tuple[int, int]:
        """The network's input."""
        return self.settings.crop[0], self.settings.crop[0]

    def build(self) -> Any:
        """A fresh network."""
        return build_net("unet", channels=1, classes=2, seed=0, **self.net)


def rows(*, quick: bool = False) -> list[Row]:
    """Rows for float32 and bf16, and for the options that trade time for memory."""
    found = []
    for precision in ("float32", "bf16"):
        found += _rows_of(_case(precision, quick=quick))
    return found + _option_rows(_case("bf16", quick=quick))


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
    steps = {"ours": _ours(case), "plain loop": _plain(case)}
    with suppress(ImportError):
        steps["MONAI pipeline"] = _monai(case)
    times = interleaved_s(steps, 4)
    size = case.settings.batch
    found = [
        Row(case.title, size / times["ours"], p, size / times[p], "samples/s", times[p] / times["ours"])
        for p in steps
        if p != "ours"
    ]
    memory = {name: _peak_mib(steps[name], case.device) for name in ("ours", "plain loop")}
    ratio = memory["plain loop"] / memory["ours"]
    found.append(
        Row(f"{case.title}: memory", memory["ours"], "plain loop", memory["plain loop"], "MiB", ratio)
    )
    rate, limit = _flop(case) / times["ours"] / 1e9, _convolution_rate(case) / 1e9
    found.append(Row(f"{case.title}: rate", rate, "one convolution", limit, "GFLOP/s", rate / limit))
    return found


def _option_rows(case: Case) -> list[Row]:
    """The options beside the default: checkpointing, and torch.compile on a GPU."""
    options = {"checkpointing": replace(case.settings, checkpointing=True)}
    if case.device.type == "cuda":
        options["compile"] = replace(case.settings, compile=True)
    steps = {name: _ours(replace(case, settings=settings)) for name, settings in options.items()}
    steps["default"] = _ours(case)
    times = interleaved_s(steps, 4)
    memory = {name: _peak_mib(step, case.device) for name, step in steps.items()}
    return [
        row
        for name in options
        for row in (
            Row(f"{case.title}: {name}", 1e3 * times[name], "default", 1e3 * times["default"], "ms",
                times["default"] / times[name]),
            Row(f"{case.title}: {name}", memory[name], "default", memory["default"], "MiB",
                memory["default"] / memory[name]),
        )
    ]  # fmt: skip


def examples(side: int = 512, count: int = 8) -> list[Example]:
    """Made-up cells, as training sees them."""
    found = []
    for seed in range(count):
        labels = cells(60, (side, side), seed)
        image = (labels > 0) + 0.5 * np.random.default_rng(seed).normal(size=labels.shape)
        image = image.astype(np.float32)[None]
        weights = np.ones(2, np.float32)
        found.append(make_example(Sample(str(seed), image, labels), image, TargetSettings(), weights))
    return found


def _ours(case: Case) -> Step:
    state = new_state(case.build(), case.settings, case.device)
    source = batches(
        examples(),
        settings=AugmentSettings(),
        crop=case.crop,
        footprint=state.net.footprint,
        train=case.settings,
        seed=0,
        start=0,
        device=case.device,
    )
    done = train(state, source, weighted_cross_entropy, case.settings, seed=0, device=case.device)
    return lambda: next(done)


def _plain(case: Case) -> Step:
    net, size = case.build(), case.settings.batch
    out = net.footprint.output(case.crop)
    images = torch.randn(size, 1, *case.crop, device=case.device)
    classes = torch.randint(0, 2, (size, *out), device=case.device)
    return _loop(case, net, itertools.repeat((images, classes, torch.ones(size, *out, device=case.device))))


def _loop(case: Case, net: Any, source: Iterator[tuple[Tensor, Tensor, Tensor]]) -> Step:
    """A training step as a person writes it."""
    net.to(case.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), case.settings.learning_rate)

    def step() -> None:
        images, classes, weight = next(source)
        optimizer.zero_grad()
        with precision_context(case.settings.precision, case.device):
            logits = net(images.contiguous(memory_format=torch.channels_last))
        losses = nn.functional.cross_entropy(logits.float(), classes, reduction="none")
        (weight * losses).mean().backward()
        optimizer.step()

    return step


def _monai(case: Case) -> Step:
    from monai.data import DataLoader, Dataset
    from monai.transforms import Compose

    keys = ["image", "classes", "weight"]
    data = [
        {"image": e.image, "classes": e.classes[None].astype(np.float32), "weight": e.weight[None]}
        for e in examples()
    ]
    chain = Compose(_monai_transforms(keys, case.crop))
    loader = DataLoader(Dataset(data * 1000, chain), batch_size=case.settings.batch, shuffle=True)
    net = case.build()
    out = net.footprint.output(case.crop)

    def made() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for batch in itertools.chain.from_iterable(itertools.repeat(loader)):
            image, classes, weight = (batch[key].as_tensor().to(case.device) for key in keys)
            yield image, _cut(classes, out)[:, 0].long(), _cut(weight, out)[:, 0]

    return _loop(case, net, made())


def _monai_transforms(keys: list[str], crop: tuple[int, int]) -> list[Any]:
    from monai import transforms as t

    modes = ["bilinear", "nearest", "nearest"]
    return [
        t.EnsureTyped(keys),
        t.SpatialPadd(keys, crop, mode="reflect"),
        t.RandSpatialCropd(keys, crop, random_size=False),
        t.Rand2DElasticd(
            keys, (crop[0] / 2, crop[0] / 2), (10, 10), prob=1.0, rotate_range=np.pi, scale_range=0.1,
            mode=modes, padding_mode="reflection",
        ),
        t.RandFlipd(keys, 0.5, 0),
        t.RandFlipd(keys, 0.5, 1),
        t.RandAdjustContrastd("image", 1.0, (0.8, 1.2)),
        t.RandScaleIntensityd("image", 0.2, prob=1.0),
        t.RandShiftIntensityd("image", 0.2, prob=1.0),
        t.RandGaussianNoised("image", 1.0, std=0.1),
    ]  # fmt: skip


def _cut(maps: Tensor, out: tuple[int, ...]) -> Tensor:
    for axis, n in enumerate(out, start=2):
        maps = maps.narrow(axis, (maps.shape[axis] - n) // 2, n)
    return maps


def _flop(case: Case) -> float:
    """Floating-point operations of a step of the net, forwards and backwards."""
    net = case.build().to(case.device)
    images = torch.zeros(case.settings.batch, 1, *case.crop, device=case.device)
    with FlopCounterMode(display=False) as counter:
        net(images).sum().backward()
    return float(counter.get_total_flops())


def _convolution_rate(case: Case) -> float:
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


def _peak_mib(step: Step, device: torch.device) -> float:
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
