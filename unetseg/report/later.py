"""Label files that a run predicted after its training, scored for its page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetseg.errors import UserError
from unetseg.evaluation.score_files import Comparison, score_files
from unetseg.evaluation.scoring import Scoring
from unetseg.report.frames import FileFrames, Frames
from unetseg.scores.mistakes import error_counts, frame_errors
from unetseg.settings import DataSettings

NUMBERED = re.compile(r"(.*?)(\d+)\]?", re.DOTALL)


@dataclass(frozen=True)
class Later:
    """Scores in the form of scores.json, the frames, and the options that name the files."""

    scores: dict[str, Any]
    frames: Frames
    options: tuple[str, ...]


def score_later(predictions: Path, truth: Path, images: Path | None) -> Later:
    """Score label files, or folders of them, as `unetseg score` does.

    images: the image file or folder that the pictures are drawn on; without it the background is black.
    """
    found = score_files(truth, predictions, DataSettings(), Scoring())
    if not found.pairs:
        raise UserError(
            f"{truth}: read as {found.meaning}; only object labels can be shown in a report. "
            "`unetseg score` prints the scores of other files."
        )
    names = [name for name, _, _ in found.pairs]
    frames = FileFrames({pair[0]: pair for pair in found.pairs}, "instances", images, _places(names))
    if images is not None:
        frames.read(names[0])  # files that do not fit are an error before anything is written
    shown = ("--images", str(images)) if images else ()
    return Later(
        _scores(found, f"{predictions} against {truth}"),
        frames,
        ("--predictions", str(predictions), "--truth", str(truth), *shown),
    )


def _scores(found: Comparison, what: str) -> dict[str, Any]:
    table = found.table
    rows = zip(table.frames, table.values.tolist(), strict=True)
    return {
        "what": what,
        "kind": "instances",
        "scores": table.totals,
        "intervals": {n: list(ends) for n in table.names if (ends := table.interval(n))},
        "task_scores": found.challenge | found.volumes,
        "errors": error_counts(frame_errors(t, p) for _, t, p in found.pairs),
        "frames": {frame: dict(zip(table.names, row, strict=True)) for frame, row in rows},
    }


def _places(names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Film and index of "film[3]" and "man_seg003"; a name without a number is its own group."""
    matches = {name: NUMBERED.fullmatch(name) for name in names}
    return {name: (m[1].rstrip("[_-. "), int(m[2])) if m else (name, 0) for name, m in matches.items()}
