"""A trained model as the start of a new training: what is inherited, and where it comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from unetseg.config import parse_settings
from unetseg.errors import UserError
from unetseg.models import find_model
from unetseg.nets import Net, for_channels
from unetseg.normalise import Normalisation
from unetseg.pipeline.model import Ancestor, Model, load_model
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.run import Run
from unetseg.settings import Experiment

LEARNING_RATE, STEPS = 5e-4, 300
"""Of a training that starts from a model, if the experiment gives none: a quarter of the usual peak."""


@dataclass(frozen=True)
class Parent:
    """A model to start from. name: as given; sha256: of its file; run: its run folder, if it is one."""

    name: str
    sha256: str
    model: Model
    run: Run | None

    @property
    def lineage(self) -> list[Ancestor]:
        """Name and SHA-256 of this model and those that it was started from, the nearest first."""
        return [{"name": self.name, "sha256": self.sha256}, *self.model.lineage]


def read_parent(name: str) -> Parent:
    """The model of a run folder, a model file or a name; UserError if there is none."""
    try:
        path = find_model(Path(name).expanduser()).path
        run = Run.open(path) if path.is_dir() else None
        file = path if run is None else run.best
        changed = file.stat().st_mtime_ns if file.is_file() else 0
        return Parent(name, *_read(file, changed), run)
    except UserError as error:
        raise UserError(f"train.start_from = {name!r}: {error}") from None


@lru_cache(maxsize=1)
def _read(file: Path, changed: int) -> tuple[str, Model]:
    """SHA-256 and model of a file, once: settings are derived from it first, and weights taken later.

    changed: when the file was; another time is another file.
    """
    model = load_model(file, torch.device("cpu"))
    return hashlib.sha256(file.read_bytes()).hexdigest(), model


def inherited(experiment: Experiment) -> dict[str, tuple[Any, str]]:
    """Settings that come from the model in train.start_from, and the reasons, by their dotted names."""
    parent = read_parent(experiment.train.start_from)
    recipe, why = parent.model.recipe, f"of {parent.name}"
    found: dict[str, tuple[Any, str]] = {
        "data.normalise": (recipe.normalisation.method, why),
        "data.downsample": (recipe.downsample, why),
        "data.object_diameter": (recipe.object_diameter, why),
        "net": ({k: v for k, v in recipe.net.items() if k != "weights"}, why),
        "train.learning_rate": (LEARNING_RATE, "lower, because the weights are already trained"),
        "train.steps": (STEPS, "fewer, because the weights are already trained"),
    }
    if recipe.target is not None:
        target = recipe.target
    elif parent.run is not None:
        target = parent.run.experiment.target
    elif recipe.kind == "instances" and recipe.classes > 2:
        return found | {"target.kind": ("distance", f"{why}, which does not record its distances_px")}
    else:
        return found
    return found | {f"target.{key}": (value, why) for key, value in vars(target).items()}


def start_from_parent(
    net: Net, recipe: Recipe, parent: Parent, experiment: Experiment, images: dict[str, list[str]]
) -> list[str]:
    """Put the parent's weights into the net; returns notes for the user. images: names by part."""
    try:
        changed = take_weights(net, recipe, parent.model)
    except UserError as error:
        raise UserError(f"train.start_from = {parent.name!r}: {error}") from None
    return [f"started from {in_words(parent.lineage)}", *changed, *image_notes(parent, experiment, images)]


def origin(parent: Parent | None) -> dict[str, Any]:
    """What environment.json keeps about the parent, which may no longer exist when the run is resumed."""
    if parent is None:
        return {}
    return {"lineage": parent.lineage, "normalisation": asdict(parent.model.recipe.normalisation)}


def known_grey_values(run: Run, parent: Parent | None) -> Normalisation | None:
    """The rule of the parent, or of a resumed run's parent; None without a parent."""
    if parent is not None:
        return parent.model.recipe.normalisation
    kept = run.read_json("environment.json").get("normalisation")
    return None if kept is None else parse_settings(Normalisation, kept, f"{run.path}/environment.json")


def recorded_lineage(run: Run) -> tuple[Ancestor, ...]:
    """The models that the run was started from, by its environment.json."""
    return tuple(run.read_json("environment.json").get("lineage", []))


