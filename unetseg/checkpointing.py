"""Gradient checkpointing: activations inside a net's blocks are recomputed instead of stored.

Chen et al. 2016, arXiv:1604.06174. Only the input of each block is stored for the backward pass, so a
larger crop or batch fits in memory, at the cost of a second forward pass.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class Recomputed(nn.Sequential):
    """A sequence of layers that stores only its input for the backward pass."""

    def forward(self, images: Tensor) -> Tensor:
        """As `nn.Sequential`; in training through `torch.utils.checkpoint`."""
        if not self.training:
            return self._layers(images)
        twice = contextlib.nullcontext(), _counted_once(self)
        return checkpoint(self._layers, images, use_reentrant=False, context_fn=lambda: twice)

    def _layers(self, images: Tensor) -> Tensor:
        for layer in self:
            images = layer(images)
        return images


def recompute_blocks(net: nn.Module) -> None:
    """Replace every outermost `nn.Sequential` of the net with `Recomputed`.

    Weights, their names and their gradients stay the same, dropout and batch norm included.
    """
    for name, child in list(net.named_children()):
        if isinstance(child, nn.Sequential):
            setattr(net, name, Recomputed(OrderedDict(child.named_children())))
        else:
            recompute_blocks(child)


@contextlib.contextmanager
def _counted_once(block: nn.Module) -> Iterator[None]:
    """In the second forward pass, keep batch norm from updating its running statistics again."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm)]
    before = [(norm, norm.momentum, _cloned(norm.num_batches_tracked)) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum = momentum
            norm.num_batches_tracked = count


def _cloned(count: Tensor | None) -> Tensor | None:
    return None if count is None else count.clone()
