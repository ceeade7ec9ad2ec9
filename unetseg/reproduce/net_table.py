"""Every registered network in a table: its source, size, context, and what a prediction costs."""

from __future__ import annotations

import copy
import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from unetseg.config import choose_net, read_experiment
from unetseg.device import describe_device
from unetseg.errors import UserError, did_you_mean
from unetseg.files import replacing, shipped
from unetseg.inference.engines import prepare
from unetseg.inference.memory import bytes_per_pixel, choose_grid
from unetseg.inference.predict import predict
from unetseg.nets import NETS, Net, build_net, net_source, parameter_count
from unetseg.settings import NetOption

SIDES = {2: 512, 3: 64}
"""Side of the image, or volume, that is predicted as one tile to measure memory and time."""
HEAD = (
    "network",
    "year",
    "options",
    "parameters",
    "context",
    "stride",
    "kFLOP per pixel",
    "GiB per tile",
    "s per megapixel",
)
WORDS = """\
`context`: pixels each side of an output pixel that it can see, derived from the layers. `kFLOP per pixel`:
floating point operations (a multiplication and an addition are two) per output pixel, without the margins
of tiles. `GiB per tile`, estimated, and `s per megapixel`, measured once (on a CPU processor time, all
cores together): predicting an image of 512×512 pixels (a volume of 64×64×64 voxels) as one tile with its
margins. One channel, two classes; for networks of volumes pixels are voxels. `as published`: the paper's
network (`defaults`: one after a paper); other rows have the options of `unetseg reproduce TASK --budget
short`. –: more than a small machine can measure."""
AFTER_A_PAPER = ("dilated-unet",)
"""Networks whose defaults are not those of the paper they follow."""
MOST_BYTES, MOST_FLOPS = 8 * 2**30, 2e13
"""Of a prediction that is still measured."""


@dataclass(frozen=True)
class NetRow:
    """A row of the table: a network with its paper as `source`, its axes as `dims`, and its costs."""

    name: str
    source: str
    year: str
    options: dict[str, NetOption]
    parameters: int
    context: tuple[int, ...]
    stride: tuple[int, ...]
    dims: int
    flops: float
    tile_bytes: int
    seconds: float | None

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of HEAD."""
        options = ", ".join(f"{k} {str(v).lower()}" for k, v in self.options.items())
        return (
            self.name,
            self.year,
            options or ("defaults" if self.name in AFTER_A_PAPER else "as published"),
            f"{self.parameters:,}",
            _sizes(self.context),
            _sizes(self.stride),
            f"{self.flops / 1e3:,.0f}",
            f"{self.tile_bytes / 2**30:.2f}",
            "–" if self.seconds is None else f"{self.seconds:.1f}",
        )


def net_rows(names: Sequence[str], device: torch.device) -> Iterator[NetRow]:
    """A row for each network as in its paper, and for its options in experiments for small machines.

    names: of networks; none means all. Raises UserError for an unknown one.
    """
    for name in names:
        if name not in NETS:
            raise UserError(f"{name!r}: no such network, {did_you_mean(name, NETS)}")
    for name in names or NETS:
        for options in [{}, *short_options().get(name, [])]:
            yield _row(name, options, device)


def write_net_page(path: Path, rows: list[NetRow], device: torch.device) -> None:
    """The rows as a page in Markdown, with the device they were measured on."""
    lines = ["# Networks", "", "Written by `unetseg nets --out docs/nets.md`.", "", WORDS, ""]
    lines += [f"Measured on {describe_device(device)}, torch {torch.__version__}, float32.", ""]
    lines += [_line(HEAD), _line(["---"] * len(HEAD)), *(_line(row.cells) for row in rows), ""]
    lines += [f"- `{name}`: {source}" for name, source in {r.name: r.source for r in rows}.items()]
    with replacing(path) as file:
        file.write_text("\n".join([*lines, ""]), encoding="utf-8")


@cache
def short_options() -> dict[str, list[dict[str, NetOption]]]:
    """The options of every network in the experiment files short.toml, by its name, each once."""
    found: dict[str, list[dict[str, NetOption]]] = {}
    for path in sorted(shipped("experiments").glob("*/short.toml")):
        experiment = read_experiment(path)
        own = str(experiment.net["name"])
        for name in dict.fromkeys([own, *experiment.nets]):
            options = dict(choose_net(experiment, name).net)
            others = found.setdefault(str(options.pop("name")), [])
            if options and options not in others:
                others.append(options)
    return found


def _row(name: str, options: dict[str, NetOption], device: torch.device) -> NetRow:
    net = build_net(name, channels=1, classes=2, seed=0, **options)
    source = net_source(name)
    year = re.search(r"\b(19|20)\d\d\b", source)
    shape = (SIDES[net.dims],) * net.dims
    grid = choose_grid(net, shape, memory=0, side=SIDES[net.dims])
    pixels = math.prod(grid.read_shape)
    flops, tile_bytes = flops_per_pixel(net), pixels * bytes_per_pixel(net, grid.read_shape)
    fits = tile_bytes <= MOST_BYTES and flops * pixels <= MOST_FLOPS
    return NetRow(
        name,
        source,
        year[0] if year else "–",
        options,
        parameter_count(net),
        net.footprint.context,
        net.footprint.stride,
        net.dims,
        flops,
        tile_bytes,
        _seconds_per_mega(net, shape, device) if fits else None,
    )


def flops_per_pixel(net: Net) -> float:
    """Floating point operations of the net per output pixel, on an image 32 times as large as its context."""
    probe: Any = copy.deepcopy(cast(nn.Module, net)).to("meta").eval()
    foot = net.footprint
    parts = zip(foot.smallest, foot.context, foot.stride, strict=True)
    size = [n + -(-32 * max(c, 1) // s) * s for n, c, s in parts]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        probe(torch.empty(1, net.channels, *size, device="meta"))
    return counter.get_total_flops() / math.prod(foot.output(size))


def _seconds_per_mega(net: Net, shape: tuple[int, ...], device: torch.device) -> float:
    layout = torch.channels_last if net.dims == 2 else torch.channels_last_3d
    net.to(device, memory_format=layout)
    image = np.random.default_rng(0).normal(size=(net.channels, *shape)).astype(np.float32)
    grid = choose_grid(net, shape, memory=0, side=max(shape))
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    started = clock()
    predict(prepare(net, device), image, grid)
    return (clock() - started) * 1e6 / math.prod(shape)


def _sizes(sizes: tuple[int, ...]) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 else "×".join(map(str, sizes))


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"
