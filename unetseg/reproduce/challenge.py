"""The challenge's own scores of a benchmark run: every frame of its test sequences predicted and tracked."""

from __future__ import annotations

from pathlib import Path

from unetseg.config import find_data
from unetseg.evaluation.score_files import score_files
from unetseg.evaluation.scoring import Scoring
from unetseg.reproduce.benchmark import BenchmarkRun
from unetseg.run import Run
from unetseg.tasks.cell_tracking import SEQUENCE

RESULTS = "challenge"
"""The folder of the results in a run, NN_RES, and the key of their scores in scores.json."""


def scored_sequences(entry: BenchmarkRun) -> list[Path]:
    """The folders of the sequences that the run is tested on as a whole; none for other tasks."""
    data = entry.experiment.data
    if data.task != "cell-tracking":
        return []
    return [find_data(data.root) / name for name in data.test if SEQUENCE.fullmatch(name)]


def results_folder(entry: BenchmarkRun) -> Path:
    """Where the results of the test sequences go."""
    return entry.path / RESULTS


def score_sequences(entry: BenchmarkRun) -> dict[str, float]:
    """SEG, DET, OP_CSB and, with tracks, TRA, LNK and OP_CTB of the results, means over the sequences.

    They are added to the run's scores.json.
    """
    found = []
    for folder in scored_sequences(entry):
        truth = folder.with_name(f"{folder.name}_GT")
        result = results_folder(entry) / f"{folder.name}_RES"
        found.append(score_files(truth, result, entry.experiment.data, Scoring(("seg",))).challenge)
    means = {name: sum(scores[name] for scores in found) / len(found) for name in found[0]}
    Run(entry.path).write_json("scores.json", entry.scores | {RESULTS: means})
    return means
