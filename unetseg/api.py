"""The commands as functions, on arrays and settings instead of files; docs/python.md has an example."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetseg.device import choose_device
from unetseg.errors import UserError
from unetseg.images import open_image
from unetseg.images.arrays import array_image
from unetseg.images.ome_zarr import open_labels
from unetseg.images.whole import label_dtype
from unetseg.models import find_model
from unetseg.pipeline.annotation import (
    annotated_experiment,
    annotation_classes,
    write_annotation,
)
from unetseg.pipeline.auto import derive_experiment as _derive_experiment
from unetseg.pipeline.auto import resolve_file
from unetseg.pipeline.decisions import same_request
from unetseg.pipeline.linking import LinkSettings, link_objects
from unetseg.pipeline.measuring import summarise, write_measurements
from unetseg.pipeline.measuring_arrays import export_array, measure_array
from unetseg.pipeline.model import DEFAULT_MEMORY, Model, PredictSettings
from unetseg.pipeline.model_variants import average_models, labelled_as, pruned
from unetseg.pipeline.object_size import predict_at_object_size, scale_of_image
from unetseg.pipeline.relabel import relabelled
from unetseg.pipeline.run_experiment import Event, run_experiment
from unetseg.pipeline.suggest import most_uncertain
from unetseg.pipeline.suggest_run import suggest
from unetseg.pipeline.tune_run import TuneResult, tune_model
from unetseg.run import Run
from unetseg.scores import score
from unetseg.scores.overlap import check_labels
from unetseg.scores.tracks import Track
from unetseg.settings import Experiment
from unetseg.sharing.description import About
from unetseg.sharing.export import Export, Format, export_model
from unetseg.sharing.reading import read_model
from unetseg.streaming.job import Request
from unetseg.streaming.layers import predict_layer
from unetseg.streaming.output import is_streamed, label_array, predict_to
from unetseg.streaming.relabel import as_probabilities
from unetseg.train import Step

__all__ = [
    "About",
    "Export",
    "Prediction",
    "Step",
    "Track",
    "Tracked",
    "annotated_experiment",
    "annotation_classes",
    "average",
    "derive_experiment",
    "export",
    "export_array",
    "labelled_as",
    "load_model",
    "measure_array",
    "most_uncertain",
    "predict",
    "predict_large",
    "predict_layer",
    "pruned",
    "read_experiment",
    "relabel",
    "restore",
    "score",
    "suggest",
    "summarise",
    "track",
    "train",
    "tune",
    "with_label_settings",
    "write_annotation",
    "write_measurements",
]


class Prediction(NamedTuple):
    """labels (*yx): object ids int32 or classes uint8; probabilities (k, *yx) float32."""

    labels: NDArray[Any]
    probabilities: NDArray[np.float32]


class Tracked(NamedTuple):
    """labels (t, *yx) with the ids of the tracks, uint16 or uint32; tracks: see `Track`."""

    labels: NDArray[Any]
    tracks: tuple[Track, ...]


def read_experiment(path: str | Path, *, fold: str | None = None) -> Experiment:
    """The experiment that `unetseg train FILE` would run; raises UserError for a wrong key or value.

    What the file does not set is derived from its data. fold: name of the split, if the file has folds.
    """
    return resolve_file(Path(path), fold=fold).experiment


def derive_experiment(folder: str | Path) -> Experiment:
    """The experiment `unetseg train --data FOLDER` would run."""
    return _derive_experiment(Path(folder)).experiment


def train(
    experiment: Experiment,
    run: str | Path,
    *,
    progress: Callable[[Event], None] = lambda event: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Model:
    """Train into the run folder, score the best model, write the report; returns the best model.

    A run that has a checkpoint is resumed. progress: called in the calling thread with every event, one of
    them a `Step` after each training step; stopped: asked after every step; True saves the state and ends.
    """
    path = Path(run)
    resume = Run(path).last.is_file()
    opened = Run.open(path) if resume else Run.create(path, experiment)
    if resume and not same_request(experiment, opened.experiment):
        raise UserError(f"{path}: holds a run of another experiment. Choose another folder.")
    run_experiment(opened, resume=resume, progress=progress, stopped=stopped)
    return load_model(path, experiment.device)


def tune(
    run: str | Path, data: str | Path | None = None, out: str | Path | None = None, *, device: str = "auto"
) -> TuneResult:
    """Choose the label settings of a run's model again, as `unetseg tune` does; see `tune_model`."""
    folder = None if data is None else Path(data)
    target = None if out is None else Path(out)
    return tune_model(find_model(Path(run)).path, folder, target, device=choose_device(device))


def load_model(path: str | Path, device: str = "auto", *, trust_code: bool = False) -> Model:
    """Load a run folder, a model file, a package or a model name such as "nuclei"; no code in it is run.

    trust_code: run the TorchScript of a package without ONNX weights, which is code.
    """
    return read_model(find_model(Path(path)).path, choose_device(device), trust_code=trust_code)


def with_label_settings(model: Model, **changed: Any) -> Model:
    """A copy of the model with other label settings (fields of `LabelSettings`), such as threshold=0.6."""
    return model.with_labels(**changed)


def average(*models: Model) -> Model:
    """One model that averages the calibrated probabilities of several; see `model.average_models`."""
    return average_models({f"model {number}": model for number, model in enumerate(models, 1)})


