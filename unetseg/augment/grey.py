"""Grey-value changes of normalised crops: inversion, contrast, brightness, gamma, shadows, blur, noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from unetseg.augment.pack import PackedDraws

GOLDEN, MIX_1, MIX_2 = (c - 2**64 for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""SplitMix64's increment and multipliers, as int64."""
LOW = 2**32 - 1


def change_grey_values(images: Tensor, draws: PackedDraws) -> Tensor:
    """Images (b, c, *yx) float32 with each draw's grey-value changes; unchanged where it has none."""
    images = _gamma(_inverted(images, draws), draws)
    images = images * draws.column("contrast", images.ndim) + draws.column("brightness", images.ndim)
    images = _blur(_shadowed(images, draws), draws)
    return _noise(images, draws)


def _inverted(images: Tensor, draws: PackedDraws) -> Tensor:
    """Invert the images, x → 1 − x, whose draw says so."""
    if not any(d.invert for d in draws.draws):
        return images
    return torch.where(draws.column("invert", images.ndim) > 0, 1 - images, images)


def _gamma(images: Tensor, draws: PackedDraws) -> Tensor:
    """Gamma: x → lo + (hi − lo)·((x − lo)/(hi − lo))^gamma with lo, hi the extremes of each image."""
    if all(d.gamma == 1 for d in draws.draws):
        return images
    axes = tuple(range(1, images.ndim))
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    extent = (high - low).clamp_min(1e-6)
    return low + extent * ((images - low) / extent).pow(draws.column("gamma", images.ndim))


def _shadowed(images: Tensor, draws: PackedDraws) -> Tensor:
    """Shadows: x → lo + kept·(x − lo) in a rectangle, with lo the darkest value of each channel."""
    if all(d.shadow is None for d in draws.draws):
        return images
    images = images.clone()
    low = images.amin(tuple(range(2, images.ndim)), keepdim=True)
    for layer, dark, d in zip(images, low, draws.draws, strict=True):
        if d.shadow is not None:
            inside = layer[(slice(None), *d.shadow.where)]
            inside.sub_(dark).mul_(d.shadow.kept).add_(dark)
    return images


def _blur(images: Tensor, draws: PackedDraws) -> Tensor:
    """Gaussian blur of each image along every axis, mirrored at the border."""
    widest = max(d.blur for d in draws.draws)
    if widest == 0:
        return images
    radius = math.ceil(3 * widest)
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    variance = draws.column("blur", 2).clamp_min(1e-3) ** 2
    kernels = torch.softmax(-(offsets**2) / (2 * variance), dim=1)
    for axis in range(2, images.ndim):
        images = _convolve_axis(images, kernels, axis)
    return images


def _convolve_axis(images: Tensor, kernels: Tensor, axis: int) -> Tensor:
    moved = torch.movedim(images, axis, -1)
    size, radius = moved.shape[-1], kernels.shape[1] // 2
    rows = moved.reshape(len(kernels), -1, size).transpose(0, 1)
    index = torch.arange(-radius, size + radius, device=images.device)
    period = max(2 * (size - 1), 1)
    index = index.remainder(period)
    rows = rows[..., torch.where(index < size, index, period - index)]
    blurred = F.conv1d(rows, kernels.unsqueeze(1), groups=len(kernels)).transpose(0, 1)
    return torch.movedim(blurred.reshape(moved.shape), -1, axis)


def _noise(images: Tensor, draws: PackedDraws) -> Tensor:
    """Independent normal noise for each image, from the seed of its own draw alone.

    On the CPU by torch's generator, image by image; on other devices for all images at once.
    """
    if max(d.noise for d in draws.draws) == 0:
        return images
    if images.device.type != "cpu":
        noise = counted_noise(draws.integers[:, 0], images.shape[1:])
        return images + noise * draws.column("noise", images.ndim)
    noise, generator = torch.empty_like(images), torch.Generator(images.device)
    for layer, d in zip(noise, draws.draws, strict=True):
        torch.randn(layer.shape, generator=generator.manual_seed(d.noise_seed), out=layer)
    return images + noise * draws.column("noise", images.ndim)


def counted_noise(seeds: Tensor, shape: Sequence[int]) -> Tensor:
    """Standard normal noise (b, *shape) float32 from seeds (b,) int64, one for each image.

    Counter-based (Salmon et al. 2011): value i is a hash of seed and i, so one call serves a batch on
    any device. The hash is that of SplitMix64 (Steele et al. 2014); the Box-Muller transform turns each
    64 bits into two normal values.
    """
    count = math.prod(shape)
    counters = torch.arange((count + 1) // 2, device=seeds.device)
    bits = _mixed(_mixed(seeds).unsqueeze(1) + counters * GOLDEN)
    high = ((bits >> 32) & LOW).float().add_(0.5).mul_(2.0**-32)
    angle = (bits & LOW).float().mul_(2 * math.pi * 2.0**-32)
    length = high.log_().mul_(-2).sqrt_()
    pairs = torch.cat([length * angle.cos(), length * angle.sin()], dim=1)
    return pairs[:, :count].reshape(len(seeds), *shape)


def _mixed(bits: Tensor) -> Tensor:
    """SplitMix64's finaliser on int64 values, which wrap around."""
    bits = (bits ^ ((bits >> 30) & (2**34 - 1))) * MIX_1
    bits = (bits ^ ((bits >> 27) & (2**37 - 1))) * MIX_2
    return bits ^ ((bits >> 31) & (2**33 - 1))
