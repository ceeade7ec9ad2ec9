"""Scores that belong to a task: those of the Cell Tracking Challenge, the ISBI 2012 challenge, and DRIVE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.config import find_data
from unetseg.evaluation.by_kind import Pair, score_pairs
from unetseg.evaluation.label_files import read_frame_labels
from unetseg.images.whole import read_stack
from unetseg.run import Run
from unetseg.scores import score
from unetseg.scores.ctc import detection_score, field_of_interest, op_csb, total_detections
from unetseg.scores.tracks import Track, link_errors, linking_score, match_frame, op_ctb, tracking_score
from unetseg.settings import DataSettings

FIELD_OF_INTEREST = {"DIC-C2DH-HeLa": 50, "PhC-C2DH-U373": 50}
"""Border in pixels that the challenge ignores, by the name of the data set's folder."""

Frame = tuple[NDArray[Any], NDArray[Any]]
"""Truth and prediction."""
TrackPair = tuple[Sequence[Track], Sequence[Track]]
"""Tracks of truth and prediction."""


def task_scores(run: Run, data: DataSettings, pairs: Sequence[Pair]) -> dict[str, float]:
    """The scores of the run's own task on its test frames; empty for tasks without any.

    data: the settings that the frames were read with. The probability maps of EM sections are read
    from the run's test folder.
    """
    own = TASK_SCORES.get(data.task)
    return own(run, data, pairs) if own else {}


def _cell_tracking(run: Run, data: DataSettings, pairs: Sequence[Pair]) -> dict[str, float]:
    root = find_data(data.root)
    paths = [marker_path(root, name) for name, _, _ in pairs]
    marked = [
        (read_frame_labels(path), predicted)
        for path, (_, _, predicted) in zip(paths, pairs, strict=True)
        if path.is_file()
    ]
    segmented = [(truth, predicted) for _, truth, predicted in pairs]
    border = FIELD_OF_INTEREST.get(root.resolve().name, 0)
    return challenge_scores(segmented, marked if len(marked) == len(pairs) else [], border=border)


def challenge_scores(
    segmented: Sequence[Frame],
    marked: Sequence[Frame],
    tracks: TrackPair | None = None,
    border: int = 0,
) -> dict[str, float]:
    """SEG, with markers DET and OP_CSB, and with tracks TRA, LNK and OP_CTB; with a border also inside it.

    segmented: truth and predicted labels of every frame with instance truth, arrays of the same shape.
    marked: the same with markers as truth. The challenge counts every frame of the sequence; in a
    run's test part these are the frames with instance truth. tracks: of truth and prediction, if `marked`
    holds every frame from 0. border: pixels at each side of the image that are not of interest, see
    `field_of_interest`.
    """
    scores = _challenge_scores(segmented, marked, tracks)
    if border:
        inside, markers = (
            [inside_border(*frame, border) for frame in frames] for frames in (segmented, marked)
        )
        found = _challenge_scores(inside, markers, tracks)
        scores |= {f"{name}-foi": value for name, value in found.items()}
    return scores


def marker_path(root: Path, frame: str) -> Path:
    """Where the markers of the frame "01/t002" lie in the challenge's layout."""
    sequence, _, name = frame.partition("/")
    return root / f"{sequence}_GT" / "TRA" / f"man_track{name.removeprefix('t')}.tif"


def _challenge_scores(
    segmented: Sequence[Frame], marked: Sequence[Frame], tracks: TrackPair | None
) -> dict[str, float]:
    scores = score([t for t, _ in segmented], [p for _, p in segmented], ["seg"]) if segmented else {}
    if not marked:
        return scores
    frames = [match_frame(*frame) for frame in marked]
    found = total_detections(frame.detections for frame in frames)
    scores["det"] = detection_score(found)
    if tracks is not None:
        links = link_errors(*tracks, frames)
        scores |= {"tra": tracking_score(found, links), "lnk": linking_score(links)}
    if segmented:
        scores["op-csb"] = op_csb(scores["seg"], scores["det"])
        if tracks is not None:
            scores["op-ctb"] = op_ctb(scores["seg"], scores["tra"])
    return scores


def inside_border(truth: NDArray[Any], predicted: NDArray[Any], border: int) -> Frame:
    """A frame without the objects that lie completely in the border, see `field_of_interest`."""
    return field_of_interest(truth, border), field_of_interest(predicted, border)


def _isbi_em(run: Run, data: DataSettings, pairs: Sequence[Pair]) -> dict[str, float]:
    """Sections pooled; the truth's cells are its objects."""
    maps = [read_stack(run.tested(f"{name}_probability")).pixels[:, 0] for name, _, _ in pairs]
    cells = np.concatenate([truth.reshape(-1, *truth.shape[-2:]) > 0 for _, truth, _ in pairs])
    return score(list(cells), list(np.concatenate(maps)), kind="probabilities")


def _drive(run: Run, data: DataSettings, pairs: Sequence[Pair]) -> dict[str, float]:
    """Pixels inside the field of view pooled over the images (Staal et al. 2004), with the ROC's area."""
    maps = [read_stack(run.tested(f"{name}_probability")).pixels[0, 0] for name, _, _ in pairs]
    truths = [truth for _, truth, _ in pairs]
    names = ["accuracy", "kappa", "sensitivity", "specificity"]
    return score(truths, maps, ["auc"], kind="probabilities") | score_pairs(pairs, "classes", 2, names).totals


SCORED_BY_PROBABILITIES = ("isbi-em", "drive")
"""Tasks whose scores need the foreground's probabilities, which `evaluate_run` writes for them."""

TASK_SCORES: dict[str, Callable[[Run, DataSettings, Sequence[Pair]], dict[str, float]]] = {
    "cell-tracking": _cell_tracking,
    "isbi-em": _isbi_em,
    "drive": _drive,
}
