"""The Probabilistic U-Net (Kohl et al., NeurIPS 2018, fig. 1): several segmentations of an image."""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from unetseg.losses import Loss
from unetseg.nets.blocks import blended_side, check_options, common_rules, conv_blocks, double_conv, he_normal
from unetseg.nets.contract import check_input
from unetseg.nets.unet import UNet, unet_footprint

INEXACT = "a hypothesis is drawn from all that the network sees at once"


class ProbabilisticUNet(nn.Module):
    """A U-Net whose last maps are combined with a vector drawn from a prior, which depends on the image.

    Input (b, channels, y, x) float, sides divisible by 2^depth; output logits of the same size.

    width, depth: of the U-Net and of both encoders; latent: numbers of the vector, 6 in the paper; beta:
    weight of the Kullback-Leibler divergence in the loss, in the paper 10 for lesions, 1 for streets. In
    evaluation the output is the hypothesis of the prior's mean plus `noise` standard deviations, see `drawn`.
    The prior sees the whole input, so tiles do not equal the whole image: `window` is the side of the
    windows that are blended, 0 for 256; a smaller image is seen whole.
    """

    noise: Tensor

    def __init__(
        self,
        channels: int = 1,
        classes: int = 2,
        width: int = 32,
        depth: int = 4,
        latent: int = 6,
        beta: float = 10.0,
        window: int = 0,
    ) -> None:
        super().__init__()
        rules = [
            ("depth", depth, 1 <= depth <= 8, "1 to 8"),
            ("latent", latent, 1 <= latent <= 64, "1 to 64"),
            ("beta", beta, beta >= 0, "0 or more"),
        ]
        check_options([*common_rules(channels, classes, width, "none"), *rules])
        self.channels, self.classes, self.dims, self.beta = channels, classes, 2, beta
        self.footprint = unet_footprint(depth, valid=False)
        self.inexact_tiles, self.window = INEXACT, blended_side(window, self.footprint)
        self.unet = UNet(channels, width, width, depth, "same", dropout=0.0)
        self.prior = GaussianEncoder(channels, width, depth, latent)
        self.posterior = GaussianEncoder(channels + classes, width, depth, latent)
        convs = conv_blocks((width + latent, width, width), (1, 1), "same", "none")
        self.combine = nn.Sequential(*convs, nn.Conv2d(width, classes, 1))
        self.register_buffer("noise", torch.zeros(latent))
        self.apply(he_normal)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of one hypothesis."""
        check_input(self, images)
        prior = self.prior(images).base_dist
        return self._combined(images, prior.loc + self.noise * prior.scale)

    def training_loss(self, images: Tensor, classes: Tensor, weight: Tensor, loss: Loss) -> Tensor:
        """The negative evidence lower bound (eq. 4), divided by the number of pixels as our losses are.

        images (b, c, y, x), classes and weight (b, y, x). The vector is drawn from the posterior, which sees
        the image and its true classes.
        """
        check_input(self, images)
        known = F.one_hot(classes.long(), self.classes).movedim(-1, 1).to(images.dtype)
        prior, posterior = self.prior(images), self.posterior(torch.cat([images, known], 1))
        logits = self._combined(images, posterior.rsample())
        divergence = kl_divergence(posterior, prior).mean()
        return loss(logits, classes, weight) + self.beta * divergence / classes[0].numel()

    def drawn(self, number: int) -> Self:
        """The network of the hypothesis `number`: another draw from the prior, the same at every pixel.

        It shares the weights. The draw is decided by the number alone, so that a second run gives the same.
        """
        shared = {id(tensor): tensor for tensor in chain(self.parameters(), self.buffers())}
        net = copy.deepcopy(self, shared)
        chance = torch.Generator().manual_seed(number)
        net.noise = torch.randn(self.noise.shape, generator=chance).to(self.noise.device)
        return net

    def _combined(self, images: Tensor, vector: Tensor) -> Tensor:
        maps = self.unet(images)  # (b, w, y, x)
        spread = vector[:, :, None, None].expand(-1, -1, *maps.shape[2:])  # (b, latent, y, x)
        logits: Tensor = self.combine(torch.cat([maps, spread], 1))
        return logits


class GaussianEncoder(nn.Module):
    """A contracting path whose mean over all pixels gives mean and spread of a normal distribution."""

    def __init__(self, channels: int, width: int, depth: int, latent: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        pairs = zip([channels, *widths[:-1]], widths, strict=True)
        self.blocks = nn.ModuleList(double_conv(i, o, "same", "none", 2) for i, o in pairs)
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(widths[-1], 2 * latent)

    def forward(self, x: Tensor) -> Any:
        """The distribution (`Independent`) of vectors (b, latent) for inputs (b, channels, y, x)."""
        for level, block in enumerate(self.blocks):
            x = block(self.pool(x) if level else x)  # (b, w·2^level, y/2^level, x/2^level)
        mean, log_scale = self.head(x.mean((2, 3))).chunk(2, dim=1)
        normal = Normal(mean, log_scale.clamp(-10, 10).exp(), validate_args=False)
        return Independent(normal, 1, validate_args=False)
