"""Scores of a sequence of frames: of each frame, and of all frames pooled, with an interval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.scores.entry import Frame, Kind, Rows, Score
from unetseg.scores.registry import check_names, scores_of, standard_scores

Spacing = tuple[float, ...] | None
DRAWS, LEVEL, FEW_FRAMES = 1000, 0.95, 4
MOST_ROWS = 200_000  # the interval of a score with more rows would take minutes (a thousand draws)


@dataclass(frozen=True)
class FrameTable:
    """Scores per frame and pooled over all: values (frames, names), pooled (names,), float64.

    rows: what each score read from each frame, by name; its total of all rows is the pooled score.
    partly_annotated: how many of the frames have only some of their objects annotated.
    """

    frames: tuple[str, ...]
    names: tuple[str, ...]
    values: NDArray[np.float64]
    pooled: NDArray[np.float64]
    entries: tuple[Score, ...]
    rows: tuple[tuple[Rows, ...], ...]
    partly_annotated: int = 0

    @property
    def totals(self) -> dict[str, float]:
        """The pooled scores by name."""
        return dict(zip(self.names, self.pooled.tolist(), strict=True))

    def interval(self, name: str) -> tuple[float, float] | None:
        """The 95 % interval of a pooled score by the bootstrap over frames, see `bootstrap`."""
        place = self.names.index(name)
        return bootstrap(self.entries[place], self.rows[place])


def frame_table(
    truths: Iterable[NDArray[Any]],
    predictions: Iterable[NDArray[Any]],
    names: Sequence[str] | None = None,
    *,
    kind: Kind = "instances",
    classes: int = 2,
    frames: Sequence[str] | None = None,
    spacings: Sequence[Spacing] | None = None,
) -> FrameTable:
    """The scores of each frame and of all frames pooled; images are taken one pair at a time.

    truths: arrays (*yx) of integers, 0 background, k > 0 an object or class, −1 not annotated.
    predictions: as many of the same shapes, labels without −1, or probabilities in 0…1.
    names: which scores of this kind, in this order; None for the standard ones.
    classes: of class maps and volumes, the background among them.
    frames: what to call the frames, in tables and errors; None for "frame 0", "frame 1", …
    spacings: pixel sizes in µm along the axes of each frame, for distances.

    Raises UserError for an unknown name, different numbers of frames, no frame at all, or a pair that
    cannot be compared, such as different shapes; then the frame is named.
    """
    chosen = standard_scores(kind, classes) if names is None else check_names(names, kind, classes)
    every = scores_of(kind, classes)
    entries = tuple(every[name] for name in chosen)
    called, rows, partly = [], [], 0
    for name, frame in _frames(truths, predictions, frames, spacings):
        called.append(name)
        rows.append(_frame_rows(name, frame, entries))
        partly += kind == "instances" and frame.partly_annotated
    if not called:
        raise UserError("there is no frame to score; give at least one truth and its prediction.")
    if frames is not None and len(frames) != len(called):
        raise UserError(f"{len(frames)} names for {len(called)} frames; give one for every frame.")
    columns = tuple(zip(*rows, strict=True))
    values = [[entry.total(of) for entry, of in zip(entries, row, strict=True)] for row in rows]
    pooled = [entry.total(np.concatenate(of)) for entry, of in zip(entries, columns, strict=True)]
    return FrameTable(tuple(called), chosen, np.array(values), np.array(pooled), entries, columns, partly)


def bootstrap(entry: Score, rows: Sequence[Rows], draws: int = DRAWS) -> tuple[float, float] | None:
    """The middle 95 % of a score's totals when frames are drawn with replacement, from a fixed seed.

    For fewer than four frames, rows are drawn if there is one per object; None if neither is
    possible, if the score is undefined, or if there are too many rows. Frames of one film resemble each
    other, so the interval is too narrow there: it shows the spread of these frames, not of new films.
    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentiles).
    """
    units: Sequence[Rows] = [r for r in rows if len(r)]
    if len(units) < FEW_FRAMES and entry.per_object:
        units = [row[None] for r in units for row in r]
    if len(units) < FEW_FRAMES or sum(map(len, units)) > MOST_ROWS:
        return None
    picks = np.random.default_rng(0).integers(0, len(units), (draws, len(units)))
    totals = np.array([entry.total(np.concatenate([units[i] for i in pick])) for pick in picks])
    known = totals[np.isfinite(totals)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _frame_rows(name: str, frame: Frame, entries: Sequence[Score]) -> list[Rows]:
    try:
        return [entry.rows(frame) for entry in entries if entry.rows is not None]
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def _frames(
    truths: Iterable[NDArray[Any]],
    predictions: Iterable[NDArray[Any]],
    frames: Sequence[str] | None,
    spacings: Sequence[Spacing] | None,
) -> Iterator[tuple[str, Frame]]:
    """Every frame with its name."""
    for index, (truth, predicted) in enumerate(zip_longest(truths, predictions)):
        if truth is None or predicted is None:
            missing = "truth" if truth is None else "prediction"
            raise UserError(f"frame {index} has no {missing}; give one for every frame.")
        name = f"frame {index}" if frames is None or index >= len(frames) else frames[index]
        if truth.shape != predicted.shape:
            raise UserError(
                f"{name}: the truth has shape {truth.shape} but the prediction {predicted.shape}; "
                "both must show the same pixels."
            )
        yield name, Frame(truth, predicted, None if spacings is None else spacings[index])
