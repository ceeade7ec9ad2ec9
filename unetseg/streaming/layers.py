"""Prediction of an image on screen: labels fill an array, tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images import LazyImage
from unetseg.images.ome_zarr import open_labels
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.pipeline.object_size import as_factors, scale_of_image
from unetseg.streaming.job import Request
from unetseg.streaming.journal import MemoryJournal
from unetseg.streaming.output import is_streamed, make_result, predict_to, stack_store
from unetseg.streaming.work import Resumed, TileDone

VIEW_MEMORY = 512 * 2**20


@dataclass(frozen=True)
class Progress:
    """How much is done, 0…1, and the labels (*axes, y, x) so far; None until they can be shown."""

    done: float
    labels: NDArray[Any] | None


def predict_layer(
    model: Model,
    image: LazyImage,
    out: Path | None = None,
    *,
    diameter: float | None = None,
    scale: tuple[float, float] | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Any:
    """Labels (*axes, y, x) of all planes of an image: an array, or a Zarr array in the OME-Zarr `out`.

    diameter: of the objects in pixels; scale: factors (y, x) by which the image is resized instead.
    stopped: asked after every tile; once it returns True, None is returned, and the same call resumes an
    OME-Zarr.
    """
    if model.net.dims == 3:
        raise UserError("a model of volumes: predict the file with `unetseg predict`, then open its labels.")
    if out is not None and not is_streamed(out):
        raise UserError(f"{out}: labels are streamed to an OME-Zarr. Give a name that ends in .ome.zarr.")
    tiling = PredictSettings(memory=VIEW_MEMORY)
    if scale is None:
        scale = as_factors(scale_of_image(model, image, tiling, diameter))
    request = Request.of(model, image, tiling, scale=scale, chunked=out is not None)
    whole = len(request.steps) * len(request.image.planes) * int(np.prod(request.image.shape[1:]))
    shape = (*image.axes.values(), *image.shape[1:])
    if out is None:
        store = stack_store(request, None)
        events = make_result(request.job(store, MemoryJournal()))
        shown = store.labels.reshape(shape) if scale is None else None
    else:
        events, shown = predict_to(request, out), None
    done = 0.0
    for event in events:
        if isinstance(event, TileDone):
            done += event.pixels / whole
        elif isinstance(event, Resumed):
            done += event.done / max(event.steps, 1)
        progress(Progress(min(done, 1.0), shown))
        if stopped():
            return None
    if out is not None:
        return open_labels(out, "classes" if model.recipe.kind == "classes" else "labels")
    return store.labels.reshape(shape)
