"""Every network under one contract: NETS, build_net and what a Net must offer.

To add a network, add one file and one line in NETS (see contract.Net); tests/test_nets.py then holds it
to the contract.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable

import torch

from unetseg.device import memory_limit
from unetseg.errors import UserError, did_you_mean
from unetseg.nets.attention_unet import AttentionUNet
from unetseg.nets.blocks import for_channels
from unetseg.nets.contract import (
    BlendedTiles,
    Contracting,
    Fitted,
    Hypotheses,
    InexactTiles,
    Net,
    Pretrained,
    Prunable,
    TorchOnly,
    check_input,
    nearest_sizes,
    parameter_count,
)
from unetseg.nets.dilated_unet import DilatedUNet
from unetseg.nets.encoder_unet import UNET_ON
from unetseg.nets.encoders import ENCODERS
from unetseg.nets.fcn import FCN8s, FCN16s, FCN32s
from unetseg.nets.probabilistic_unet import ProbabilisticUNet
from unetseg.nets.seg_res_net import SegResNet
from unetseg.nets.unet import UNet
from unetseg.nets.unet3d import UNet3d
from unetseg.nets.unetpp import UNetPlusPlus
from unetseg.nets.v_net import VNet
from unetseg.nets.window import Window
from unetseg.nets.window_sp import WindowSP

__all__ = [
    "NETS",
    "BlendedTiles",
    "Contracting",
    "Fitted",
    "Hypotheses",
    "InexactTiles",
    "Net",
    "Pretrained",
    "Prunable",
    "TorchOnly",
    "build_net",
    "check_input",
    "for_channels",
    "nearest_sizes",
    "net_options",
    "net_source",
    "parameter_count",
]

NETS: dict[str, Callable[..., Net]] = {
    "unet": UNet,
    "3d-unet": UNet3d,
    "unet++": UNetPlusPlus,
    "dilated-unet": DilatedUNet,
    "v-net": VNet,
    "fcn-32s": FCN32s,
    "fcn-16s": FCN16s,
    "fcn-8s": FCN8s,
    "probabilistic-unet": ProbabilisticUNet,
    "window": Window,
    "window-sp": WindowSP,
    "attention-unet": AttentionUNet,
    "seg-res-net": SegResNet,
    **UNET_ON,
}


def build_net(
    name: str, *, channels: int, classes: int, seed: int = 0, **options: int | float | str | bool
) -> Net:
    """The network `name` with initial weights drawn from `seed`, the same on every device.

    Raises UserError for an unknown name or option and for an option's value out of range.
    """
    if name not in NETS:
        raise UserError(f"net.name = {name!r}: no such network, {did_you_mean(name, NETS)}")
    allowed = net_options(name)
    for option, value in options.items():
        if option not in allowed:
            raise UserError(f"net.{option}: {name} has no such option, {did_you_mean(option, allowed)}")
        _check_type(option, value, allowed[option])
    with torch.random.fork_rng(devices=[]):
        _check_memory(name, channels=channels, classes=classes, **options)
        torch.manual_seed(seed)
        return NETS[name](channels=channels, classes=classes, **options)


def net_options(name: str) -> dict[str, int | float | str | bool]:
    """The options of a registered network and their defaults, without those that its line in NETS fixes."""
    fixed = {"channels", "classes", *getattr(NETS[name], "keywords", {})}
    parameters = inspect.signature(NETS[name]).parameters
    return {k: p.default for k, p in parameters.items() if k not in fixed}


def net_source(name: str) -> str:
    """The paper of the network's encoder, or the first line of its module, which names its paper."""
    builder = NETS[name]
    if name in UNET_ON:
        return f"A U-Net on {ENCODERS[UNET_ON[name].keywords['encoder']].source}"
    module = sys.modules[getattr(builder, "func", builder).__module__]
    return (module.__doc__ or "").splitlines()[0].rstrip(".")


def _check_type(option: str, value: object, default: object) -> None:
    """An option has the type of its default; a whole number may stand for a float."""
    fine = (int, float) if isinstance(default, float) else (type(default),)
    if type(value) not in fine:
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        raise UserError(f"net.{option} = {value!r}: must be {words[type(default)]}, such as {default!r}.")


def _check_memory(name: str, **options: int | float | str | bool) -> None:
    """Raise UserError for a network whose weights alone are more than this machine's memory."""
    available = memory_limit()
    try:
        with torch.device("meta"):
            needed = sum(w.numel() * w.element_size() for w in NETS[name](**options).state_dict().values())
    except (RuntimeError, OverflowError, TypeError):  # a size that does not even fit a 64-bit number
        needed = sys.maxsize
    if needed > available:
        raise UserError(
            f"net: the weights of this {name!r} take {needed / 2**30:.3g} GiB, but there are only "
            f"{available / 2**30:.3g} GiB of memory. Lower net.width or net.depth."
        )
