"""Batch norm folded into the convolution before it: the same function with fewer passes over the maps."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import cast

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from unetseg.device import one_thread
from unetseg.nets.contract import Net

CONVS = (nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def folded(net: Net) -> Net:
    """A copy of the net in evaluation mode, every batch norm folded into the convolution before it.

    In evaluation a batch norm is a fixed scale and shift per channel, which the weights of the
    convolution before it in the same `nn.Sequential` can take on (Jacob 2018, section 3.2).
    """
    with one_thread():
        module = copy.deepcopy(cast(nn.Module, net)).eval()
        for block in module.modules():
            if isinstance(block, nn.Sequential):
                _fold(block)
    return cast(Net, module)


def _fold(block: nn.Sequential) -> None:
    for (before, conv), (after, norm) in pairwise(list(block.named_children())):
        if isinstance(conv, CONVS) and isinstance(norm, NORMS):
            setattr(block, before, fuse_conv_bn_eval(conv, norm))
            setattr(block, after, nn.Identity())
