"""Prediction of an image on screen: labels fill an array, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images import LazyImage
from unetseg.images.kept_maps import PROBABILITIES
from unetseg.images.ome_zarr import open_labels
from unetseg.images.rescale import nearest_resized
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.pipeline.object_size import scale_of_image
from unetseg.pipeline.relabel import relabelled
from unetseg.streaming.job import LABELS_ALONE, OptionalOutputs, Request
from unetseg.streaming.journal import MemoryJournal
from unetseg.streaming.output import is_streamed, make_result, predict_to, stack_store
from unetseg.streaming.relabel import as_probabilities
from unetseg.streaming.work import Resumed, TileDone

VIEW_MEMORY = 512 * 2**20


@dataclass(frozen=True)
class KeptProbabilities:
    """Probabilities (planes, k, y, x) of the size at which they were predicted, to make labels of."""

    model: Model
    maps: NDArray[np.float32]
    yx: tuple[int, int]

    def labels(self, plane: int, **changed: Any) -> NDArray[np.int32]:
        """Object labels (y, x) of a plane at the image's size, with other label settings than the model's.

        changed: settings of `LabelSettings`, such as threshold=0.6; the network is not run.
        """
        found = relabelled(self.model, **changed).labels(as_probabilities(self.maps[plane]))
        return nearest_resized(found, self.yx)


@dataclass(frozen=True)
class LayerLabels:
    """Labels (*axes, y, x), an array or of an OME-Zarr a Zarr array; probabilities where they were kept."""

    labels: Any
    probabilities: KeptProbabilities | None = None


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
    keep: bool = False,
    progress: Callable[[Progress], None] = lambda progress: None,
    stopped: Callable[[], bool] = lambda: False,
) -> LayerLabels | None:
    """Labels (*axes, y, x) of all planes of an image: in memory, or in `out`, an OME-Zarr.

    diameter: of the objects in pixels; scale: factors (y, x) by which the image is resized instead.
    keep: whether the probabilities stay in memory, 4 bytes a class and pixel; not with `out`, nor of a
    model of classes. stopped: asked after every tile; once it returns True, None is returned, and the same
    call resumes an OME-Zarr.
    """
    model.check_segments()
    if model.net.dims == 3:
        raise UserError("a model of volumes: predict the file with `unetseg predict`, then open its labels.")
    if out is not None and not is_streamed(out):
        raise UserError(f"{out}: labels are streamed to an OME-Zarr. Give a name that ends in .ome.zarr.")
    tiling = PredictSettings(memory=VIEW_MEMORY)
    if scale is None:
        scale = scale_of_image(model, image, tiling, diameter).factors
    kept = keep and out is None and model.recipe.kind != "classes"
    outputs = OptionalOutputs("float32") if kept else LABELS_ALONE
    request = Request.of(model, image, tiling, outputs=outputs, scale=scale, chunked=out is not None)
    if out is None:
        return _in_memory(request, progress, stopped)
    if not _finished(request, predict_to(request, out), None, progress, stopped):
        return None
    return LayerLabels(open_labels(out, "classes" if model.recipe.kind == "classes" else "labels"))


def _in_memory(
    request: Request, progress: Callable[[Progress], None], stopped: Callable[[], bool]
) -> LayerLabels | None:
    """Labels in an array that is shown as it is filled, unless the image is resized for the network."""
    source = request.source
    shape = (*source.axes.values(), *source.shape[1:])
    store = stack_store(request, None)
    shown = store.labels.reshape(shape) if request.image is source else None
    events = make_result(request.job(store, MemoryJournal()))
    if not _finished(request, events, shown, progress, stopped):
        return None
    maps = store.maps.get(PROBABILITIES)
    kept = None if maps is None else KeptProbabilities(request.model, maps, source.shape[1:])
    return LayerLabels(store.labels.reshape(shape), kept)


def _finished(
    request: Request,
    events: Iterable[Any],
    shown: NDArray[Any] | None,
    progress: Callable[[Progress], None],
    stopped: Callable[[], bool],
) -> bool:
    """Follow the events of a result to its end; False where it was stopped before."""
    whole = len(request.steps) * len(request.image.planes) * int(np.prod(request.image.shape[1:]))
    done = 0.0
    for event in events:
        if isinstance(event, TileDone):
            done += event.pixels / whole
        elif isinstance(event, Resumed):
            done += event.done / max(event.steps, 1)
        progress(Progress(min(done, 1.0), shown))
        if stopped():
            return False
    return True
