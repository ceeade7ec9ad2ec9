"""The model file that a user's RUN argument means: a run folder, a file, or a name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unetseg.errors import UserError
from unetseg.models.cards import ModelCard, known_models, shipped_models
from unetseg.models.download import download_model
from unetseg.run import EXPERIMENT, Run

RUNS = Path("runs")
NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class Found:
    """A run folder or model file, and the folder that its predictions go into by default."""

    path: Path
    predictions: Path


def find_model(
    given: Path, download: Callable[[ModelCard], Path] = download_model, runs: Path = RUNS
) -> Found:
    """The run folder or model file that `given` means.

    given: a run folder, a model file, or the name of a shipped model, of a model to download (by
    `download`) or of a run in `runs`; an existing run folder or file takes precedence over a name.
    Raises UserError, with the nearest names, for an unknown name.
    """
    name = str(given)
    if given.is_file():
        return Found(given, given.parent / "predictions")
    if _is_run(given) or not NAME.fullmatch(name):
        return Found(given, given / "predictions")
    if name in (shipped := shipped_models()):
        return Found(shipped[name].shipped_file, Path("predictions") / name)
    if name in (known := known_models()):
        return Found(download(known[name]), Path("predictions") / name)
    if _is_run(runs / name):
        return Found(runs / name, runs / name / "predictions")
    if not given.exists():
        raise UserError(f"{name}: no run folder, model file or model of this name. {_nearest(name, runs)}")
    return Found(given, given / "predictions")


def local_runs(runs: Path = RUNS) -> list[Path]:
    """The runs in a folder that have a trained model, by name."""
    folders = sorted(runs.iterdir()) if runs.is_dir() else []
    return [path for path in folders if _is_run(path) and Run(path).best.is_file()]


def model_card(name: str, runs: Path = RUNS) -> ModelCard:
    """The card of a shipped or downloadable model; raises UserError with the nearest names."""
    cards = {**shipped_models(), **known_models()}
    if name not in cards:
        raise UserError(f"{name}: no model of this name. {_nearest(name, runs)}")
    return cards[name]


def _is_run(path: Path) -> bool:
    return (path / EXPERIMENT).is_file()


def _nearest(name: str, runs: Path) -> str:
    names = [*shipped_models(), *known_models(), *(path.name for path in local_runs(runs))]
    close = difflib.get_close_matches(name, names, n=3)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}`unetseg models` lists all models."
