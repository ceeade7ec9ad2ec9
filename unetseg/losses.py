"""Losses of a network's logits against class maps and weight maps."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def weighted_cross_entropy(logits: Tensor, classes: Tensor, weight: Tensor) -> Tensor:
    """Weighted softmax cross-entropy, the mean over all pixels of −w(x)·log p_class(x)(x).

    logits (b, k, *yx) float, classes (b, *yx) integer in 0…k−1, weight (b, *yx) float ≥ 0.
    Ronneberger 2015, eq. 1, divided by the number of pixels so that the learning rate does not
    depend on the crop. A pixel of weight 0 has no influence at all. The class is picked by a
    product, not by an index: CUDA's indexed losses are not deterministic.
    """
    log_probabilities = F.log_softmax(logits.float(), dim=1)
    chosen = F.one_hot(classes.long(), logits.shape[1]).movedim(-1, 1)
    return -(weight * (log_probabilities * chosen).sum(1)).mean()


LOSSES: dict[str, Loss] = {"cross-entropy": weighted_cross_entropy}
