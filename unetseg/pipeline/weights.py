"""Weights trained elsewhere, from a local file, as the start of a training."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from unetseg.errors import UserError
from unetseg.nets import Net
from unetseg.settings import NetOption


def start_from_weights(net: Net, options: dict[str, NetOption]) -> None:
    """Put the weights of the file `options["weights"]` into the net, if the option is given.

    Only networks with a method `load_imagenet` take them. Raises UserError for other networks and
    for a file that is missing, holds code, or does not fit.
    """
    if not options.get("weights"):
        return
    load = getattr(net, "load_imagenet", None)
    if load is None:
        raise UserError(f"net.weights: a network {options['name']!r} takes no weights of ImageNet.")
    path = Path(str(options["weights"])).expanduser()
    try:
        load(_read_state(path))
    except UserError as error:
        raise UserError(f"net.weights = {str(path)!r}: {error}") from None


def _read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that torch.save wrote; no code in it is run."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(
            f"{error.strerror}. Nothing is downloaded: give the path of VGG16's weights, such as "
            "torchvision's vgg16-397923af.pth."
        ) from None
    except Exception as error:  # a stranger's file makes the reader fail in whatever way it likes
        what = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UserError(
            f"not a file of weights, damaged, or it holds code, which is not run ({what})."
        ) from None
    if not isinstance(state, dict):
        raise UserError("holds no named tensors.")
    return state
