"""Truth and prediction of the scored frames compared: what went wrong, and where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.pipeline.evaluate import scored_part
from unetseg.report.frames import FileFrames, Frames, RunFrames
from unetseg.run import Run
from unetseg.sample import LabelKind
from unetseg.scores.mistakes import Mistake, error_counts, frame_errors


@dataclass(frozen=True)
class ErrorAnalysis:
    """The result for all frames: IoU of every true object, counts by `error_counts`, and the mistakes.

    names: of the frames that were compared; `notes` says what could not be read.
    """

    kind: LabelKind
    frames: Frames
    names: tuple[str, ...]
    ious: NDArray[np.float64]
    counts: dict[str, float]
    mistakes: tuple[tuple[str, Mistake], ...]
    notes: tuple[str, ...]


def find_mistakes(run: Run) -> ErrorAnalysis:
    """Read and compare every scored frame whose truth and prediction both exist; not restored images."""
    if run.experiment.target.kind == "restoration":
        return replace(compare_frames(FileFrames({})), kind="restoration")
    try:
        entries = scored_part(run)[2]
    except UserError as error:
        return _nothing(f"The data no longer exist: {error}")
    except OSError as error:
        return _nothing(f"The data cannot be read: {error.filename}: {error.strerror}.")
    kept = [e for e in entries if run.tested(e.name).is_file()]
    if not kept:
        return _nothing(
            f"The predictions of the test part are not in {run.path}/test. "
            f"`unetseg train --resume {run.path}` writes them again."
        )
    notes = []
    if len(kept) < len(entries):
        missing = len(entries) - len(kept)
        notes.append(f"{missing} of {len(entries)} frames have no prediction in {run.path}/test.")
    return compare_frames(RunFrames(run, {e.name: e for e in kept}), notes)


def ranked(frames: dict[str, dict[str, float | None]], name: str, higher: bool) -> dict[str, str]:
    """The best, the median and the worst frame by a score: frame → what it is; fewer if there are few."""
    values = {f: s.get(name) for f, s in frames.items()}
    known = [f for f, v in values.items() if v is not None and math.isfinite(v)]
    order = sorted(known, key=lambda f: float(values[f] or 0), reverse=higher)
    if not order:
        return {}
    picks = {"median": order[(len(order) - 1) // 2], "best": order[0], "worst": order[-1]}
    chosen: dict[str, str] = {}
    for rank, frame in picks.items():
        chosen[frame] = f"{chosen[frame]} and {rank}" if frame in chosen else rank
    return chosen


def compare_frames(frames: Frames, notes: Sequence[str] = ()) -> ErrorAnalysis:
    """Compare every frame that can be read; the others are named in the notes."""
    said, compared = list(notes), {}
    for name in frames.places:
        try:
            frame, kind = frames.read(name)
            compared[name] = None if kind == "classes" else frame_errors(frame.truth, frame.predicted)
        except (UserError, OSError) as error:
            said.append(f"{name} is left out: {error}")
    objects = {name: errors for name, errors in compared.items() if errors is not None}
    return ErrorAnalysis(
        kind="classes" if compared and not objects else "instances",
        frames=frames,
        names=tuple(compared),
        ious=np.concatenate([np.empty(0), *(errors.ious for errors in objects.values())]),
        counts=error_counts(objects.values()),
        mistakes=tuple((name, m) for name, errors in objects.items() for m in errors.mistakes),
        notes=tuple(said),
    )


def _nothing(note: str) -> ErrorAnalysis:
    return compare_frames(FileFrames({}), (note,))
