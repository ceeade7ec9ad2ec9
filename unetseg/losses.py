"""Losses of a network's output against a target (class maps, or clean images) and weight maps."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
SMOOTH = 1e-5
"""Added to both sides of Dice's fraction: a class that is neither present nor predicted costs nothing."""


def weighted_cross_entropy(logits: Tensor, classes: Tensor, weight: Tensor) -> Tensor:
    """Weighted softmax cross-entropy, the mean over all pixels of −w(x)·log p_class(x)(x).

    logits (b, k, *yx) float, classes (b, *yx) integer in 0…k−1, weight (b, *yx) float ≥ 0.
    Ronneberger 2015, eq. 1, divided by the number of pixels so that the learning rate does not
    depend on the crop. A pixel of weight 0 has no influence at all. The class is picked by a
    product, not by an index: CUDA's indexed losses are not deterministic.
    """
    log_probabilities = F.log_softmax(logits.float(), dim=1)
    return -(weight * (log_probabilities * _one_hot(classes, logits)).sum(1)).mean()


def soft_dice(logits: Tensor, classes: Tensor, weight: Tensor) -> Tensor:
    """1 − 2·Σ p·g / (Σ p² + Σ g²), the mean over the classes but the background (class 0).

    Shapes as in `weighted_cross_entropy`; p the softmax, g the class map as 0 and 1; sums over
    the batch's pixels of weight above 0, each of which counts the same (where several processes
    train, over each one's part of the batch: their mean is not quite the whole's). Milletari 2016 (V-Net),
    section 3, eq. of D, whose denominator has squares.
    """
    counted = (weight > 0).unsqueeze(1)
    p = F.softmax(logits.float(), dim=1) * counted
    g = _one_hot(classes, logits) * counted
    pixels = [0, *range(2, p.ndim)]
    overlap, squares = (p * g).sum(pixels), (p * p + g * g).sum(pixels)
    return 1 - ((2 * overlap + SMOOTH) / (squares + SMOOTH))[1:].mean()


def cross_entropy_and_dice(logits: Tensor, classes: Tensor, weight: Tensor) -> Tensor:
    """The sum of `weighted_cross_entropy` and `soft_dice`."""
    return weighted_cross_entropy(logits, classes, weight) + soft_dice(logits, classes, weight)


def l1(restored: Tensor, clean: Tensor, weight: Tensor) -> Tensor:
    """The mean over all pixels of w(x)·|restored − clean|.

    restored, clean (b, c, *yx) float in normalised grey values, weight (b, *yx) float ≥ 0.
    """
    return (weight.unsqueeze(1) * (restored.float() - clean).abs()).mean()


def l2(restored: Tensor, clean: Tensor, weight: Tensor) -> Tensor:
    """The mean over all pixels of w(x)·(restored − clean)²; shapes as in `l1`."""
    return (weight.unsqueeze(1) * (restored.float() - clean) ** 2).mean()


BLIND_SPOT = "blind-spot"
IMAGE_LOSSES: dict[str, Loss] = {"l1": l1, "l2": l2, BLIND_SPOT: l2}
"""The losses of restoration; "blind-spot" is `l2` of batches made by `augment.blind_spot`."""
LOSSES: dict[str, Loss] = {
    "cross-entropy": weighted_cross_entropy,
    "soft-dice": soft_dice,
    "cross-entropy+dice": cross_entropy_and_dice,
    **IMAGE_LOSSES,
}


def _one_hot(classes: Tensor, logits: Tensor) -> Tensor:
    """Classes (b, *yx) as zeros and ones (b, k, *yx)."""
    return F.one_hot(classes.long(), logits.shape[1]).movedim(-1, 1)
