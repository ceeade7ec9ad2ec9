"""Other models made of trained ones: an average, other label files as the result, a pruned network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from unetseg.errors import UserError
from unetseg.inference.dropout_draws import DropoutDraws
from unetseg.nets import Hypotheses, Prunable
from unetseg.pipeline.model import Model

LABEL_TYPES = ("as-trained", "instances", "mask", "classes")


def labelled_as(model: Model, what: str) -> Model:
    """The model with other label files as its result; what: one of LABEL_TYPES.

    "mask" gives 0 and 255, or the values of the training masks; "instances" the objects in
    the foreground of two classes. Raises UserError if the model's classes do not allow it.
    """
    recipe = model.recipe
    if what == "as-trained" or what == recipe.kind:
        return model
    model.check_segments()
    if recipe.classes != 2:
        raise UserError(
            f"{what}: needs a model of two classes (background and foreground), but this one has "
            f"{recipe.classes}, of {recipe.kind}. Leave the option out."
        )
    if what == "instances":
        return replace(model, recipe=replace(recipe, kind="instances"))
    values = () if what == "classes" else recipe.values or (0, 255)
    return replace(model, recipe=replace(recipe, kind="classes", values=values))


def average_models(models: Mapping[str, Model]) -> Model:
    """One model of several, named for errors: their calibrated probabilities are averaged.

    Median and label settings are those of the first. Raises UserError if they do not predict the same
    classes of the same kind of image.
    """
    (first, one), *rest = models.items()
    for name, other in rest:
        for what, ours, theirs in zip(_COMPARED, _compared(one), _compared(other), strict=True):
            if ours != theirs and None not in (ours, theirs):
                raise UserError(
                    f"{name} has {what} {theirs}, {first} {ours}: only models of the same classes, "
                    "channels and pixel size can be averaged."
                )
    return replace(one, others=tuple(other for _, other in rest))


_COMPARED = ("kind of labels", "classes", "channels", "image axes", "pixel size in µm")


def _compared(model: Model) -> tuple[object, ...]:
    recipe = model.recipe
    spacing = None if recipe.spacing_um is None else tuple(recipe.spacing_um)
    return recipe.kind, recipe.classes, recipe.normalisation.channels, model.net.dims, spacing


def pruned(model: Model, level: int) -> Model:
    """The model with the part of its network that gives the output at `level`; see UNetPlusPlus.

    Raises UserError if its network cannot be pruned, or not to this level.
    """
    if not isinstance(model.net, Prunable):
        name = model.recipe.net["name"]
        raise UserError(f"level {level}: a network {name!r} cannot be pruned, only 'unet++' can.")
    options = {**model.recipe.net, "depth": level, "deep_supervision": False}
    return replace(model, recipe=replace(model.recipe, net=options), net=model.net.pruned(level))


def with_dropout_draws(model: Model, draws: int) -> Model:
    """The model with the mean of so many draws of its network's dropout; see `DropoutDraws`.

    Raises UserError for a network without dropout.
    """
    return replace(model, net=DropoutDraws(model.net, draws))


def hypothesis(model: Model, number: int) -> Model:
    """The model of one hypothesis; UserError for a network that has only one output for an image."""
    if not isinstance(model.net, Hypotheses):
        raise UserError(
            f"--samples: a network {model.recipe.net['name']!r} gives one result for an image. Train a "
            "'probabilistic-unet'."
        )
    return replace(model, net=model.net.drawn(number))
