"""Tiled against whole-image prediction of a trained model on one image, and what a short context costs.

    python -m benchmarks.tiling RUN IMAGE [PAGE]

Prints, for several tile sides, the largest difference of a probability and the pixels whose class
differs from the whole image in one tile; then the same with footprints declared too small.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unetseg.api import load_model
from unetseg.io import read_stack
from unetseg.pipeline.model import Model
from unetseg.predict import predict
from unetseg.tiles import Footprint, even_grid

SIDES = (16, 64, 128, 208)
SHORT = (191, 159, 127, 95, 79, 63, 47)


def difference(
    model: Model, pixels: NDArray[np.float32], whole: NDArray[np.float32], side: int, footprint: Footprint
) -> tuple[int, float, int]:
    """Tiles, largest difference and differing pixels of tiles of `side` against `whole` (k, y, x)."""
    grid = even_grid(pixels.shape[1:], [side] * (pixels.ndim - 1), footprint)
    tiled = predict(model.net, pixels, grid, device=model.device)
    return len(grid), float(np.abs(tiled - whole).max()), int((tiled.argmax(0) != whole.argmax(0)).sum())


def main() -> None:
    run, image, page = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0
    model = load_model(run, "cpu")
    pixels = model.normalised(read_stack(image).pixels[page], image.name)
    foot = model.net.footprint
    one_tile = [-(-n // s) * s for n, s in zip(pixels.shape[1:], foot.stride, strict=True)]
    whole = predict(model.net, pixels, even_grid(pixels.shape[1:], one_tile, foot), device=model.device)
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
