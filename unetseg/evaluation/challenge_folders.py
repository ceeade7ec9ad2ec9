"""SEG, DET and OP_CSB of a challenge's result folder against its truth folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.evaluation.by_kind import Pair
from unetseg.evaluation.challenges import challenge_scores, inside_border
from unetseg.evaluation.label_files import read_frame_labels
from unetseg.evaluation.paired_predictions import by_frame_number, label_folder, result_files
from unetseg.evaluation.scoring import Scoring
from unetseg.images.formats import image_files


def score_challenge(
    truth: Path, predicted: Path, pairs: Sequence[Pair], scoring: Scoring
) -> tuple[dict[str, float], str]:
    """SEG, DET and OP_CSB where truth/TRA has markers, with a note on the frames; else nothing.

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
        result = read_frame_labels(found[key]) if key in found else np.zeros_like(true)
        marked.append(inside_border(true, result, scoring.border))
    empty = f", {len(missing)} of them without a result" if missing else ""
    return challenge_scores(
        [(t, p) for _, t, p in pairs], marked
    ), f"{len(markers)} frames with markers{empty}"
