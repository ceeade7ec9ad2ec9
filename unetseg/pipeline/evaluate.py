"""The end of a run: the best model on the test part, its scores and its pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.calibration import Reliability
from unetseg.device import peak_memory
from unetseg.evaluation.by_kind import Pair, score_pairs
from unetseg.evaluation.challenges import SCORED_BY_PROBABILITIES, task_scores
from unetseg.evaluation.restoration_methods import Methods
from unetseg.evaluation.volumes import Spacing, volume_scores
from unetseg.figures import write_curves, write_overlay
from unetseg.images.whole import label_dtype, write_stack
from unetseg.nets import parameter_count
from unetseg.pipeline.dataset import evenly, list_data
from unetseg.pipeline.evaluate_restoration import evaluate_restoration
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.pipeline.recipe import Recipe
from unetseg.run import Run
from unetseg.sample import Entry, Sample
from unetseg.scores import FrameTable
from unetseg.scores.mistakes import error_counts, frame_errors
from unetseg.settings import DataSettings
from unetseg.tasks.listing import describe_entries, select, split, volume_blocks

PICTURES = 6
NOUNS = {"cell-tracking": "cells", "isbi-em": "cells", "synthetic": "cells"}
"""What the objects of a task are called."""
TOP_CLASS = "the most probable class"


@dataclass(frozen=True)
class RunScores:
    """The scores on the test part, or without one on the validation part; `part` says which.

    own: the scores of the task's own challenge, such as "det", and of volumes; errors: the mistakes by kind,
    see `error_counts`, empty for class maps; noun: what the objects are; seconds: for the prediction;
    methods: in restoration the scores of this network and of what it is compared with;
    reliability: of the probabilities, see `_outcomes`.
    """

    part: str
    what: str
    table: FrameTable
    own: dict[str, float]
    errors: dict[str, float]
    noun: str
    seconds: float
    methods: Methods = field(default_factory=dict)
    reliability: Reliability = field(default_factory=Reliability)


def evaluate_run(
    run: Run, model: Model, tiling: PredictSettings, progress: Callable[[int], None]
) -> RunScores | None:
    """Score the model on the run's test part and write scores.json, pictures and curves.

    Time-lapses are scored on the gold truth, whatever they were trained on. Without a test part
    the validation part is scored, which chose the weights, and `part` says so; None without both.
    """
    write_curves(run.pictures / "curves.png", run.records())
    part, data, entries = scored_part(run)
    if not entries:
        return None
    started = time.perf_counter()
    kept = {e.name for e in evenly(entries, PICTURES)}
    if model.restores:
        restored = evaluate_restoration(run, model, entries, tiling, drawn=kept, progress=progress)
        if restored is None:
            return None
        seconds, what = time.perf_counter() - started, describe_entries(entries)
        result = RunScores(part, what, restored.table, {}, {}, "images", seconds, restored.methods)
        run.write_json("scores.json", _json(run, result, model))
        return result
    reliability = Reliability()
    done = list(_predicted(run, model, entries, tiling, kept, reliability, progress))
    pairs, spacings = [pair for pair, _ in done], [spacing for _, spacing in done]
    seconds = time.perf_counter() - started
    table = score_pairs(pairs, model.recipe.kind, model.recipe.classes)
    truth = f", {data.truth} truth" if data.task == "cell-tracking" else ""
    what = describe_entries(entries)
    if data.task in ("cell-tracking", "synthetic"):
        what = f"{len(entries)} frames of {_groups(entries)}{truth}"
    own = task_scores(run, data, pairs)
    own |= volume_scores(pairs, spacings, model.recipe.kind, model.recipe.classes)
    classes = model.recipe.kind == "classes"
    errors = {} if classes else error_counts(frame_errors(truth, found) for _, truth, found in pairs)
    noun = NOUNS.get(data.task, "objects")
    result = RunScores(part, what, table, own, errors, noun, seconds, reliability=reliability)
    run.write_json("scores.json", _json(run, result, model))
    return result


def scored_part(run: Run) -> tuple[str, DataSettings, tuple[Entry, ...]]:
    """Which part of the data `evaluate_run` scores, the settings that read it, and its entries."""
    data = run.experiment.data
    if not data.test:
        return "validate", data, split(list_data(data), data).validate
    if data.task == "cell-tracking":
        data = replace(data, truth="gold")
    listing = list_data(data)
    return "test", data, tuple(volume_blocks(listing, select(listing, data.test, "test")))


def _predicted(
    run: Run,
    model: Model,
    entries: tuple[Entry, ...],
    tiling: PredictSettings,
    kept: set[str],
    reliability: Reliability,
    progress: Callable[[int], None],
) -> Iterator[tuple[Pair, Spacing]]:
    for entry in entries:
        sample = entry.read()
        probabilities = model.probabilities(sample.image, sample.name, tiling)
        labels: NDArray[Any] = model.labels(probabilities)
        _write_pages(run.tested(entry.name), label_dtype(labels), sample)
        foreground = 1 - probabilities[0]
        if run.experiment.data.task in SCORED_BY_PROBABILITIES:
            _write_pages(run.tested(f"{entry.name}_probability"), foreground, sample)
        _write_pages(run.probability(entry.name), np.round(255 * foreground).astype(np.uint8), sample)
        truth = np.asarray(sample.labels)
        reliability.add(*_outcomes(probabilities, truth, model.recipe))
        if entry.name in kept:
            path = run.pictures / f"{entry.name.replace('/', '_')}.png"
            noun = "classes" if sample.kind == "classes" else "objects"
            write_overlay(path, sample.image, truth, labels, entry.name, noun=noun)
        progress(1)
        yield (entry.name, truth, labels), sample.spacing_um


def _outcomes(
    probabilities: NDArray[np.float32], truth: NDArray[Any], recipe: Recipe
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The probability of every annotated pixel that `_in_question`, and whether it came true."""
    known = truth >= 0
    if _in_question(recipe) == TOP_CLASS:
        return probabilities.max(0)[known], (probabilities.argmax(0) == truth)[known]
    return 1 - probabilities[0][known], (truth > 0)[known]


