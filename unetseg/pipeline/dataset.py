"""The data of an experiment in memory: examples to train on, samples to validate with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unetseg.config import find_data
from unetseg.errors import UserError, some_of
from unetseg.losses import BLIND_SPOT
from unetseg.normalise import Normalisation, fit_normalisation
from unetseg.resample import at_object_diameter
from unetseg.sample import (
    NOT_ANNOTATED,
    Entry,
    Example,
    LabelKind,
    Sample,
    count_classes,
    make_example,
    shrink_sample,
    without_border,
)
from unetseg.settings import DataSettings, Experiment, TargetSettings, TrainSettings
from unetseg.targets import balance_weights
from unetseg.tasks import list_task
from unetseg.tasks.coverage import coverage_note
from unetseg.tasks.listing import Listing, Split, split, volume_blocks

LOOKED_AT = 20
"""At most so many samples are checked for objects without labels."""
MOST_VALUE = 255
"""Class maps are written in 8 bits."""


@dataclass(frozen=True)
class Dataset:
    """What training needs of the data.

    examples: normalised, with classes and weights, at the network's pixel size; validate: samples
    as on disk; checksum: of all pixels and labels of both; values: see `Recipe`.
    """

    examples: tuple[Example, ...]
    validate: tuple[Sample, ...]
    split: Split
    normalisation: Normalisation
    classes: int
    kind: LabelKind
    spacing_um: tuple[float, ...] | None
    checksum: str
    notes: tuple[str, ...]
    values: tuple[int, ...] = ()


def list_data(data: DataSettings) -> Listing:
    """The labelled entries of the settings' task and folder, at `object_diameter` if it is set."""
    if data.task != "synthetic" and not data.root:
        raise UserError("data.root is missing: the folder of the data set.")
    root = find_data(data.root or ".")
    listing = list_task(root, data)
    if data.object_diameter == 0:
        return listing
    return replace(listing, entries=tuple(_resized(e, data.object_diameter) for e in listing.entries))


def _resized(entry: Entry, diameter: float) -> Entry:
    """The entry, read at an object diameter; its size is then known only after reading."""
    return replace(entry, size=None, read=lambda: at_object_diameter(entry.read(), diameter))


def read_dataset(experiment: Experiment, grey_values: Normalisation | None = None) -> Dataset:
    """Read the train and validate parts, once, and make the examples.

    grey_values: a rule that was fitted to other images; it is kept if method and channels are the same.
    """
    data = experiment.data
    listing = list_data(data)
    parts = split(listing, data)
    digest = hashlib.sha256()
    samples = [
        shrink_sample(without_border(_counted(e.read(), digest), data.unannotated_border), data.downsample)
        for e in parts.train
    ]
    normalisation = fit_normalisation(data.normalise, [s.image for s in samples])
    if grey_values is not None and _same_rule(grey_values, normalisation):
        normalisation = grey_values
    normalisation = replace(normalisation, repeat_grey=listing.repeat_grey)
    classes = learnt_classes(listing, experiment.target)
    examples = make_examples(samples, experiment, normalisation, classes)
    validate = [_counted(e.read(), digest) for e in evenly(parts.validate, experiment.train.validate_images)]
    return Dataset(
        examples=tuple(examples),
        validate=tuple(validate),
        split=parts,
        normalisation=normalisation,
        classes=classes,
        kind=listing.kind,
        spacing_um=samples[0].spacing_um,
        checksum=digest.hexdigest(),
        notes=(*listing.notes, *split_notes(parts), *annotation_notes(samples)),
        values=listing.values if max(listing.values, default=0) <= MOST_VALUE else (),
    )


def _same_rule(one: Normalisation, other: Normalisation) -> bool:
    return (one.method, one.channels) == (other.method, other.channels)


def crop_of(train: TrainSettings, dims: int) -> tuple[int, ...]:
    """The crop along every axis; a single number holds for all."""
    return train.crop * dims if len(train.crop) == 1 else train.crop


