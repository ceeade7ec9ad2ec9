"""Tiled against whole-image prediction of a trained model on one image, and what a short context costs.

    python -m benchmarks.tiling RUN IMAGE [PAGE]

`rows` compares tiles with the whole image on a net of random weights. The command, on a trained
model, prints, for several tile sides, the largest difference of a probability and the pixels whose class
differs from the whole image in one tile; then the same with footprints declared too small.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.rows import Row, faster, interleaved_s
from unetseg.api import load_model
from unetseg.images.whole import read_stack
from unetseg.inference.engines import prepare
from unetseg.inference.predict import predict
from unetseg.nets import build_net
from unetseg.pipeline.model import Model
from unetseg.tiles import Footprint, even_grid

SIDES = (16, 64, 128, 208)
SHORT = (191, 159, 127, 95, 79, 63, 47)


def rows(*, quick: bool = False) -> list[Row]:
    """The time of tiles of several sides against that of the whole image in one tile."""
    side, width = (64, 4) if quick else (512, 16)
    net = build_net("unet", channels=1, classes=2, width=width, padding="same", norm="batch", dropout=0.0)
    image = np.random.default_rng(0).normal(size=(1, side, side)).astype(np.float32)
    grids = {s: even_grid((side, side), [s, s], net.footprint) for s in (side, side // 2, side // 4)}
    ready = prepare(net.eval(), torch.device("cpu"))
    works = {s: partial(predict, ready, image, grid) for s, grid in grids.items()}
    times = interleaved_s({str(s): work for s, work in works.items()}, 3)
    whole = works[side]()
    return [
        faster(f"{len(grids[s])} tiles of {s}²", times[str(s)], f"whole image of {side}²", times[str(side)],
               f"difference {np.abs(works[s]() - whole).max():.1g}")
        for s in grids if s != side
    ]  # fmt: skip


def difference(
    model: Model, pixels: NDArray[np.float32], whole: NDArray[np.float32], side: int, footprint: Footprint
) -> tuple[int, float, int]:
    """Tiles, largest difference and differing pixels of tiles of `side` against `whole` (k, y, x)."""
    grid = even_grid(pixels.shape[1:], [side] * (pixels.ndim - 1), footprint)
    tiled = predict(prepare(model.net, model.device), pixels, grid)
    return len(grid), float(np.abs(tiled - whole).max()), int((tiled.argmax(0) != whole.argmax(0)).sum())


def main() -> None:
    run, image, page = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0
    model = load_model(run, "cpu")
    pixels = model.normalised(read_stack(image).pixels[page], image.name)
    foot = model.net.footprint
    one_tile = [-(-n // s) * s for n, s in zip(pixels.shape[1:], foot.stride, strict=True)]
    grid = even_grid(pixels.shape[1:], one_tile, foot)
    whole = predict(prepare(model.net, model.device), pixels, grid)
    print(f"network input {pixels.shape}, context {foot.context}")
    print("| tile side | context | tiles | largest difference | pixels of another class |")
    print("|---|---|---|---|---|")
    cases = [(side, foot) for side in SIDES]
    cases += [(64, replace(foot, context=(c,) * len(foot.context))) for c in SHORT if c < foot.context[0]]
    for side, footprint in cases:
        tiles, largest, pixels_off = difference(model, pixels, whole, side, footprint)
        print(f"| {side} | {footprint.context[0]} | {tiles} | {largest:.2g} | {pixels_off} |")


if __name__ == "__main__":
    main()
