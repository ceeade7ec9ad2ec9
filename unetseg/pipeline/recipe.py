"""What prediction must repeat from training besides the weights, checked value by value when loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Gt, Interval, Len
from torch import Tensor

from unetseg.config import parse_settings
from unetseg.errors import UserError
from unetseg.nets import Net, build_net
from unetseg.normalise import AS_THEY_ARE, Normalisation
from unetseg.renamed import with_present_names
from unetseg.sample import LabelKind
from unetseg.settings import LabelSettings, NetOption, Probability, TargetSettings

FLOATING = (torch.float32, torch.float16, torch.bfloat16)
DECIDED = {
    "channels": "the images decide it",
    "classes": "the labels decide it, or data.classes",
    "seed": "it is given at the top of the experiment",
}
COEFFICIENTS = (0, 4)
"""Allowed numbers of calibration coefficients: none, or a cubic's."""


@dataclass(frozen=True)
class Recipe:
    """What makes a network's weights a model; plain values only, so it loads without running code.

    classes: the network's output channels: classes, or in restoration the channels of an image;
    spacing_um: pixel size of the network's input, per axis of yx; calibration: the coefficients of
    `calibrated`, empty for none; values: what label files hold for each class, as in the training labels,
    empty for 0, 1, 2, …; object_diameter: of the training images' objects in pixels, if
    all were brought to one, else 0; target: what was learnt, None in older files.
    """

    net: dict[str, NetOption]
    classes: Annotated[int, Interval(ge=1, le=255)]
    kind: LabelKind
    normalisation: Normalisation
    downsample: Annotated[int, Interval(ge=1, le=16)]
    labels: LabelSettings
    spacing_um: Annotated[tuple[Annotated[float, Gt(0)], ...], Len(2, 3)] | None
    calibration: Annotated[tuple[Probability, ...], Len(0, 4)] = ()
    values: Annotated[tuple[Annotated[int, Interval(ge=0, le=255)], ...], Len(0, 255)] = ()
    object_diameter: Annotated[float, Interval(ge=0, le=100_000)] = 0.0
    target: TargetSettings | None = None

    @property
    def image_spacing_um(self) -> tuple[float, ...] | None:
        """Pixel size in µm of the training images along *yx, before they were downsampled, if it is known."""
        if self.spacing_um is None:
            return None
        *z, y, x = self.spacing_um
        return (*z, y / self.downsample, x / self.downsample)


def read_recipe(table: Any, source: str) -> Recipe:
    """The recipe of nested plain values from a file; `source` is named in errors.

    Raises UserError for a value that no training could have written.
    """
    if not isinstance(table, dict):
        raise UserError(f"{source}: no table of settings.")
    try:
        table = with_present_names(table)
    except (TypeError, AttributeError):
        raise UserError(f"{source}: its tables are damaged.") from None
    recipe = parse_settings(Recipe, table, source)
    rule = recipe.normalisation
    stored = rule.channels if rule.method == "training-set" else 0
    allowed = {
        "normalisation.offset": (len(rule.offset), (stored,)),
        "normalisation.scale": (len(rule.scale), (stored,)),
        "normalisation.bright": (len(rule.bright), (0, 2) if rule.method in AS_THEY_ARE else (0,)),
        "values": (len(recipe.values), (0, recipe.classes)),
        "calibration": (len(recipe.calibration), COEFFICIENTS if recipe.classes == 2 else (0,)),
    }
    for name, (given, lengths) in allowed.items():
        if given not in lengths:
            words = " or ".join(map(str, lengths))
            raise UserError(f"{source}: {name} has {given} values; {words} are expected.")
    if recipe.kind == "restoration" and recipe.classes != rule.channels:
        raise UserError(f"{source}: classes is {recipe.classes}; {rule.channels}, as channels, is expected.")
    if recipe.kind != "restoration" and recipe.classes < 2:
        raise UserError(f"{source}: classes is {recipe.classes}; 2 or more are expected.")
    if rule.repeat_grey and rule.channels != 3:
        raise UserError(f"{source}: normalisation.repeat_grey is for 3 channels, not {rule.channels}.")
    return recipe


def new_net(recipe: Recipe, seed: int) -> Net:
    """The recipe's network with initial weights; for those of a file see `start_from_weights`."""
    name, options = name_and_options(recipe.net)
    return build_net(
        name, channels=recipe.normalisation.channels, classes=recipe.classes, seed=seed, **options
    )


def name_and_options(net: dict[str, NetOption]) -> tuple[str, dict[str, Any]]:
    """The name of a network and its options for `build_net`, from its table.

    Raises UserError for an option that the data decide.
    """
    options = {k: v for k, v in net.items() if k not in ("name", "weights")}
    for key, source in DECIDED.items():
        if key in options:
            raise UserError(f"net.{key}: is not an option of a network: {source}. Leave it out.")
    return str(net.get("name", "unet")), options


def checked_weights(weights: Any, recipe: Recipe) -> dict[str, Tensor]:
    """Named weights from a file, if they are those of the recipe's network; nothing is allocated for them.

    They may be in half precision. Raises UserError for a name, shape or type that does not fit, and for
    numbers that are not finite.
    """
    if not isinstance(weights, dict) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise UserError("holds no named weights.")
    with torch.device("meta"):
        expected = new_net(recipe, seed=0).state_dict()
    if odd := sorted(map(str, expected.keys() ^ weights.keys())):
        raise UserError(f"does not fit the network {recipe.net.get('name')!r}: {_named(odd)}.")
    for name, tensor in weights.items():
        floating = tensor.dtype in FLOATING and expected[name].is_floating_point()
        if tensor.shape != expected[name].shape or not (floating or tensor.dtype == expected[name].dtype):
            given, wanted = (f"{tuple(t.shape)} {t.dtype}" for t in (tensor, expected[name]))
            raise UserError(f"does not fit its network: {name} is {given}, expected is {wanted}.")
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(f"holds weights that are not finite numbers ({name}). Train again.")
    return weights


def _named(names: list[str]) -> str:
    return f"{', '.join(names[:3])} is missing or unknown" + (
        f" (and {len(names) - 3} more)" if names[3:] else ""
    )
