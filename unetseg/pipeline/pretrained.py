"""Weights trained elsewhere, from a local file, to start a training from."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from unetseg.errors import UserError
from unetseg.nets import Net, Pretrained
from unetseg.pipeline.weights_file import read_plain
from unetseg.settings import NetOption


def start_from_weights(net: Net, options: dict[str, NetOption]) -> None:
    """Put the weights of the file `options["weights"]` into the net, if the option is given.

    Only networks with a method `load_imagenet` take them. Raises UserError for other networks and
    for a file that is missing, holds code, or does not fit.
    """
    if not options.get("weights"):
        return
    if not isinstance(net, Pretrained):
        raise UserError(f"net.weights: a network {options['name']!r} cannot take ImageNet weights.")
    path = Path(str(options["weights"])).expanduser()
    try:
        state = read_plain(path, older_format=True)
        if not isinstance(state, dict) or not all(isinstance(w, Tensor) for w in state.values()):
            raise UserError("holds no named tensors.")
        net.load_imagenet(state)
    except OSError as error:
        raise UserError(
            f"net.weights = {str(path)!r}: {error.strerror}. Nothing is downloaded: give the path of "
            "VGG16's weights, such as torchvision's vgg16-397923af.pth."
        ) from None
    except UserError as error:
        raise UserError(f"net.weights = {str(path)!r}: {error}") from None
