"""A challenge's own terms: train on all annotated sequences, predict those whose truth is hidden."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from unetseg.config import read_experiment
from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.reproduce.benchmark import BenchmarkRun, experiment_file
from unetseg.reproduce.published import PUBLISHED
from unetseg.tasks.cell_tracking import sequences

NOT_SCORED = """Results of {title} for the challenge's organisers.

They are not scored here: the truth of these sequences is not public. Trained on {train};
weights and label settings were chosen by {validate}. {folders}: label images, mask000.tif and so on,
with the ids of the tracks in res_track.txt.
"""


def submission_run(task: str, budget: str, out: Path, root: str | None) -> BenchmarkRun:
    """The training of a submission: all folds of experiments/TASK/BUDGET.toml together, without a test part.

    Raises UserError for a task that is not of the Cell Tracking Challenge.
    """
    base = read_experiment(experiment_file(task, budget))
    if base.data.task != "cell-tracking":
        allowed = "dic-hela and phc-u373"
        raise UserError(f"--submission: for the Cell Tracking Challenge ({allowed}), not {task}.")
    folds = base.folds.values()
    data = replace(
        base.data,
        root=root or base.data.root,
        train=tuple(s for fold in folds for s in fold.train),
        validate=tuple(s for fold in folds for s in fold.validate),
        test=(),
    )
    experiment = replace(base, name=f"{base.name}-submission", data=data, folds={}, nets={})
    return BenchmarkRun(str(base.net["name"]), "all", out / f"{task}-{budget}" / "submission-run", experiment)


def hidden_sequences(data: Path) -> list[Path]:
    """The folders of the challenge's test sequences; raises UserError where there are none."""
    return [data / name for name in sequences(data)]


def results_folder(entry: BenchmarkRun) -> Path:
    """Where the label images of a submission go, in folders NN_RES."""
    return entry.path.with_name("submission") / Path(entry.experiment.data.root).name


def write_note(task: str, entry: BenchmarkRun, folders: list[Path]) -> Path:
    """Write README.txt beside the results: what they are, and that nobody scored them."""
    data = entry.experiment.data
    text = NOT_SCORED.format(
        title=PUBLISHED[task].title,
        train=", ".join(data.train),
        validate=", ".join(data.validate),
        folders=", ".join(f"{folder.name}_RES" for folder in folders),
    )
    path = results_folder(entry) / "README.txt"
    with replacing(path) as file:
        file.write_text(text, encoding="utf-8")
    return path
