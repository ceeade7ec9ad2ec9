"""Restored images of the test part: written, drawn, scored beside the noisy input and classical filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetseg.evaluation.by_kind import Pair, score_pairs
from unetseg.evaluation.classical_filters import classical_filters
from unetseg.evaluation.restoration_methods import NOISY, Methods, mean_scores, method_scores
from unetseg.figures.restored import write_restored
from unetseg.images.whole import write_stack
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.run import Run
from unetseg.sample import Entry, Sample
from unetseg.scores import FrameTable

NETWORK = "this network"


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
