"""A network for prediction: what it computes is the same, to rounding, in less time."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from unetseg.device import one_thread
from unetseg.nets.contract import Net
from unetseg.nets.unet import UNet
from unetseg.nets.winograd import use_winograd

CONVS = (nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def for_inference(net: Net, device: torch.device, precision: str) -> Net:
    """A copy of the net for prediction: batch norm folded, linear layers that follow each other joined.

    On a CPU wide convolutions take fewer multiplications besides; elsewhere libraries see to that.
    """
    with one_thread():
        quick = joined(folded(net))
        return economical(quick) if device.type == "cpu" and precision == "float32" else quick


def joined(net: Net) -> Net:
    """The net, which has joined what it can (see `nets.joined`)."""
    if isinstance(net, UNet):
        net.join()
    return net


def economical(net: Net) -> Net:
    """The net, with fewer multiplications (see `nets.winograd`)."""
    use_winograd(cast(nn.Module, net))
    return net


def folded(net: Net) -> Net:
    """A copy of the net with every batch norm folded into the convolution before it.

    In evaluation a batch norm is a fixed scale and shift per channel, which the weights of the
    convolution before it in the same `nn.Sequential` can take on (Jacob 2018, section 3.2).
    """
    module = copy.deepcopy(cast(nn.Module, net)).eval()
    for block in module.modules():
        if isinstance(block, nn.Sequential):
            for (before, conv), (after, norm) in pairwise(list(block.named_children())):
                if isinstance(conv, CONVS) and isinstance(norm, NORMS):
                    setattr(block, before, fuse_conv_bn_eval(conv, norm))
                    setattr(block, after, nn.Identity())
    return cast(Net, module)
