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
from unetseg.scores.ctc import field_of_interest, op_csb
from unetseg.settings import DataSettings

FIELD_OF_INTEREST = {"DIC-C2DH-HeLa": 50, "PhC-C2DH-U373": 50}
"""Border in pixels that the challenge ignores, by the name of the data set's folder."""

Frame = tuple[NDArray[Any], NDArray[Any]]
"""Truth and prediction."""


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
    return challenge_scores(segmented, marked if len(marked) == len(pairs) else [], border)


def challenge_scores(
    segmented: Sequence[Frame], marked: Sequence[Frame], border: int = 0
) -> dict[str, float]:
    """SEG, and with markers DET and OP_CSB; with a border also the same inside the field of interest.

    segmented: truth and predicted labels of every frame with instance truth, arrays of the same shape.
    marked: the same with markers as truth. The challenge counts every frame of the sequence; in a
    run's test part these are the frames with instance truth. border: pixels at each side of the
    image that are not of interest, see `field_of_interest`.
    """
    scores = _challenge_scores(segmented, marked)
    if border:
        inside = [[inside_border(*frame, border) for frame in frames] for frames in (segmented, marked)]
        scores |= {f"{name}-foi": value for name, value in _challenge_scores(*inside).items()}
    return scores


def marker_path(root: Path, frame: str) -> Path:
    """Where the markers of the frame "01/t002" lie in the challenge's layout."""
    sequence, _, name = frame.partition("/")
    return root / f"{sequence}_GT" / "TRA" / f"man_track{name.removeprefix('t')}.tif"


def _challenge_scores(segmented: Sequence[Frame], marked: Sequence[Frame]) -> dict[str, float]:
    scores = score(*_apart(segmented), ["seg"]) if segmented else {}
    if marked:
        scores |= score(*_apart(marked), ["det"], kind="challenge")
    if segmented and marked:
        scores["op-csb"] = op_csb(scores["seg"], scores["det"])
    return scores


def _apart(frames: Sequence[Frame]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """The truths, and the predictions."""
    return [truth for truth, _ in frames], [predicted for _, predicted in frames]


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