def learnt_classes(listing: Listing, target: TargetSettings) -> int:
    """How many classes the network distinguishes: those of the labels, or of distances in objects."""
    by_distance = listing.kind == "instances" and target.kind == "distance"
    return 2 + len(target.distances_px) if by_distance else listing.classes


def make_examples(
    samples: Sequence[Sample], experiment: Experiment, normalisation: Normalisation, classes: int
) -> Iterator[Example]:
    """The samples' examples, weighted by the class frequencies of all of them; clean images have weight 1."""
    if samples[0].kind == "restoration":
        blind = experiment.train.loss == BLIND_SPOT
        yield from (clean_example(s, normalisation, blind=blind) for s in samples)
        return
    weights = class_weights(samples, classes, experiment.target)
    for sample in samples:
        image = normalisation(sample.image, sample.name)
        yield make_example(sample, image, experiment.target, weights)


def clean_example(sample: Sample, normalisation: Normalisation, *, blind: bool) -> Example:
    """A noisy image with its clean one, both in the noisy one's normalised grey values.

    blind: without clean images; the target is then the noisy image itself, to be hidden spot by spot.
    """
    image = normalisation(sample.image, sample.name)
    weight = np.ones(image.shape[1:], np.float32)
    if blind:
        return Example(sample.name, image, image, weight)
    if sample.clean is None:
        raise UserError(
            f"{sample.name}: has no clean image. Put it into the folder of data.clean, or set train.loss = "
            f'"{BLIND_SPOT}", which needs none.'
        )
    clean = normalisation.fitted(sample.image)(sample.clean, sample.name)
    return Example(sample.name, image, clean, weight)


def class_weights(samples: Sequence[Sample], classes: int, target: TargetSettings) -> NDArray[np.float32]:
    """w_c of each class, (classes,): balancing the frequencies over the samples, or all 1."""
    counts = np.sum([count_classes(s, classes, target) for s in samples], axis=0)
    if not counts.any():
        raise UserError("no pixel of the training part is annotated. Check data.not_annotated.")
    return balance_weights(counts) if target.balance else np.ones(classes, np.float32)


def all_entries(listing: Listing) -> list[Entry]:
    """Every image or whole volume."""
    return volume_blocks(listing, listing.entries)


def evenly(entries: Sequence[Entry], most: int) -> list[Entry]:
    """At most `most` entries, evenly spaced."""
    if len(entries) <= most:
        return list(entries)
    places = np.linspace(0, len(entries) - 1, most).round().astype(int)
    return [entries[i] for i in places]


def annotation_notes(samples: Sequence[Sample]) -> list[str]:
    """How many samples have no known background, and a warning if the truth seems incomplete."""
    partial = [s.name for s in samples if s.labels is not None and s.kind == "instances"
               and (s.labels == NOT_ANNOTATED).any() and not (s.labels == 0).any()]  # fmt: skip
    notes = [coverage_note(samples[:: -(-len(samples) // LOOKED_AT)])]
    if partial:
        notes.append(
            f"partly annotated: {some_of(partial, 3)}; of their background only the rims of the objects "
            "are learnt, and scores count only annotated objects"
        )
    return [n for n in notes if n]


def split_notes(parts: Split) -> list[str]:
    """What is used for training, validation and test, and a warning for a part without objects."""
    notes = [f"{part}: {what}" for part, what in parts.describe().items() if what]
    if not parts.validate:
        notes.append("validate: nothing is held back (too few images); the last weights are kept")
    for part, entries in (("validate", parts.validate), ("test", parts.test)):
        if entries and not any(e.labelled for e in entries):
            end = "the last weights are kept" if part == "validate" else "its scores are undefined"
            notes.append(f"warning: no object in the {part} part, {end}. Choose others in data.{part}")
    return notes


def _counted(sample: Sample, digest: hashlib._Hash) -> Sample:
    """The sample, its pixels and labels added to the checksum: so it need not be kept for that."""
    digest.update(sample.name.encode())
    digest.update(np.ascontiguousarray(sample.image).tobytes())
    if sample.truth is not None:
        digest.update(np.ascontiguousarray(sample.truth).tobytes())
    return sample
