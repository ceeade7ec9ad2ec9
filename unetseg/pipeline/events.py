"""What a training reports as it goes."""

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
    """Before the first step: how many steps the run has in all."""

    steps: int


Event = Note | Step | Validated | Scheduled
