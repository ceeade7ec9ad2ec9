"""`unetseg suggest`: the images of a folder in the order in which a run would have them annotated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unetseg.device import choose_device
from unetseg.errors import UserError
from unetseg.models import find_model
from unetseg.pipeline.candidates import annotated_images, checksum, find_candidates
from unetseg.pipeline.suggest import Order, Suggestion, choose, look_at
from unetseg.sharing.reading import read_model


@dataclass(frozen=True)
class Suggestions:
    """The images to annotate, the most useful one first, of `looked_at` images; notes: for the user."""

    suggestions: tuple[Suggestion, ...]
    looked_at: int
    order: Order
    notes: tuple[str, ...]


def suggest(
    run: str | Path,
    folder: str | Path,
    top: int = 10,
    *,
    order: Order = "uncertain-and-new",
    device: str = "auto",
    progress: Callable[[str], None] = lambda name: None,
) -> Suggestions:
    """The `top` images of a folder to annotate next, for a run folder, a model file or a model's name.

    progress: called with the name of every image that was looked at. Images that are annotated already are
    left out: see `find_candidates` and `annotated_images`. Raises UserError if no other is left, and for an
    image that does not fit the model.
    """
    path = find_model(Path(run)).path
    model = read_model(path, choose_device(device))
    model.check_segments()
    candidates = find_candidates(Path(folder), volumes=model.net.dims == 3)
    annotated, looks = annotated_images(path, model), []
    for candidate in candidates:
        image = candidate.read()
        if checksum(image) not in annotated.checksums:
            looks.append(look_at(model, candidate.name, image))
        progress(candidate.name)
    if not looks:
        raise UserError(f"{folder}: the run has the truth of every image already. Give new images.")
    chosen = choose(looks, annotated.appearances, top, order)
    return Suggestions(tuple(chosen), len(looks), order, (annotated.note,) if annotated.note else ())
