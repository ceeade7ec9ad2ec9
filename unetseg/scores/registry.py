"""All scores by kind and name: the one place that defines what a score means and which way is better."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from unetseg.errors import UserError, did_you_mean
from unetseg.scores.entry import Kind, Score
from unetseg.scores.of_challenges import CHALLENGE_SCORES
from unetseg.scores.of_classes import class_scores, volume_class_scores
from unetseg.scores.of_images import IMAGE_SCORES
from unetseg.scores.of_objects import OBJECT_SCORES
from unetseg.scores.of_probabilities import PROBABILITY_SCORES

SCORES: dict[Kind, Callable[[int], dict[str, Score]]] = {
    "instances": lambda classes: OBJECT_SCORES,
    "classes": class_scores,
    "probabilities": lambda classes: PROBABILITY_SCORES,
    "volumes": volume_class_scores,
    "challenge": lambda classes: CHALLENGE_SCORES,
    "restoration": lambda classes: IMAGE_SCORES,
}
"""The scores of each kind by name, for a number of classes (the background among them)."""

FIELD_OF_INTEREST = "-foi"
"""Suffix of a score without the objects in the border that the challenge ignores."""


def scores_of(kind: Kind, classes: int = 2) -> dict[str, Score]:
    """The scores of a kind by name; for class maps and volumes, with so many classes."""
    return SCORES[kind](classes)


def standard_scores(kind: Kind = "instances", classes: int = 2) -> tuple[str, ...]:
    """The names of the scores that are used if none are named."""
    return tuple(name for name, entry in scores_of(kind, classes).items() if entry.standard)


def check_names(names: Sequence[str], kind: Kind = "instances", classes: int = 2) -> tuple[str, ...]:
    """The names as a tuple; UserError for the first that is no score of this kind, or none of frames."""
    allowed = scores_of(kind, classes)
    for name in names:
        if name not in allowed:
            raise UserError(
                f"there is no score {name!r} of {KIND_WORDS[kind]}; {did_you_mean(name, allowed)}"
            )
        if allowed[name].rows is None:
            raise UserError(
                f"{name} is not read from single frames: unetseg score prints it for a result folder."
            )
    return tuple(names)


def find_score(name: str, kind: Kind = "instances") -> Score | None:
    """The entry of a score of this kind, or else of another kind; None for an unknown name.

    A name that ends in -foi is the score in the challenge's field of interest.
    """
    if name.endswith(FIELD_OF_INTEREST):
        whole = find_score(name.removesuffix(FIELD_OF_INTEREST), kind)
        inside = "in the challenge's field of interest"
        return whole and replace(whole, title=f"{whole.title} {inside}", meaning=f"{whole.meaning}; {inside}")
    number = re.search(r"-(\d{1,3})$", name)
    classes = max(2, int(number[1]) + 1) if number else 2
    kinds: list[Kind] = [kind, *(k for k in SCORES if k != kind)]
    return next((scores[name] for k in kinds if name in (scores := scores_of(k, classes))), None)


KIND_WORDS: dict[Kind, str] = {
    "instances": "object labels",
    "classes": "class maps",
    "probabilities": "probability maps",
    "volumes": "volumes",
    "challenge": "a challenge's result",
    "restoration": "restored images",
}
