"""What of probabilities is copied from the device: all of them, or the one byte a pixel that is written."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Reduce = Callable[[Tensor], Tensor]
"""Of probabilities (b, k, *yx) float32 on a device, what is handed out (b, …, *yx)."""


def everything(probabilities: Tensor) -> Tensor:
    """The probabilities."""
    return probabilities


def most_probable(probabilities: Tensor) -> Tensor:
    """The most probable class (b, *yx) uint8, the first of equals: as `segment.class_labels`."""
    return probabilities.max(1).indices.to(torch.uint8)


def second_class(threshold: float) -> Reduce:
    """Where class 1 has more than `threshold`, (b, *yx) uint8."""
    return lambda probabilities: (probabilities[:, 1] > threshold).view(torch.uint8)


def not_first_class(threshold: float) -> Reduce:
    """Where all classes but 0 have more than `threshold` together, (b, *yx) uint8."""
    return lambda probabilities: (1 - probabilities[:, 0] > threshold).view(torch.uint8)
