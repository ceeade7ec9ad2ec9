"""The number of steps that a budget of wall-clock time allows."""

from __future__ import annotations

from dataclasses import dataclass

from unetseg.settings import TrainSettings

MOST_STEPS = 1_000_000_000
FEWEST_STEPS = 10
"""Fewer teach nothing, so a budget that is too short is exceeded."""
CHOICE = 4.0
"""How often predicting its images fits into the time of the search of label settings."""
MARGIN = 0.9
"""The fraction of the remaining time that is planned with; machines slow down when warm or shared."""

TIMED_STEPS = 6


def enough_timed(steps: int, seconds: float, limit: float) -> bool:
    """Whether so many steps in so many seconds are enough to time a step: six, or two after `limit` seconds.

    The first step prepares the others and does not count.
    """
    return steps >= TIMED_STEPS or (steps >= 2 and seconds > limit)


@dataclass(frozen=True)
class Speed:
    """Seconds of a training step, and of predicting and scoring one image, measured on this machine."""

    step: float
    image: float


@dataclass(frozen=True)
class Images:
    """How many images are predicted at a validation, to choose label settings, and for the scores."""

    validate: int
    choose: int
    test: int


def fitting_steps(seconds: float, speed: Speed, images: Images, train: TrainSettings) -> int:
    """Steps that fit into `seconds`, of training, validation, choice of labels and scores together.

    At most `train.steps`, at least FEWEST_STEPS (or all, if there are fewer).

    >>> fitting_steps(100, Speed(0.5, 0.5), Images(8, 0, 10), TrainSettings(steps=1000, validate_every=20))
    115
    """
    fixed = speed.image * (images.validate + CHOICE * images.choose + images.test)
    each = speed.step + speed.image * images.validate / train.validate_every
    return int(min(max((MARGIN * seconds - fixed) / each, FEWEST_STEPS), train.steps))
