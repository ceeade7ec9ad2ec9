"""Grey-value changes of a batch of normalised crops: contrast, brightness, gamma, blur, noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from unetseg.augment.draw import Draw


def change_grey_values(images: Tensor, draws: Sequence[Draw]) -> Tensor:
    """Images (b, c, *yx) float32 with each draw's grey-value changes; unchanged where it has none."""
    images = _gamma(images, [d.gamma for d in draws])
    contrast = _per_image(images, [d.contrast for d in draws])
    brightness = _per_image(images, [d.brightness for d in draws])
    images = images * contrast + brightness
    images = _blur(images, [d.blur for d in draws])
    return _noise(images, draws)


def _per_image(images: Tensor, values: Sequence[float]) -> Tensor:
    return images.new_tensor(values).reshape(-1, *[1] * (images.ndim - 1))


def _gamma(images: Tensor, gammas: Sequence[float]) -> Tensor:
    """X → lo + (hi − lo)·((x − lo)/(hi − lo))^gamma with lo, hi of each image."""
    if all(g == 1 for g in gammas):
        return images
    axes = tuple(range(1, images.ndim))
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    extent = (high - low).clamp_min(1e-6)
    return low + extent * ((images - low) / extent).pow(_per_image(images, gammas))


def _blur(images: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Gaussian blur of each image along every axis, mirrored at the border."""
    if max(sigmas) == 0:
        return images
    radius = math.ceil(3 * max(sigmas))
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    variance = (images.new_tensor(sigmas).clamp_min(1e-3) ** 2).unsqueeze(1)
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


def _noise(images: Tensor, draws: Sequence[Draw]) -> Tensor:
    """Independent normal noise, of each image from its own draw's seed, whatever is beside it."""
    if max(d.noise for d in draws) == 0:
        return images
    noise, generator = torch.empty_like(images), torch.Generator(images.device)
    for layer, d in zip(noise, draws, strict=True):
        torch.randn(layer.shape, generator=generator.manual_seed(d.noise_seed), out=layer)
    return images + noise * _per_image(images, [d.noise for d in draws])
