"""Monte Carlo dropout: the mean prediction of a network with its dropout left on, drawn several times.

Gal and Ghahramani, "Dropout as a Bayesian approximation" (ICML 2016). A draw is one thinned network for the
whole image: it drops whole feature maps, the same ones at every pixel, so that tiles join without a seam and
a second run gives the same values.
"""

from __future__ import annotations

import copy
import random
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from unetseg.errors import UserError
from unetseg.nets.contract import BlendedTiles, InexactTiles, Net, TorchOnly

DROPOUT = (nn.Dropout, nn.Dropout2d, nn.Dropout3d)
LEAST = 1e-30
"""Stands for a probability of 0, whose logarithm is not finite."""


class DropoutDraws(nn.Module):
    """A network whose logits are the logarithm of the mean probabilities of `draws` thinned networks.

    Its softmax is therefore that mean. It shares the weights of `net`, which is not changed. Raises UserError
    for a network without dropout.
    """

    def __init__(self, net: Net, draws: int) -> None:
        super().__init__()
        self.channels, self.classes, self.dims = net.channels, net.classes, net.dims
        self.footprint = net.footprint
        if isinstance(net, TorchOnly):
            self.torch_only = net.torch_only
        if isinstance(net, InexactTiles):
            self.inexact_tiles = net.inexact_tiles
        if isinstance(net, BlendedTiles):
            self.window = net.window
        self.net = _with_masks(net)
        self.register_buffer("draws", torch.tensor(draws))  # part of the state: other draws, another result
        self.numbers = range(draws)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images of legal size."""
        total = cast(Tensor, sum(self._drawn(images, number) for number in self.numbers))
        return torch.log((total / len(self.numbers)).clamp_min(LEAST))

    def _drawn(self, images: Tensor, number: int) -> Tensor:
        """Probabilities of one thinned network."""
        for layer in self.net.modules():
            if isinstance(layer, ChannelMask):
                layer.draw = number
        return torch.softmax(self.net(images).float(), dim=1)


class ChannelMask(nn.Module):
    """Dropout of whole feature maps: with probability `p` one is 0, the others are divided by 1 − p.

    The draw's number, the layer's and the number of channels decide which; see `DropoutDraws`.
    """

    def __init__(self, p: float, layer: int) -> None:
        super().__init__()
        self.p, self.layer, self.draw = p, layer, 0

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (b, c, *yx) with some of their channels set to 0."""
        channels = maps.shape[1]
        chance = random.Random(f"{self.draw} {self.layer} {channels}")  # noqa: S311
        kept = [float(chance.random() >= self.p) / (1 - self.p) for _ in range(channels)]
        return maps * torch.tensor(kept, device=maps.device).reshape(1, channels, *(1,) * (maps.ndim - 2))


def _with_masks(net: Net) -> nn.Module:
    """A copy of the net that shares its weights, with masks in place of its dropout layers."""
    module = cast(nn.Module, net)
    shared = {id(tensor): tensor for tensor in chain(module.parameters(), module.buffers())}
    drawn = copy.deepcopy(module, shared)
    named = drawn.named_modules(remove_duplicate=False)
    layers = [(name, layer) for name, layer in named if isinstance(layer, DROPOUT) and layer.p > 0]
    if not layers:
        raise UserError(
            "--dropout-draws: this network has no dropout. Give --test-time-augmentation 8, or other runs "
            "with --with."
        )
    for number, (name, layer) in enumerate(layers):
        drawn.set_submodule(name, ChannelMask(layer.p, number))
    return drawn
