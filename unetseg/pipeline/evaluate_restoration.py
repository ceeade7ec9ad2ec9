"""Restored images of the test part: written, drawn, scored beside the noisy input and classical filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetseg.evaluation.by_kind import Pair, score_pairs
from unetseg.figures.restored import write_restored
from unetseg.images.whole import write_stack
from unetseg.pipeline.classical_filters import classical_filters
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.run import Run
from unetseg.sample import Entry, Sample
from unetseg.scores import FrameTable, score
from unetseg.scores.regions import Rectangles, region_scores

NETWORK, NOISY = "this network", "noisy input"
Methods = dict[str, dict[str, float]]
"""The scores of each method by name, means over the images."""


@dataclass(frozen=True)
class RestorationScores:
    """The network's scores, image by image, and those of all methods."""

    table: FrameTable
    methods: Methods


def evaluate_restoration(
    run: Run,
    model: Model,
    entries: Sequence[Entry],
    tiling: PredictSettings,
    *,
    drawn: set[str],
    progress: Callable[[int], None],
) -> RestorationScores | None:
    """Restore the entries and score them; None if none has a clean image. drawn: names of those drawn."""
    pairs: list[Pair] = []
    rows: list[Methods] = []
    for sample, found in _by_every_method(run, model, entries, tiling):
        if sample.clean is not None:
            regions = run.experiment.data.regions
            rows.append(method_scores(sample.clean, found, regions))
            pairs.append((sample.name, sample.clean, found[NETWORK]))
        if sample.name in drawn:
            known = {} if sample.clean is None else {"clean": sample.clean}
            path = run.pictures / f"{sample.name.replace('/', '_')}.png"
            write_restored(path, found | known, rows[-1] if known else {}, sample.name)
        progress(1)
    if not pairs:
        return None
    return RestorationScores(score_pairs(pairs, "restoration", model.recipe.classes), mean_scores(rows))


def method_scores(
    clean: NDArray[np.generic], found: Mapping[str, NDArray[np.generic]], regions: Rectangles
) -> Methods:
    """The scores of one image (c, y, x) by each method against the clean one, and those of its regions."""
    return {
        name: score([clean], [image], kind="restoration") | region_scores(image, regions)
        for name, image in found.items()
    }


def mean_scores(rows: Sequence[Methods]) -> Methods:
    """The means over images."""
    return {
        method: {name: float(np.mean([row[method][name] for row in rows])) for name in names}
        for method, names in rows[0].items()
    }


def _by_every_method(
    run: Run, model: Model, entries: Sequence[Entry], tiling: PredictSettings
) -> Iterator[tuple[Sample, dict[str, NDArray[np.generic]]]]:
    for entry in entries:
        sample = entry.read()
        restored = model.restored(sample.image, sample.name, tiling)
        pages = restored[0] if len(restored) == 1 else restored
        write_stack(run.tested(entry.name), pages, spacing_um=sample.spacing_um, axes="CYX"[-pages.ndim :])
        filtered = {name: act(sample.image) for name, act in classical_filters().items()}
        yield sample, {NETWORK: restored, NOISY: sample.image, **filtered}
