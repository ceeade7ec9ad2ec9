"""MONAI's networks and blocks, imported when a network that is made of them is built."""

from __future__ import annotations

from typing import Any

from torch import nn

from unetseg.errors import UserError

MISSING = (
    "this network needs the package monai, which is not installed: pip install monai, "
    "or choose another network. `unetseg nets` names those that need no other package."
)


def monai_nets() -> Any:
    """`monai.networks.nets`; UserError where MONAI is not installed."""
    try:
        from monai.networks import nets
    except ImportError:
        raise UserError(MISSING) from None
    return nets


def monai_inferers() -> Any:
    """`monai.inferers`; UserError where MONAI is not installed."""
    try:
        from monai import inferers
    except ImportError:
        raise UserError(MISSING) from None
    return inferers


def up_and_merge(i: int, skip: int, o: int, *, halves: bool) -> nn.Module:
    """A step of FlexibleUNet's expanding path: up by 2, the skip connection, two 3×3 convolutions.

    i, skip, o: channels of the smaller maps, of the skip connection (0 for none), and of the result.
    """
    monai_nets()
    from monai.networks.nets.basic_unet import UpCat

    return UpCat(
        spatial_dims=2,
        in_chns=i,
        cat_chns=skip,
        out_chns=o,
        act=("relu", {"inplace": True}),
        norm=("batch", {"eps": 1e-3, "momentum": 0.1}),
        bias=False,
        upsample="nontrainable",
        interp_mode="nearest",
        align_corners=None,
        halves=halves,
        is_pad=False,
    )
