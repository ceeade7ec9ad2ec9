"""Elastic deformation of an image with its classes and weights, beside the packages that do it.

    python -m benchmarks.elastic

A pair is a float32 image (linear interpolation), a class map and a weight map (nearest pixel), one
thread. elasticdeform deforms by the same 3×3 control points, drawn from N(0, 10 pixels), and its
result is compared. MONAI's Rand2DElastic (a random grid of the same 3×3 points, enlarged by cubic
interpolation) and albumentations' ElasticTransform (smoothed noise, its displacements scaled to a
standard deviation of 10 pixels) draw their own. On a GPU ours is timed in a batch of 16.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.rows import Row, faster, interleaved_s, table
from unetseg.augment import Draw, apply, draw, pack, upload
from unetseg.settings import NO_AUGMENT

SIDES = (512, 572)
DISPLACEMENT = 10.0  # pixels, standard deviation
SMOOTH = 50.0  # pixels: albumentations' default width of the smoothing
BATCH = 16


def rows(*, quick: bool = False) -> list[Row]:
    """Ours against every package that is installed, for each side of the square pair."""
    return [row for side in ((64,) if quick else SIDES) for row in _side(side)]


def _side(side: int) -> list[Row]:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(side, side)).astype(np.float32)
    image = image.cumsum(0).cumsum(1) / side
    classes = (image > np.median(image)).astype(np.float32)
    drawn = _elastic_draw(side, rng)
    maps = [image, classes, 1 + classes]
    ours = _ours(maps, [drawn], torch.device("cpu"))
    works = {"ours": ours, **_peers(maps, drawn)}
    times = interleaved_s(works, 5)
    title = f"elastic pair {side}², CPU"
    notes = {"elasticdeform": f"difference {_difference(ours, works):.1e}"}
    found = [faster(title, times["ours"], p, times[p], notes.get(p, "")) for p in works if p != "ours"]
    return found + _on_gpu(maps, side)


def _elastic_draw(side: int, rng: np.random.Generator) -> Draw:
    settings = replace(NO_AUGMENT, elastic=DISPLACEMENT)
    return draw(settings, (side, side), (side, side), rng)


def _ours(maps: list[Any], draws: list[Draw], device: torch.device) -> Callable[[], Any]:
    side, count = maps[0].shape[0], len(draws)
    images = torch.from_numpy(maps[0])[None, None].repeat(count, 1, 1, 1).to(device)
    targets = torch.from_numpy(np.stack(maps[1:]))[None].repeat(count, 1, 1, 1).to(device)
    shapes = torch.tensor([[side, side]] * count, device=device)
    return lambda: apply(upload(pack(draws), device), images, targets, shapes, (side, side))


def _peers(maps: list[Any], drawn: Draw) -> dict[str, Callable[[], Any]]:
    makers = {
        "elasticdeform": _elasticdeform,
        "MONAI Rand2DElastic": _monai,
        "albumentations ElasticTransform": _albumentations,
    }
    found = {}
    for name, make in makers.items():
        try:
            found[name] = make(maps, drawn)
        except ImportError:
            continue
    return found


def _elasticdeform(maps: list[Any], drawn: Draw) -> Callable[[], Any]:
    from elasticdeform import deform_grid

    return lambda: deform_grid(maps, drawn.control, order=[1, 0, 0], mode="mirror")


def _monai(maps: list[Any], drawn: Draw) -> Callable[[], Any]:
    from monai.transforms import Rand2DElasticd

    side = maps[0].shape[0]
    keys = ("image", "classes", "weight")
    sample = {key: torch.from_numpy(m)[None] for key, m in zip(keys, maps, strict=True)}
    transform = Rand2DElasticd(
        keys=keys,
        spacing=(side / 2, side / 2),
        magnitude_range=(DISPLACEMENT, DISPLACEMENT),
        prob=1.0,
        mode=["bilinear", "nearest", "nearest"],
        padding_mode="reflection",
    )
    return lambda: transform(sample)


def _albumentations(maps: list[Any], drawn: Draw) -> Callable[[], Any]:
    import albumentations

    uniform = 1 / math.sqrt(3)  # standard deviation of noise in -1...1, before smoothing
    alpha = DISPLACEMENT / uniform * 2 * math.sqrt(math.pi) * SMOOTH
    transform = albumentations.ElasticTransform(
        alpha=alpha, sigma=SMOOTH, interpolation=1, mask_interpolation=0, border_mode=4, p=1.0
    )
    image, masks = maps[0][..., None], maps[1:]
    return lambda: transform(image=image, masks=masks)


def _difference(ours: Callable[[], Any], works: dict[str, Callable[[], Any]]) -> float:
    """The largest difference of the image from elasticdeform's; nan where that is not installed."""
    if "elasticdeform" not in works:
        return math.nan
    return float(np.abs(ours()[0][0, 0].numpy() - works["elasticdeform"]()[0]).max())


def _on_gpu(maps: list[Any], side: int) -> list[Row]:
    """A batch on the GPU, per pair, against the limit of a millisecond."""
    if not torch.cuda.is_available():
        return []
    rng = np.random.default_rng(1)
    draws = [_elastic_draw(side, rng) for _ in range(BATCH)]
    work = _ours(maps, draws, torch.device("cuda"))
    each = interleaved_s({"ours": work}, 10)["ours"] / BATCH
    return [faster(f"elastic pair {side}², GPU, batch of {BATCH}", each, "limit of 1 ms", 1e-3)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(table(rows()))