def take_weights(net: Net, recipe: Recipe, parent: Model) -> list[str]:
    """Put the parent's weights into the net; notes say which layers were adapted or are new.

    If the channels differ, the filters of the first layer are summed over the parent's channels and
    shared equally, so that a grey image repeated in every channel gives the same response. If the classes
    differ, layers whose size depends on them keep their initial weights. Raises UserError, which names the
    first tensor, for any other difference.
    """
    theirs, ours = parent.net.state_dict(), net.state_dict()
    first = _depending(parent.recipe, channels=True) if net.channels != parent.net.channels else set()
    head = _depending(parent.recipe, channels=False) if net.classes != parent.net.classes else set()
    adapted, fresh = list[str](), list[str]()
    for name in dict.fromkeys([*ours, *theirs]):
        if name not in ours or name not in theirs:
            lacking = "this network" if name not in ours else "the model"
            raise UserError(f"{name}: {lacking} has no such tensor. {_remedy(recipe, parent)}")
        if ours[name].shape == theirs[name].shape:
            continue
        if name in first and theirs[name].ndim >= 4 and len(ours[name]) == len(theirs[name]):
            theirs[name] = for_channels(theirs[name], ours[name].shape[1])
            adapted.append(name)
        elif name in first or name in head:
            theirs[name] = ours[name]
            fresh.append(name)
        else:
            shapes = f"{tuple(theirs[name].shape)} in the model, {tuple(ours[name].shape)} here"
            raise UserError(f"{name}: {shapes}. {_remedy(recipe, parent)}")
    net.load_state_dict(theirs)
    return _notes(net, parent.net, adapted, fresh)


def image_notes(parent: Parent, experiment: Experiment, images: dict[str, list[str]]) -> list[str]:
    """How many images of the same folder are new since the parent run, and a warning of a leak.

    images: names by part ("train", "validate", "test").
    """
    if parent.run is None or parent.run.experiment.data.root != experiment.data.root:
        return []
    known = parent.run.read_json("environment.json").get("images", {})
    before, now = _names(known.values()), _names(images.values())
    if not before:
        return []
    notes = [f"{len(now - before)} of {len(now)} images are new since {parent.name}"]
    learnt = set(known.get("train", []))
    for part in ("validate", "test"):
        seen = len(learnt & set(images.get(part, [])))
        warning = (
            f"warning: {parent.name} was trained on {seen} images of the {part} part, so its scores are "
            f"too high. Name images in data.{part} that are new or were held back before"
        )
        notes += [warning] if seen else []
    return notes


def in_words(lineage: list[Ancestor]) -> str:
    """The chain of models, the nearest first."""
    return ", which started from ".join(f"{e['name']} (SHA-256 {e['sha256'][:12]}…)" for e in lineage)


def _names(parts: Iterable[Iterable[str]]) -> set[str]:
    return {name for part in parts for name in part}


def _depending(recipe: Recipe, *, channels: bool) -> set[str]:
    """The tensors of the recipe's network whose shape depends on its channels, or on its classes."""
    rule = recipe.normalisation
    more = replace(rule, channels=2 * rule.channels)
    other = replace(recipe, normalisation=more) if channels else replace(recipe, classes=recipe.classes + 1)
    with torch.device("meta"):
        one, two = (new_net(r, seed=0).state_dict() for r in (recipe, other))
    return {name for name in one if one[name].shape != two[name].shape}


def _remedy(recipe: Recipe, parent: Model) -> str:
    ours, theirs = (str(r.net.get("name")) for r in (recipe, parent.recipe))
    return (
        f"The weights of a {theirs!r} do not fit this {ours!r}: leave [net] out, so that the model's own "
        "settings are used, or start from another model."
    )


def _notes(net: Net, parent: Net, adapted: list[str], fresh: list[str]) -> list[str]:
    notes = []
    if net.channels != parent.channels:
        changed = f"channels {parent.channels} → {net.channels}"
        notes.append(f"first layer adapted ({changed}): {', '.join(adapted) or 'new weights'}")
    if net.classes != parent.classes:
        notes.append(f"head replaced (classes {parent.classes} → {net.classes}): {', '.join(fresh)}")
    return notes
