"""The contenders of the benchmark of large images, each a process of its own: see `benchmarks.large`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unetseg.api import load_model
from unetseg.images import open_image
from unetseg.images.whole import read_stack
from unetseg.inference.folding import folded
from unetseg.inference.predict import batched, predict, stream
from unetseg.normalise import Normalisation
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.settings import NARROW_UNET, LabelSettings
from unetseg.streaming.job import Job, Request
from unetseg.streaming.output import make_result, open_job
from unetseg.streaming.plan import make_plan
from unetseg.tiles import read_mirrored

ROIS = (256, 512)
"""Sides of MONAI's windows: the crop of our trainings, and nnU-Net's usual patch of such images."""
OVERLAPS: dict[str, dict[str, Any]] = {"0.25": {}, "0.5 Gaussian": {"overlap": 0.5, "mode": "gaussian"}}
"""As MONAI's windows come, a quarter with equal weights; and as nnU-Net has them."""
WHOLE, ALONE = "whole image", "network alone"
Maps = NDArray[np.float32]
Seconds = tuple[float, float]
"""By the clock, and of the CPU."""


def since(begun: Seconds = (0.0, 0.0)) -> Seconds:
    """Seconds that have passed."""
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


def network_alone(model: Model, image: Path, tiling: PredictSettings, out: Path) -> Seconds:
    """The net as it was trained, on the very tiles that the streamed prediction computes."""
    return _forward(model, model.net, image, tiling)


def network_folded(model: Model, image: Path, tiling: PredictSettings, out: Path) -> Seconds:
    """The same with batch norm folded into the convolutions."""
    return _forward(model, folded(model.net), image, tiling)


def _forward(model: Model, net: Any, image: Path, tiling: PredictSettings) -> Seconds:
    plan = make_plan(model, open_image(image).shape[1:], tiling)
    tile = torch.rand(1, model.net.channels, *plan.grid.read_shape)
    with torch.no_grad():
        net(tile)
        begun = since()
        for _ in plan.grid:
            net(tile)
    return since(begun)


def streamed(model: Model, image: Path, tiling: PredictSettings, out: Path) -> Seconds:
    """From the file to the finished OME-Zarr of object labels."""
    begun = since()
    job = open_job(Request.of(model, open_image(image), tiling), out.with_suffix(".zarr"))
    if isinstance(job, Job):
        for _ in make_result(job):
            pass
    return since(begun)


def streamed_maps(model: Model, image: Path, tiling: PredictSettings, out: Path) -> Seconds:
    """From the file to probabilities in memory, tile by tile, without labels."""
    pixels = pixels_of(model, image)
    plan = make_plan(model, open_image(image).shape[1:], tiling)
    maps = np.empty(pixels.shape[1:], np.float32)
    begun = since()
    groups = batched(plan.grid, plan.batch)
    for tile, found in stream(model.ready(tiling), groups, lambda t: read_mirrored(pixels, t.read)):
        if found is not None:
            maps[tile.write] = found[-1]
    seconds = since(begun)
    np.save(out, maps)
    return seconds


def whole(model: Model, image: Path, tiling: PredictSettings, out: Path) -> Seconds:
    """The whole image in one tile, if it fits into memory."""
    pixels = pixels_of(model, image)
    begun = since()
    settings = replace(tiling, side=max(pixels.shape))
    maps = predict(model.ready(settings), pixels, model.grid(pixels.shape[1:], settings))
    seconds = since(begun)
    np.save(out, maps[-1])
    return seconds


def monai(
    roi: int, options: dict[str, Any], model: Model, image: Path, tiling: PredictSettings, out: Path
) -> Seconds:
    """MONAI's sliding windows of `roi`² pixels, one at a time."""
    from monai.inferers import sliding_window_inference

    pixels = torch.from_numpy(pixels_of(model, image))[None]
    begun = since()
    with torch.no_grad():
        logits = sliding_window_inference(pixels, (roi, roi), 1, model.net, **options)
        maps = torch.softmax(logits, 1)[0, -1]
    seconds = since(begun)
    np.save(out, maps.numpy())
    return seconds


CONTENDERS: dict[str, Callable[[Model, Path, PredictSettings, Path], Seconds]] = {
    ALONE: network_alone,
    "network alone, folded": network_folded,
    "streamed, probabilities": streamed_maps,
    "streamed, file to labels": streamed,
    WHOLE: whole,
    **{
        f"MONAI {roi}², overlap {overlap}": partial(monai, roi, options)
        for overlap, options in OVERLAPS.items()
        for roi in ROIS
    },
}


OURS = {WHOLE, *(name for name in CONTENDERS if name.startswith("streamed"))}
"""What runs in our own program."""


def pixels_of(model: Model, image: Path) -> Maps:
    """The network's input (c, y, x)."""
    return model.normalised(read_stack(image).pixels[0], str(image))


def model_of(run: str) -> Model:
    """A trained model, or with "narrow" an untrained one of the default size."""
    if run != "narrow":
        model = load_model(run, "cpu")
        once = replace(model.recipe.labels, test_time_augmentation=1)  # as MONAI's windows
        return replace(model, recipe=replace(model.recipe, labels=once))
    recipe = Recipe(
        dict(NARROW_UNET), 2, "instances", Normalisation("per-image", 1), 1, LabelSettings(min_area=20), None
    )
    net = new_net(recipe, seed=0)
    net.to(memory_format=torch.channels_last)
    return Model(recipe, net.eval(), torch.device("cpu"))
