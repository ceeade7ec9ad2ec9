"""Apply draws to images, classes and weights together: one resampling, batched, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from unetseg.augment.elastic import dense_displacement
from unetseg.augment.grey import change_grey_values
from unetseg.augment.pack import PackedDraws


def apply(
    draws: PackedDraws, images: Tensor, targets: Tensor, shapes: Tensor, crop: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The crops (b, c, *crop) of `images` and (b, t, *crop) of `targets` that `draws` describe.

    images (b, c, *yx) float32 are interpolated linearly, targets (b, t, *yx) float32 (classes and
    weights) by the nearest pixel, at the same places. shapes (b, d): the true size of each image,
    where smaller ones are padded to a common size; beyond it they are mirrored.
    The number of operations does not grow with the batch, and nothing is copied from the host.
    """
    places = source_coordinates(draws, crop, images.device)  # (b, d, *crop), pixels
    grid = mirrored_grid(places, shapes, images.shape[2:])  # (b, *crop, d), -1…1
    cropped, nearest = sample_at(images, grid, "bilinear"), sample_at(targets, grid, "nearest")
    return change_grey_values(cropped, draws), nearest


def source_coordinates(draws: PackedDraws, crop: Sequence[int], device: torch.device) -> Tensor:
    """Where in its image each crop pixel comes from: (b, d, *crop) float32 pixel coordinates.

    centre + matrix · (pixel − crop's centre + elastic displacement).
    """
    axes = [torch.arange(n, device=device, dtype=torch.float32) - (n - 1) / 2 for n in crop]
    # (d, *crop) from the crop's centre → (b, d, *crop)
    offset = torch.stack(torch.meshgrid(*axes, indexing="ij")).expand(len(draws.draws), -1, *crop)
    if draws.control is not None:
        offset = offset + dense_displacement(draws.control, crop)
    turned = torch.einsum("bij,bj...->bi...", draws.matrix, offset)  # rotation, zoom and flips
    return turned + draws.centre.reshape(*draws.centre.shape, *[1] * len(crop))


def mirrored_grid(places: Tensor, shapes: Tensor, size: Sequence[int]) -> Tensor:
    """Convert pixel coordinates (b, d, *crop) to the grid (b, *crop, d) that `sample_at` takes.

    size: of the images (b, c, *size). Beyond `shapes` (b, d), the true size of each image, coordinates are
    mirrored. Computed in place: on a CPU, allocating memory takes longer than the arithmetic.
    """
    ones = [1] * (places.ndim - 2)
    last = (shapes.to(places) - 1).reshape(*shapes.shape, *ones)
    scale = _per_pixel(tuple(size), places.device).reshape(1, -1, *ones)
    # mirrored with a period of 2·last: |p mod 2·last − last| is the distance from the far end
    from_end = torch.remainder(places, (2 * last).clamp_min(1)).sub_(last).abs_()
    # pixels to -1…1, and the axes to the end in the order x, y(, z) that grid_sample takes
    return torch.movedim(from_end.mul_(-scale).add_(last * scale - 1), 1, -1).flip(-1)


def sample_at(images: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Values of `images` (b, c, *yx) at the places of `mirrored_grid`: (b, c, *crop).

    mode: "bilinear" (linear along every axis) or "nearest".
    """
    return F.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=True)


@lru_cache(64)
def _per_pixel(size: tuple[int, ...], device: torch.device) -> Tensor:
    """The step of a pixel in the coordinates −1…1 of `sample_at`, along each axis: (d,) float32."""
    return 2 / torch.tensor([max(n - 1, 1) for n in size], dtype=torch.float32, device=device)
