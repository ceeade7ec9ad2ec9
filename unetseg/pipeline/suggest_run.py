"""`unetseg suggest`: the images of a folder in the order in which a run would have them annotated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unetseg.errors import UserError
from unetseg.pipeline.candidates import annotated_images, checksum, find_candidates
from unetseg.pipeline.model import Model
from unetseg.pipeline.suggest import Order, Suggestion, choose, look_at


@dataclass(frozen=True)
class Suggestions:
    """The images to annotate, the most useful one first, of `looked_at` images; notes: for the user."""

    suggestions: tuple[Suggestion, ...]
    looked_at: int
    order: Order
    notes: tuple[str, ...]


def suggest_images(
    model: Model,
    run: Path,
    folder: Path,
    top: int,
    order: Order,
    progress: Callable[[str], None] = lambda name: None,
) -> Suggestions:
    """The `top` images of a folder to annotate next; run: the run folder or file of the model.

    Images that are annotated already are left out: see `find_candidates` and `annotated_images`. Raises
    UserError if no other is left, and for an image that does not fit the model.
    """
    model.check_segments()
    candidates = find_candidates(folder, volumes=model.net.dims == 3)
    annotated, looks = annotated_images(run, model), []
    for candidate in candidates:
        image = candidate.read()
        if checksum(image) not in annotated.checksums:
            looks.append(look_at(model, candidate.name, image))
        progress(candidate.name)
    if not looks:
        raise UserError(f"{folder}: the run has the truth of every image already. Give new images.")
    chosen = choose(looks, annotated.appearances, top, order)
    return Suggestions(tuple(chosen), len(looks), order, (annotated.note,) if annotated.note else ())
