"""TorchScript of others in the place of one of our networks: it is code, whose authors the user trusts."""

from __future__ import annotations

import io
import warnings
from typing import Any

import torch
from torch import Tensor

from unetseg.errors import UserError, first_line
from unetseg.inference.exported_net import ExportedNet, Output
from unetseg.tiles import Footprint


class TorchScriptNet(ExportedNet):
    """Logits of TorchScript; raises UserError, without the file's name, where PyTorch cannot read it."""

    def __init__(
        self, weights: bytes, footprint: Footprint, channels: int, outputs: int, output: Output
    ) -> None:
        super().__init__(weights, footprint, channels, outputs, output)
        self.script = (_script(weights),)  # in a tuple: what is no module of this one is shared by copies

    def compute(self, images: Tensor) -> Tensor:
        """The output of the script for images (b, channels, *yx)."""
        try:
            with torch.no_grad():
                found = self.script[0](images)
        except Exception as error:  # a stranger's code raises whatever it likes
            raise UserError(f"PyTorch cannot compute the package's network ({first_line(error)}).") from None
        if not isinstance(found, Tensor):
            raise UserError("its network has several outputs; one is read.")
        return found


def _script(weights: bytes) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch recommends torch.export
        try:
            return torch.jit.load(io.BytesIO(weights), map_location="cpu").eval()
        except Exception as error:
            raise UserError(f"PyTorch cannot read its TorchScript weights ({first_line(error)}).") from None
