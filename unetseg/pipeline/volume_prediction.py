"""Prediction of volumes: a file is one volume, held in memory, its labels a TIFF or NIfTI."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg import __version__
from unetseg.figures import write_overlay
from unetseg.files import remove_leftovers
from unetseg.images.kept_maps import PROBABILITIES, map_path, meaning
from unetseg.images.lazy import fingerprint
from unetseg.images.marks import Mark, existing_mark
from unetseg.images.nifti import read_volume, write_volume
from unetseg.images.whole import Stack, label_dtype
from unetseg.locks import locked
from unetseg.pipeline.events import Note
from unetseg.pipeline.image_notes import volume_notes
from unetseg.pipeline.model import Model, in_files
from unetseg.pipeline.predict_options import PredictOptions
from unetseg.pipeline.result_names import Target
from unetseg.pipeline.result_picture import picture_path
from unetseg.streaming.journal import check_same
from unetseg.streaming.work import Resumed, Summary, TileDone
from unetseg.uncertainty import entropy


def predict_volume(
    model: Model, target: Target, options: PredictOptions
) -> Iterator[Note | Resumed | TileDone | Summary]:
    """Labels of a volume (and maps, a picture); only a summary if they exist already."""
    with locked(target.out):
        remove_leftovers(target.out.parent)
        settings = _settings(model, target, options)
        mark = existing_mark(target.out)
        if mark is not None and not options.overwrite:
            check_same(target.out, mark["settings"], settings)
            if all(existing_mark(path) for path in _beside(target, options)):
                yield Summary.of(mark["summary"])
                return
        source = read_volume(target.image)
        for text in volume_notes(model.recipe, source.pixels[0], source.spacing_um):
            yield Note(f"{target.image}: {text}")
        yield Resumed(0, 1)
        probabilities = model.probabilities(source.pixels[0], str(target.image), options.settings)
        labels = in_files(model.recipe, model.labels(probabilities))
        yield TileDone("predict", 0, labels.size)
        found = Summary((len(np.unique(labels[labels > 0])),), 1, 0, (), 0)
        mark = {"unetseg": __version__, "settings": settings, "summary": asdict(found)}
        _write(target, options, source, labels, probabilities, mark)
        yield found


def describe_volume(model: Model, target: Target, options: PredictOptions) -> list[str]:
    """What the volume is, and the tiles it is cut into, one line each; nothing is written."""
    source = read_volume(target.image)
    c, *zyx = source.pixels.shape[1:]
    network = model.normalised(source.pixels[0], str(target.image)).shape[1:]
    grid = model.grid(network, options.settings)
    return [
        f"{target.image}: {'×'.join(map(str, zyx))} voxels, {c} channels of {source.pixels.dtype}",
        f"tiles:  {len(grid)}, each reads {'×'.join(map(str, grid.read_shape))} voxels",
        f"output: {target.out}",
    ]


def _write(
    target: Target,
    options: PredictOptions,
    source: Stack,
    labels: NDArray[Any],
    probabilities: NDArray[np.float32],
    mark: Mark,
) -> None:
    """The labels last: if they exist, everything else does."""
    for name in options.maps:
        maps = probabilities[1] if len(probabilities) == 2 else probabilities
        values = maps if name == PROBABILITIES else entropy(probabilities)
        about = mark | {"meaning": meaning(name, values.dtype)}
        write_volume(map_path(target.out, name), values, source, about)
    write_volume(target.out, label_dtype(labels), source, mark)
    if options.pictures:
        noun = "classes" if labels.dtype == np.uint8 else "objects"
        name, volume = target.image.name, source.pixels[0]
        write_overlay(picture_path(target.out), volume, None, labels.astype(np.int32), name, noun=noun)


def _settings(model: Model, target: Target, options: PredictOptions) -> dict[str, Any]:
    """What decides the result, as plain values."""
    models = (model, *model.others)
    return {
        "model": [m.weights_hash for m in models],
        "calibration": [list(m.recipe.calibration) for m in models],
        "labels": asdict(model.recipe.labels),
        "kind": [model.recipe.kind, *model.recipe.values],
        "image": fingerprint(target.image, [target.image]),
        **asdict(options.settings),
        "engine": model.engines(options.settings),
        "device": model.device.type,
        "maps": list(options.maps),
    }


def _beside(target: Target, options: PredictOptions) -> list[Path]:
    """What is written beside the labels."""
    paths = [map_path(target.out, name) for name in options.maps]
    return [*paths, picture_path(target.out)] if options.pictures else paths
