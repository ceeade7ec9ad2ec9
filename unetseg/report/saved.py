"""scores.json and environment.json of a run folder, checked before a page is made of them."""

from __future__ import annotations

from typing import Any

from pydantic import FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from unetseg.run import LOG, Run

Values = dict[str, float | None]


class SavedCalibration(TypedDict):
    """The reliability of the probabilities `of` something: a value for each bin, and the expected error."""

    of: str
    error: FiniteFloat
    pixels: list[FiniteFloat]
    probability: list[FiniteFloat]
    frequency: list[FiniteFloat]


class SavedScores(TypedDict, total=False):
    """scores.json, as `evaluate_run` writes it."""

    part: str
    what: str
    kind: str
    scores: Values
    intervals: dict[str, list[float]]
    task_scores: Values
    errors: Values
    calibration: SavedCalibration
    noun: str
    frames: dict[str, Values]
    parameters: int
    train_seconds: FiniteFloat
    predict_seconds: FiniteFloat
    peak_memory_mib: FiniteFloat


class SavedEnvironment(TypedDict, total=False):
    """environment.json, as `provenance` writes it."""

    packages: dict[str, str]
    split: dict[str, str]


SHAPES: dict[str, TypeAdapter[Any]] = {
    "scores.json": TypeAdapter(SavedScores),
    "environment.json": TypeAdapter(SavedEnvironment),
}


def read_saved(run: Run, name: str) -> tuple[dict[str, Any], str]:
    """The content of RUN/name, and a note if it is damaged: then all of it is left out."""
    file = run.path / name
    if not file.exists():
        return {}, ""
    value = run.read_json(name)
    if not value:
        return {}, f"{file} is damaged: it is not a JSON object. It is left out."
    try:
        SHAPES[name].validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return {}, f"{file} is damaged ({place}: {first['msg']}). It is left out."
    return value, ""


def damaged_lines(run: Run) -> str:
    """A note if lines of the log are damaged; the last may be cut off by a crash and is not counted."""
    file = run.path / LOG
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    lost = len(lines) - len(run.records())
    return f"{lost} of {len(lines)} lines of {file} are damaged and were left out." if lost > 1 else ""
