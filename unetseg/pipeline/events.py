"""The events that a training reports."""

from __future__ import annotations

from dataclasses import dataclass

from unetseg.train import Step


@dataclass(frozen=True)
class Validated:
    """Scores on the validation part after `step` steps, and whether they are the best so far."""

    step: int
    scores: dict[str, float]
    best: bool


@dataclass(frozen=True)
class Note:
    """A line for the user."""

    text: str


@dataclass(frozen=True)
class Scheduled:
    """Before the first step: the total number of steps of the run."""

    steps: int


Event = Note | Step | Validated | Scheduled
