"""The scores of probability maps against two classes: those of EM sections, and the ROC curve's area."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.scores.binary import auc
from unetseg.scores.em import (
    Segments,
    Terms,
    as_they_are,
    best_mean,
    best_of_sums,
    check_sections,
    cuts,
    info_terms,
    pixel_terms,
    rand_terms,
    section_rows,
    segments,
)
from unetseg.scores.entry import Frame, Rows, Score
from unetseg.scores.warping import least_share, warping_rows

ISBI = "ISBI 2012"


def _of_terms(terms: Callable[[Segments, Segments], Terms], cut: Callable[..., Segments] | None) -> Any:
    """Rows of a section's terms at each threshold; without `cut`, of the thinned segments."""

    def rows(frame: Frame) -> Rows:
        check_sections(frame.truth, frame.predicted)
        found = frame.thinned_segments if cut is None else cuts(frame.predicted, cut)
        return section_rows(frame.truth, found, terms)

    return rows


def _warping_rows(frame: Frame) -> Rows:
    check_sections(frame.truth, frame.predicted)
    return warping_rows(frame.truth, frame.predicted)


def _pixels(frame: Frame) -> Rows:
    """Truth and probability of every annotated pixel: (pixels, 2)."""
    inside = frame.truth >= 0
    return np.stack([frame.truth[inside] > 0, frame.predicted[inside]], axis=1).astype(np.float64)


def _area(rows: Rows) -> float:
    truth, predicted = rows.T
    return auc(truth, predicted)


def _one_minus(total: Callable[[NDArray[np.float64]], float]) -> Callable[[NDArray[np.float64]], float]:
    return lambda rows: 1 - total(rows)


PROBABILITY_SCORES: dict[str, Score] = {
    "v-rand": Score(
        kind="probabilities",
        title=f"V_rand ({ISBI})",
        meaning="Rand F-score of the cells after border thinning, at the best threshold",
        total=best_mean,
        rows=_of_terms(rand_terms, None),
        standard=True,
    ),
    "v-info": Score(
        kind="probabilities",
        title=f"V_info ({ISBI})",
        meaning="information F-score of the cells after border thinning, at the best threshold",
        total=best_mean,
        rows=_of_terms(info_terms, None),
        standard=True,
    ),
    "rand-error": Score(
        kind="probabilities",
        title=f"Rand error ({ISBI}, early)",
        meaning="1 − Rand F-score of the connected components, at the best threshold",
        total=_one_minus(best_of_sums),
        rows=_of_terms(rand_terms, segments),
        better="lower",
        standard=True,
    ),
    "warping-error": Score(
        kind="probabilities",
        title=f"warping error ({ISBI}, early)",
        meaning="pixels of split and merged cells per pixel, at the best threshold",
        total=least_share,
        rows=_warping_rows,
        better="lower",
        standard=True,
    ),
    "em-pixel-error": Score(
        kind="probabilities",
        title=f"pixel error ({ISBI}, early)",
        meaning="1 − F-score of the pixels in cells, at the best threshold",
        total=_one_minus(best_of_sums),
        rows=_of_terms(pixel_terms, as_they_are),
        better="lower",
        standard=True,
    ),
    "auc": Score(
        kind="probabilities",
        title="area under the ROC curve",
        meaning="chance that a foreground pixel has a higher probability than a background pixel",
        total=_area,
        rows=_pixels,
    ),
}
