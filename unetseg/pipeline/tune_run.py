"""Label settings chosen again for a trained model."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from unetseg.errors import UserError
from unetseg.files import check_writable, replacing
from unetseg.locks import locked
from unetseg.pipeline.dataset import all_entries, evenly, list_data
from unetseg.pipeline.model import KIND, Model, load_model, save_model
from unetseg.pipeline.tune_labels import Tuned, choose_labels
from unetseg.pipeline.weights_file import load_plain
from unetseg.run import Run
from unetseg.sample import Sample
from unetseg.settings import DataSettings
from unetseg.tasks.guess import guess_task
from unetseg.tasks.listing import split

MOST_IMAGES = 24
"""The most samples whose probabilities are kept while settings are tried."""
DEFAULT_SCORE = "panoptic-quality"
"""Score for a model file without a run; only models of objects are tuned."""


@dataclass(frozen=True)
class TuneResult:
    """What was chosen by which images, and the files written; backup: None if nothing was replaced.

    written: None if no settings were better than the model's.
    """

    tuned: Tuned
    images: tuple[str, ...]
    part: str
    select_by: str
    written: Path | None = None
    backup: Path | None = None


def tune_model(
    path: Path, data: Path | None = None, out: Path | None = None, *, device: torch.device
) -> TuneResult:
    """Choose the label settings of a run's or file's model by labelled images, without training.

    path: a run folder or a model file; data: a data folder whose images are all used, without it the run's
    validation part; out: a model file to write, without it the model is replaced and its old file kept as
    NAME-untuned.pt. Raises UserError if there is nothing to choose by, or `out` exists.
    """
    run = Run.open(path) if path.is_dir() else None
    if run is None and data is None:
        raise UserError(f"{path}: a model file has no validation part. Also give a data folder with labels.")
    if out is not None and out.exists():
        raise UserError(f"{out}: exists. Choose another name for --out.")
    file = run.best if run is not None else path
    model = load_model(file, device)
    samples, part = _samples(run, data, model)
    if out is not None:
        check_writable(out)
    select_by = run.experiment.train.select_by if run is not None else DEFAULT_SCORE
    tuned = choose_labels(model, samples, select_by)
    result = TuneResult(tuned, tuple(s.name for s in samples), part, select_by)
    if tuned.labels == model.recipe.labels and out is None:
        return result
    with locked(run.path if run is not None else file):
        backup = _backup(file) if out is None else None
        _write(file, out or file, replace(model, recipe=replace(model.recipe, labels=tuned.labels)))
    return replace(result, written=out or file, backup=backup)


def _samples(run: Run | None, data: Path | None, model: Model) -> tuple[list[Sample], str]:
    """The labelled samples to choose by, and what they are."""
    settings = run.experiment.data if run is not None else DataSettings()
    if data is not None:
        whole = {"train": ("*",), "validate": (), "test": ()}
        settings = replace(settings, task=guess_task(data), root=str(data), **whole)  # type: ignore[arg-type]
    listing = list_data(settings)
    entries = all_entries(listing) if data is not None else split(listing, settings).validate
    name = f"{data}" if data is not None else "the validation part"
    if model.recipe.kind != "instances" or listing.kind != model.recipe.kind:
        raise UserError(
            f"{name}: the model gives {model.recipe.kind}, but the labels are {listing.kind}. Label settings "
            "are chosen for objects (instances) by labels of objects."
        )
    samples = [e.read() for e in evenly([e for e in entries if e.labelled], MOST_IMAGES)]
    if not any((np.asarray(s.labels) > 0).any() for s in samples):
        raise UserError(
            f"{name}: has no object to choose label settings by. Give a data folder with objects."
        )
    return samples, name


def _backup(file: Path) -> Path:
    """A copy of the model as it was trained, made once: tuning again does not change it."""
    kept = file.with_name(f"{file.stem}-untuned{file.suffix}")
    if not kept.exists():
        with replacing(kept) as temporary:
            shutil.copyfile(file, temporary)
    return kept


def _write(source: Path, target: Path, model: Model) -> None:
    """Write the model with the other values of the file that it came from."""
    values = load_plain(source, KIND).values
    others = {k: v for k, v in values.items() if k not in ("format", "recipe", "weights")}
    with replacing(target) as temporary:
        save_model(temporary, model.recipe, model.net, others)
