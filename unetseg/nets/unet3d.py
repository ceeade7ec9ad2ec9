"""The 3D U-Net (Çiçek, Abdulkadir, Lienkamp, Brox, Ronneberger, MICCAI 2016, fig. 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unetseg.nets.blocks import check_options, common_rules, conv_blocks, crop_to, he_normal
from unetseg.nets.contract import check_input
from unetseg.nets.footprint import Branches, Conv, Layer, Up, derive_footprint, pool
from unetseg.tiles import Footprint

Zyx = tuple[int, int, int]


class UNet3d(nn.Module):
    """The paper's network, 116×132×132 → 28×44×44 voxels; with 3 channels and 3 classes 19,069,955
    parameters, to which the paper's batch norms, not counted in it, add 4,672.

    Input (b, channels, z, y, x) float; output logits (b, classes, z, y, x), smaller in a valid net.
    It differs from `unet` with dims = 3 in that channels are doubled before a pooling, not after it
    (width, 2·width in the first level), and up-convolutions keep their number.

    width, depth, padding, norm, dropout: as in `UNet`; the paper has no dropout. flat_levels: in so many
    of the first levels convolutions are 1×3×3 and poolings 1×2×2, for slices thicker than pixels: 2
    where they are 4 times as thick (the rule of nnU-Net: Isensee et al. 2021, Nature Methods 18).
    Sparse annotation, the paper's point, is weight 0: see `data.not_annotated`.
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 2,
        width: int = 32,
        depth: int = 3,
        padding: str = "valid",
        norm: str = "batch",
        dropout: float = 0.0,
        flat_levels: int = 0,
    ) -> None:
        super().__init__()
        rules = [
            ("depth", depth, 1 <= depth <= 8, "1 to 8"),
            ("padding", padding, padding in ("valid", "same"), "'valid' or 'same'"),
            ("dropout", dropout, 0 <= dropout < 1, "0 to below 1"),
            ("flat_levels", flat_levels, 0 <= flat_levels <= depth, f"0 to depth ({depth})"),
        ]
        check_options([*common_rules(channels, classes, width, norm), *rules])
        self.channels, self.classes, self.dims = channels, classes, 3
        self.footprint = unet3d_footprint(depth, flat_levels, valid=padding == "valid")
        kernels = [_flat(3, level < flat_levels) for level in range(depth + 1)]
        factors = [_flat(2, level < flat_levels) for level in range(depth)]
        middle = [width * 2**level for level in range(depth + 1)]
        ins = [channels, *(2 * w for w in middle[:-1])]
        down = zip(ins, middle, kernels, strict=True)
        self.down = nn.ModuleList(conv_blocks((i, w, 2 * w), k, padding, norm) for i, w, k in down)
        self.pool = nn.ModuleList(nn.MaxPool3d(f) for f in factors)
        levels = range(depth - 1, -1, -1)
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(4 * middle[n], 4 * middle[n], factors[n], factors[n], bias=False)
            for n in levels
        )
        self.merge = nn.ModuleList(
            conv_blocks((6 * middle[n], 2 * middle[n], 2 * middle[n]), kernels[n], padding, norm)
            for n in levels
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv3d(2 * width, classes, 1)
        self.apply(he_normal)

    def contracting_path(self) -> list[nn.Module]:
        """The blocks before any up-sampling."""
        return list(self.down)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of volumes of legal size (see `footprint`)."""
        check_input(self, images)
        x = self.down[0](images)  # (b, 2w, z, y, x)
        skips: list[Tensor] = []
        for shrink, block in zip(self.pool, self.down[1:], strict=True):
            skips.append(x)
            x = block(shrink(x))  # (b, 2w, z, y, x) to (b, 4w, z/2, y/2, x/2)
        x = self.dropout(x)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = up(x)  # (b, 4w, z/2, y/2, x/2) to (b, 4w, z, y, x)
            x = torch.cat([crop_to(skips.pop(), x.shape[2:]), x], dim=1)  # (b, 6w, z, y, x)
            x = merge(x)  # (b, 2w, z, y, x)
        logits: Tensor = self.head(x)  # (b, classes, z, y, x)
        return logits


def unet3d_footprint(depth: int, flat_levels: int, *, valid: bool) -> Footprint:
    """The footprint: context and stride along z are smaller where the first levels are flat."""
    layers: list[Layer] = []
    for level in range(depth, -1, -1):
        block = [Conv(_flat(3, level < flat_levels), padded=not valid)] * 2
        factor = _flat(2, level < flat_levels)
        below = [Branches([], [pool(factor), *layers, Up(factor, factor)])] if level < depth else []
        layers = [*block, *below, *block] if level < depth else [*block]
    return derive_footprint(layers, dims=3, valid=valid)


def _flat(size: int, flat: bool) -> Zyx:
    return (1 if flat else size, size, size)
