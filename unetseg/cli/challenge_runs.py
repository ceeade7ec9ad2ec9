"""What `unetseg reproduce` does for the Cell Tracking Challenge: sequences predicted, tracked and scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetseg.cli.output import say
from unetseg.cli.terminal import totals_text
from unetseg.errors import UserError

if TYPE_CHECKING:
    from unetseg.reproduce.benchmark import BenchmarkRun


def score_test_sequences(entry: BenchmarkRun) -> None:
    """Predict, track and score every frame of the test sequences of a finished run, unless that is done.

    A run that was finished where the data are not at hand keeps the scores that it has.
    """
    from unetseg.pipeline.linking import check_laptrack
    from unetseg.reproduce.challenge import RESULTS, results_folder, score_sequences, scored_sequences

    if RESULTS in entry.scores:
        return
    try:
        folders = scored_sequences(entry)
    except UserError as error:
        click.echo(f"note: the challenge's own scores of {entry.path} are left out: {error}", err=True)
        return
    if not folders:
        return
    track = True
    try:
        check_laptrack()
    except UserError as error:
        track = False
        click.echo(f"note: TRA is left out: {error}", err=True)
    predict_sequences(entry.path, folders, results_folder(entry), track=track)
    say(f"challenge: {totals_text(score_sequences(entry))} (every frame)")


def submit(task: str, entry: BenchmarkRun, data: Path) -> None:
    """Train for a submission, or resume it, and predict the test sequences in the challenge's layout."""
    from unetseg.cli.training_view import show_training
    from unetseg.pipeline.linking import check_laptrack
    from unetseg.reproduce.benchmark import check_data, open_or_create
    from unetseg.reproduce.submission import hidden_sequences, results_folder, write_note

    folders = hidden_sequences(data)
    check_laptrack()
    check_data(task, [entry])
    if not entry.scores:
        run, resume = open_or_create(entry)
        show_training(run, resume=resume)
    predict_sequences(entry.path, folders, results_folder(entry), track=True)
    say(f"wrote {write_note(task, entry, folders)}; these results are not scored here")


def predict_sequences(run: Path, folders: list[Path], out: Path, *, track: bool) -> None:
    """The results of the sequences in OUT/NN_RES."""
    from unetseg.cli.predict_progress import predict_all
    from unetseg.pipeline.predict_options import PredictOptions
    from unetseg.pipeline.prediction import choose_targets, open_model

    options = PredictOptions(challenge=True, track=track)
    model = open_model([run], options)
    predict_all(model, choose_targets(model, folders, out, options), options, out)
