"""The commands as functions, with the same words, on arrays and settings instead of files.

>>> from unetseg import api
>>> model = api.train(api.read_experiment("experiment.toml"), "runs/mine")  # doctest: +SKIP
>>> labels, probabilities = api.predict(model, image)  # doctest: +SKIP
>>> api.score([truth], [labels])  # doctest: +SKIP
{'iou': 0.91, ...}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetseg.config import read_experiment as _read_experiment
from unetseg.device import choose_device
from unetseg.errors import UserError
from unetseg.images import open_image
from unetseg.images.arrays import array_image
from unetseg.images.ome_zarr import open_labels
from unetseg.pipeline.auto import derive_experiment as _derive_experiment
from unetseg.pipeline.model import DEFAULT_MEMORY, Model, PredictSettings, average_models, pruned
from unetseg.pipeline.model import load_model as _load_model
from unetseg.pipeline.training import train_run
from unetseg.run import Run
from unetseg.scores import score
from unetseg.settings import Experiment
from unetseg.streaming.output import label_array, make_result, open_job
from unetseg.streaming.tile_steps import Job, Skipping

__all__ = [
    "Prediction",
    "average",
    "derive_experiment",
    "load_model",
    "predict",
    "pruned",
    "read_experiment",
    "score",
    "train",
]


class Prediction(NamedTuple):
    """labels (*yx): object ids int32 or classes uint8; probabilities (k, *yx) float32."""

    labels: NDArray[Any]
    probabilities: NDArray[np.float32]


def read_experiment(path: str | Path) -> Experiment:
    """The experiment of a TOML file; raises UserError for a wrong key or value."""
    return _read_experiment(Path(path))


def derive_experiment(folder: str | Path) -> Experiment:
    """The experiment `unetseg train --data FOLDER` would run."""
    return _derive_experiment(Path(folder))


def train(experiment: Experiment, run: str | Path) -> Model:
    """Train into the run folder, or go on with it if it has a checkpoint, and return the best model."""
    path = Path(run)
    resume = Run(path).last.is_file()
    opened = Run.open(path) if resume else Run.create(path, experiment)
    if resume and opened.experiment != experiment:
        raise UserError(f"{path}: holds a run of another experiment. Choose another folder.")
    for _ in train_run(opened, resume=resume, stopped=lambda: False):
        pass
    return load_model(path, experiment.device)


def load_model(path: str | Path, device: str = "auto") -> Model:
    """The best model of a run folder, or a model file; no code in it is run."""
    run = Path(path)
    return _load_model(Run.open(run).best if run.is_dir() else run, choose_device(device))


def average(*models: Model) -> Model:
    """One model of several whose calibrated probabilities are averaged; see `model.average_models`."""
    return average_models({f"model {number}": model for number, model in enumerate(models, 1)})


def predict(
    model: Model,
    image: NDArray[Any],
    *,
    memory: int = DEFAULT_MEMORY,
    tile: int = 0,
    engine: str = "auto",
) -> Prediction:
    """Labels and probabilities of one image (y, x) or (c, y, x) of any real dtype.

    A model of volumes takes (z, y, x) or (c, z, y, x).

    memory: bytes that set the tile size; tile: side of the tiles in pixels instead (0 = from
    memory). The result does not depend on either. engine: the library that computes, "torch",
    "openvino" or "onnxruntime"; "auto" is the fastest that is installed. Results of two engines differ
    in the last digits.
    """
    if not np.isfinite(image).all():
        raise UserError("the image holds NaN or infinite pixels. Replace them first.")
    dims = model.net.dims
    channels = image[None] if image.ndim == dims else image
    if channels.ndim != dims + 1:
        axes = "(y, x) or (c, y, x), one page at a time" if dims == 2 else "(z, y, x) or (c, z, y, x)"
        raise UserError(f"an image of shape {image.shape}: give {axes}.")
    probabilities = model.probabilities(
        channels, "image", PredictSettings(memory=memory, side=tile, engine=engine)
    )
    return Prediction(model.labels(probabilities), probabilities)


def predict_large(
    model: Model,
    image: Any,
    out: str | Path | None = None,
    *,
    memory: int = DEFAULT_MEMORY,
    tile: int = 0,
    engine: str = "auto",
) -> Any:
    """Labels of an image of any size, computed tile by tile: those `predict` gives.

    image: (y, x) or (c, y, x), anything that slices like an array (numpy, Zarr, Dask), or the path of
    an image file. out: path of an OME-Zarr to write, which is returned as a Zarr array (y, x), or
    (…, y, x) of a file with several planes; called again it goes on where it was ended. Without
    `out` the labels are a numpy array. memory: bytes that bound what is alive at once; tile and
    engine: see `predict`.
    """
    lazy = open_image(Path(image)) if isinstance(image, str | Path) else array_image(image)
    tiling = PredictSettings(memory=memory, side=tile, engine=engine)
    if out is None:
        labels = label_array(model, lazy, tiling, Skipping())
        return labels if lazy.axes else labels[0]
    job = open_job(model, lazy, Path(out), tiling, Skipping())
    if isinstance(job, Job):
        for _ in make_result(job, Path(out)):
            pass
    return open_labels(Path(out), "classes" if model.recipe.kind == "classes" else "labels")
