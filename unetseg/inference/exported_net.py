"""A network that is there as an export alone, in the place of one of ours."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from unetseg.errors import UserError
from unetseg.nets.contract import check_input
from unetseg.tiles import Footprint

Output = Literal["logits", "probabilities"]
WORKING_CHANNELS = 512
"""Channels of float32 that a pixel is assumed to take at the peak: a U-Net of width 64 takes about 300."""
TINY = 1e-30
"""Probabilities are at least this, so that they have a logarithm."""


class ExportedNet(nn.Module):
    """Logits (b, classes, *yx_out) of an export with one input and one output, on the CPU.

    A subclass computes what the export gives, in `compute`. outputs: its channels; output: whether they are
    logits or probabilities; of one channel, those of the foreground. Copies share the export.
    """

    torch_only = "it is an export already"
    weights: Tensor

    def __init__(
        self, weights: bytes, footprint: Footprint, channels: int, outputs: int, output: Output
    ) -> None:
        super().__init__()
        self.footprint, self.channels, self.outputs, self.output = footprint, channels, outputs, output
        self.classes, self.dims = max(2, outputs), len(footprint.stride)
        self.register_buffer("weights", torch.frombuffer(bytearray(weights), dtype=torch.uint8))

    def compute(self, images: Tensor) -> Tensor:
        """What the export gives for images (b, channels, *yx); UserError where it cannot compute."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images of legal size; on the meta device, shapes alone."""
        check_input(self, images)
        size = self.footprint.output(images.shape[2:])
        if images.device.type == "meta":
            working = images.new_empty(len(images), WORKING_CHANNELS, *images.shape[2:])
            return working.new_empty(len(images), self.classes, *size)
        found, expected = self.compute(images.float().contiguous()), (len(images), self.outputs, *size)
        if found.shape != expected:
            given = tuple(found.shape)
            raise UserError(f"the package's network gives {given}, and its description {expected}.")
        return self._logits(found.float())

    def _logits(self, found: Tensor) -> Tensor:
        if self.output == "probabilities":
            found = (
                (torch.cat([1 - found, found], dim=1) if self.outputs == 1 else found).clamp_min(TINY).log()
            )
        elif self.outputs == 1:
            found = torch.cat([torch.zeros_like(found), found], dim=1)
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> ExportedNet:
        """A copy that shares the export, which may not be copyable."""
        twin = type(self).__new__(type(self))
        twin.__dict__ = self.__dict__ | {"_buffers": dict(self._buffers)}
        return twin
