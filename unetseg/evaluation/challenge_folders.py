"""The challenge's scores of a result folder against its truth folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.evaluation.by_kind import Pair
from unetseg.evaluation.challenges import Frame, TrackPair, challenge_scores, inside_border
from unetseg.evaluation.label_files import read_frame_labels
from unetseg.evaluation.paired_predictions import by_frame_number, label_folder, result_files
from unetseg.evaluation.scoring import Scoring
from unetseg.images.formats import image_files
from unetseg.scores.tracks import Track, misplaced
from unetseg.tasks.track_files import RESULT, TRUTH, read_tracks


def score_challenge(
    truth: Path, predicted: Path, pairs: Sequence[Pair], scoring: Scoring
) -> tuple[dict[str, float], str]:
    """SEG, DET and OP_CSB where truth/TRA has markers, with a note on the frames; else nothing.

    With res_track.txt and man_track.txt also TRA, LNK and OP_CTB; they need every frame's result.

    The challenge counts every frame with markers, so leaving out those without a result would flatter
    DET. If asked, missing results count as empty; otherwise they are an error, or, where only certain
    scores were named, DET is left out and the note says so.
    """
    if not (truth / "TRA").is_dir():
        return {}, ""
    found = by_frame_number(result_files(label_folder(predicted)))
    markers = by_frame_number(image_files(truth / "TRA"))
    missing = [path for key, path in markers.items() if key not in found]
    segmented = [(t, p) for _, t, p in pairs]
    if missing and scoring.names and not scoring.missing_as_empty:
        lost = f"DET left out: {len(missing)} of {len(markers)} frames with markers have no result"
        return challenge_scores(segmented, []), lost
    if missing and not scoring.missing_as_empty:
        raise UserError(
            f"{predicted}: no result for {len(missing)} of the {len(markers)} frames with markers (the first "
            f"is {missing[0].name}); DET counts all of them. Predict every frame of the sequence, or count "
            "the missing ones as empty with --missing-as-empty."
        )
    marked = []
    for key, path in markers.items():
        true = read_frame_labels(path)
        marked.append((true, read_frame_labels(found[key]) if key in found else np.zeros_like(true)))
    tracks = None if missing else read_track_pair(truth, predicted, markers, marked)
    inside = [inside_border(*frame, scoring.border) for frame in marked]
    empty = f", {len(missing)} of them without a result" if missing else ""
    return challenge_scores(segmented, inside, tracks), f"{len(markers)} frames with markers{empty}"


def read_track_pair(
    truth: Path, predicted: Path, markers: Iterable[str], marked: Sequence[Frame]
) -> TrackPair | None:
    """The tracks of both folders; None where one of them has none.

    markers: numbers of the frames; marked: their true and predicted labels. Raises UserError for frames
    that are not numbered from 0, and for tracks that do not fit their frames.
    """
    files = truth / "TRA" / TRUTH, predicted / RESULT
    if not all(path.is_file() for path in files):
        return None
    if [int(number) for number in markers] != list(range(len(marked))):
        raise UserError(f"{truth / 'TRA'}: its frames are not numbered 0 to {len(marked) - 1}.")
    true, found = read_tracks(files[0]), read_tracks(files[1])
    for path, tracks, side in ((files[0], true, 0), (files[1], found, 1)):
        _check_tracks(path, tracks, [frame[side] for frame in marked])
    return true, found


def _check_tracks(path: Path, tracks: Sequence[Track], frames: Sequence[NDArray[Any]]) -> None:
    ids = [frozenset(np.unique(frame[frame > 0]).tolist()) for frame in frames]
    for t, number, there in misplaced(tracks, ids):
        wrong = "is in the frame but not in the file" if there else "is in the file but not in the frame"
        raise UserError(f"{path}: does not fit its label images: object {number} of frame {t} {wrong}.")
