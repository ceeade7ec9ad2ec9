"""The project folder behind the panels: annotations, and a run for every round of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg import api
from unetseg.errors import UserError
from unetseg.images import LazyImage
from unetseg.pipeline.annotation import Zero
from unetseg.pipeline.events import Validated
from unetseg.pipeline.model import Model
from unetseg.pipeline.run_experiment import Event
from unetseg.run import Run
from unetseg.settings import Experiment

RUNS = "runs"
LAST_ROUND = "the last round"


@dataclass(frozen=True)
class Preview:
    """The labels (y, x) that the best model so far gives of the page on screen."""

    step: int
    labels: NDArray[Any]


@dataclass(frozen=True)
class RoundSettings:
    """How a round is trained: its steps, the objects' diameter in pixels (0: not known), where it starts.

    start_from: a run folder, model file or name; LAST_ROUND: the project's last model, if it has one; ""
    for fresh weights.
    """

    steps: int = 300
    diameter: float = 0.0
    start_from: str = ""


def save_pages(
    folder: Path,
    name: str,
    image: LazyImage,
    drawn: Any,
    *,
    zero: Zero,
    background: int | None,
    pages: Sequence[int] | None = None,
) -> list[Path]:
    """Write the pages of a labels layer (…, y, x) that something is drawn on; returns their label files.

    pages: their numbers, None for every page with a value above 0. Raises UserError where there is none.
    """
    labels = np.asarray(drawn).reshape(-1, *drawn.shape[-2:])
    if (len(labels), labels.shape[1:]) != (len(image.planes), image.shape[1:]):
        raise UserError(
            f"The labels layer is {drawn.shape}, the image has {len(image.planes)} pages of "
            f"{image.shape[1:]}. "
            "Choose the labels that belong to the image."
        )
    chosen = [i for i in range(len(labels)) if labels[i].any()] if pages is None else list(pages)
    if not chosen:
        raise UserError("Nothing is drawn yet. Draw some background and some objects.")
    written = []
    for i in chosen:
        classes = api.annotation_classes(labels[i], zero=zero, background=background)
        pixels = np.asarray(image.plane(i)[...])
        written.append(
            api.write_annotation(folder, page_name(name, image, i), pixels, classes, image.spacing_um)
        )
    return written


def page_name(name: str, image: LazyImage, page: int) -> str:
    """The name under which a page of the image layer `name` is saved."""
    return f"{name}_{image.planes[page]}" if image.planes[page] else name


def next_run(folder: Path) -> Path:
    """The run folder of a new round."""
    return folder / RUNS / f"round{len(rounds(folder)) + 1}"


def rounds(folder: Path) -> list[Path]:
    """The run folders of a project, oldest first."""
    found = (folder / RUNS).glob("round*") if (folder / RUNS).is_dir() else []
    return sorted((p for p in found if p.name[5:].isdecimal()), key=lambda p: int(p.name[5:]))


def trained_rounds(folder: Path) -> list[Path]:
    """The rounds of a project that have a model, oldest first."""
    return [path for path in rounds(folder) if Run(path).best.is_file()]


def last_model(folder: Path) -> Model:
    """The model of the last round that has one, as a model of objects; UserError where there is none."""
    trained = trained_rounds(folder)
    if not trained:
        raise UserError(f"{folder}: no model yet. Train first.")
    return api.labelled_as(api.load_model(trained[-1]), "instances")


def new_experiment(folder: Path, settings: RoundSettings) -> Experiment:
    """The experiment of a new round on the annotations of a folder."""
    start = settings.start_from
    if start == LAST_ROUND:
        start = "".join(str(path.resolve()) for path in trained_rounds(folder)[-1:])
    return api.annotated_experiment(folder, settings.steps, diameter=settings.diameter, start_from=start)


def train_round(
    folder: Path,
    run: Path,
    settings: RoundSettings,
    page: NDArray[Any] | None,
    progress: Callable[[Event | Preview], None],
    stopped: Callable[[], bool],
) -> Path:
    """Train a new round on the annotations of a folder, or resume the run; returns the run folder.

    page: (c, y, x) that is predicted whenever the model has become better: a Preview to `progress`.
    """

    def report(event: Event) -> None:
        progress(event)
        if isinstance(event, Validated) and event.best and page is not None:
            model = api.labelled_as(api.load_model(run), "instances")
            progress(Preview(event.step, api.predict(model, page).labels))

    begun = Run(run).last.is_file()
    experiment = Run.open(run).experiment if begun else new_experiment(folder, settings)
    api.train(experiment, run, progress=report, stopped=stopped)
    return run


def resumable(folder: Path) -> Path:
    """The last round, if it was stopped before its end; UserError where there is nothing to resume."""
    found = rounds(folder)
    if not found or not Run(found[-1]).last.is_file() or (found[-1] / "report.html").is_file():
        raise UserError(f"{folder}: no stopped training. Train starts a new round.")
    return found[-1]