def _in_question(recipe: Recipe) -> str:
    """Whose probability is compared with the truth."""
    return TOP_CLASS if recipe.kind == "classes" and recipe.classes > 2 else "the foreground"


def _write_pages(path: Path, pixels: NDArray[Any], sample: Sample) -> None:
    """An image (y, x) as one page, a volume (z, y, x) as its slices."""
    axes = "TYX" if pixels.ndim == 2 else "ZYX"
    pages = pixels.reshape(-1, *pixels.shape[-2:])
    write_stack(path, pages, spacing_um=sample.spacing_um, axes=axes)


def _json(run: Run, result: RunScores, model: Model) -> dict[str, Any]:
    table = result.table
    rows = table.values.tolist()
    return {
        "part": result.part,
        "what": result.what,
        "kind": model.recipe.kind,
        "scores": table.totals,
        "intervals": {name: list(found) for name in table.names if (found := table.interval(name))},
        "task_scores": result.own,
        "errors": result.errors,
        "methods": result.methods,
        "calibration": _calibration(result.reliability, model.recipe),
        "noun": result.noun,
        "frames": {
            f: dict(zip(table.names, r, strict=True)) for f, r in zip(table.frames, rows, strict=True)
        },
        "parameters": parameter_count(model.net),
        "train_seconds": round(run.seconds, 1),
        "train_processor_seconds": round(run.processor_seconds, 1),
        "predict_seconds": round(result.seconds, 2),
        "peak_memory_mib": peak_memory(model.device) >> 20,
    }


def _calibration(found: Reliability, recipe: Recipe) -> dict[str, Any]:
    pixels, probability, frequency = (row.tolist() for row in found.curve())
    bins = {"pixels": pixels, "probability": probability, "frequency": frequency}
    return {"of": _in_question(recipe), "error": found.error(), **bins}


def _groups(entries: tuple[Entry, ...]) -> str:
    return ", ".join(dict.fromkeys(e.group for e in entries))
