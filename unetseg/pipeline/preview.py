"""The picture sheet of a data set: what the network will see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unetseg.augment import apply, draw, pack, upload
from unetseg.batches import load_example
from unetseg.figures import colours, grey, middle_slice, write_sheet
from unetseg.normalise import fit_normalisation
from unetseg.pipeline.dataset import (
    LOOKED_AT,
    all_entries,
    annotation_notes,
    crop_of,
    evenly,
    learnt_classes,
    list_data,
    make_examples,
    split_notes,
)
from unetseg.sample import Entry, Example, Sample, shrink_sample
from unetseg.settings import Experiment
from unetseg.tasks.listing import split

SAMPLES, DRAWS = 3, 3


def write_show(experiment: Experiment, path: Path) -> tuple[str, ...]:
    """Write the sheet: image, labels, class map, weight map and three augmented draws of samples.

    Returns what was detected in the data, and how they are split.
    """
    listing = list_data(experiment.data)
    rows = shown(experiment, all_entries(listing), learnt_classes(listing, experiment.target))
    write_sheet(path, list(rows.values()), list(rows))
    what = "slices" if listing.block else "images"
    known = "" if listing.kind == "restoration" else "labelled "
    groups = f"{len(listing.entries)} {known}{what} in {len(listing.groups)} groups"
    seen = [e.read() for e in evenly(all_entries(listing), LOOKED_AT)]
    return (*listing.notes, groups, *split_notes(split(listing, experiment.data)), *annotation_notes(seen))


def shown(
    experiment: Experiment, entries: Sequence[Entry], classes: int
) -> dict[str, dict[str, NDArray[Any]]]:
    """What the network sees of a few of the entries: pictures by their title, by sample name.

    Pictures are (y, x, 3) in 0…1; the weight map is (y, x). Of volumes the middle slice is shown.
    """
    samples = [shrink_sample(e.read(), experiment.data.downsample) for e in evenly(entries, SAMPLES)]
    normalisation = fit_normalisation(experiment.data.normalise, [s.image for s in samples])
    examples = make_examples(samples, experiment, normalisation, classes)
    return {s.name: _row(s, e, experiment) for s, e in zip(samples, examples, strict=True)}


def _row(sample: Sample, example: Example, experiment: Experiment) -> dict[str, NDArray[Any]]:
    if example.restores:
        pair = {"noisy image": sample.image, "clean image": sample.clean}
        known = {title: grey(image) for title, image in pair.items() if image is not None}
        return known | _drawn(example, experiment)
    row: dict[str, NDArray[Any]] = {
        "image": grey(middle_slice(sample.image)),
        "labels": colours(middle_slice(np.asarray(sample.labels)[None])[0]),
        "class map": colours(middle_slice(example.target[None])[0].astype(np.int32)),
        "weight map": middle_slice(example.weight[None])[0],
    }
    return row | _drawn(example, experiment)


def _drawn(example: Example, experiment: Experiment) -> dict[str, NDArray[Any]]:
    draws = (middle_slice(c) for c in _draws(example, experiment))
    return {f"draw {n + 1}": grey(c) for n, c in enumerate(draws)}


def _draws(example: Example, experiment: Experiment) -> list[NDArray[np.float32]]:
    shape = example.weight.shape
    crop = [min(c, n) for c, n in zip(crop_of(experiment.train, len(shape)), shape, strict=True)]
    whole = load_example(example, torch.device("cpu")).times(DRAWS)
    drawn = [
        draw(experiment.augment, shape, crop, np.random.default_rng([experiment.seed, n]))
        for n in range(DRAWS)
    ]
    images, _ = apply(upload(pack(drawn), torch.device("cpu")), *whole.tensors, crop)
    return list(images.numpy())