def predict(
    model: Model,
    image: NDArray[Any],
    *,
    memory: int = DEFAULT_MEMORY,
    tile: int = 0,
    diameter: float | None = None,
    engine: str = "auto",
) -> Prediction:
    """Labels and probabilities of one image (y, x) or (c, y, x) of any real dtype.

    A model of volumes takes (z, y, x) or (c, z, y, x).

    memory: limit in bytes; it sets the tile size. tile: side of the tiles in pixels instead (0: from
    memory). The result depends on neither. diameter: diameter of the objects in pixels, for a model that
    was trained at one object size, such as "nuclei"; if None, it is estimated.
    engine: the library that runs the network, "torch", "openvino" or "onnxruntime"; "auto" is the fastest
    one installed. The results of two engines differ in the last digits.
    """
    tiling = PredictSettings(memory=memory, side=tile, engine=engine)
    found = predict_at_object_size(model, _with_channels(model, image), "image", tiling, diameter)
    return Prediction(found.labels, found.probabilities)


def restore(
    model: Model, image: NDArray[Any], *, memory: int = DEFAULT_MEMORY, tile: int = 0, engine: str = "auto"
) -> NDArray[np.float32]:
    """The restored image, float32 in the grey values and shape of image (y, x) or (c, y, x).

    For a model that was trained with target.kind = "restoration". memory, tile and engine: see `predict`.
    """
    tiling = PredictSettings(memory=memory, side=tile, engine=engine)
    found = model.restored(_with_channels(model, image), "image", tiling)
    return found.reshape(image.shape)


def predict_large(
    model: Model,
    image: Any,
    out: str | Path | None = None,
    *,
    memory: int = DEFAULT_MEMORY,
    tile: int = 0,
    diameter: float | None = None,
    engine: str = "auto",
) -> Any:
    """Labels of an image of any size, computed tile by tile; the same as those of `predict`.

    image: (y, x) or (c, y, x), anything that slices like an array (numpy, Zarr, Dask), or the path of
    an image file. out: path of an OME-Zarr to write; it is returned as a Zarr array (y, x), or
    (…, y, x) for a file with several planes, and a second call resumes it. Without `out` the labels
    are a numpy array. memory: limit in bytes on what is alive at once; tile, diameter and engine: see
    `predict`.
    """
    model.check_segments()
    lazy = open_image(Path(image)) if isinstance(image, str | Path) else array_image(image)
    chunked = out is not None and is_streamed(Path(out))
    tiling = PredictSettings(memory=memory, side=tile, engine=engine)
    scale = scale_of_image(model, lazy, tiling, diameter).factors
    request = Request.of(model, lazy, tiling, scale=scale, chunked=chunked)
    if out is None:
        labels = label_array(request)
        return labels if lazy.axes else labels[0]
    for _ in predict_to(request, Path(out)):
        pass
    return open_labels(Path(out), "classes" if model.recipe.kind == "classes" else "labels")


def _with_channels(model: Model, image: NDArray[Any]) -> NDArray[Any]:
    """The image (c, *yx); raises UserError for other axes, and for pixels that are not finite."""
    if not np.isfinite(image).all():
        raise UserError("the image holds NaN or infinite pixels. Replace them first.")
    dims = model.net.dims
    channels = image[None] if image.ndim == dims else image
    if channels.ndim != dims + 1:
        axes = "(y, x) or (c, y, x), one page at a time" if dims == 2 else "(z, y, x) or (c, z, y, x)"
        raise UserError(f"an image of shape {image.shape}: give {axes}.")
    return channels


def relabel(model: Model, probabilities: NDArray[np.float32], **labels: Any) -> NDArray[Any]:
    """Labels (*yx) of probabilities (k, *yx) that `predict` gave, without running the network.

    labels: label settings that replace the model's, such as threshold, seed_threshold and min_area. Those of
    an image that was resized for the network can differ a little from the labels of `predict`, for
    its probabilities were brought to the image's size.
    """
    return relabelled(model, **labels).labels(as_probabilities(probabilities))


def track(
    labels: NDArray[Any],
    *,
    spacing: tuple[float, ...] | None = None,
    max_distance: float | None = None,
    max_gap: int = 3,
    divisions: bool = True,
) -> Tracked:
    """Follow the objects of a film, as `unetseg track` does; needs the package laptrack.

    labels: (t, y, x) or (t, z, y, x) object ids, 0 background, numbered independently in every frame.
    spacing: pixel size along y, x or z, y, x, where they differ; max_distance: in pixels along x, that an
    object moves between frames at most, by default judged by the objects; max_gap: frames in which
    one may be missing; divisions: whether objects divide.
    """
    if labels.ndim not in (3, 4) or len(labels) < 2:
        raise UserError(
            f"labels of shape {labels.shape}: give a film, (t, y, x) or (t, z, y, x), of 2 frames."
        )
    check_labels(labels, "film", lowest=0)
    frames = labels.astype(np.int64)
    settings = LinkSettings(max_distance, max_gap, divisions)
    found = link_objects(((frame, None) for frame in frames), settings, spacing)
    return Tracked(label_dtype(np.stack([found.relabel(f, t) for t, f in enumerate(frames)])), found.tracks)


def export(
    model: Model,
    out: str | Path,
    to: Format,
    *,
    about: About | None = None,
    image: str | Path | None = None,
    overwrite: bool = False,
) -> Export:
    """Write the model for other programs; to: "bioimageio" (a .zip), "onnx" or "torchscript".

    about, image: for a package; see `export_model`. The image is published with it.
    """
    shown = None if image is None else Path(image)
    return export_model(model, Path(out), to, about=about, image=shown, overwrite=overwrite)
