"""A network that ONNX Runtime computes, in the place of one of ours."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from unetseg.errors import UserError, first_line
from unetseg.inference.export import INSTALL
from unetseg.nets.contract import check_input
from unetseg.tiles import Footprint

Output = Literal["logits", "probabilities"]
WORKING_CHANNELS = 512
"""Channels of float32 that a pixel is assumed to take at the peak: a U-Net of width 64 takes about 300."""
TINY = 1e-30
"""Probabilities below this are taken for it, so that they have a logarithm."""


class OnnxNet(nn.Module):
    """Logits (b, classes, *yx_out) of an ONNX model with one input and one output, on the CPU.

    output: whether the model gives logits or probabilities; of one channel, those of the foreground. Copies
    share the session. Raises UserError, without the file's name, for a model that ONNX Runtime cannot
    read, and without the package onnxruntime.
    """

    torch_only = "it is an export already"
    onnx: Tensor

    def __init__(
        self, onnx: bytes, footprint: Footprint, channels: int, outputs: int, output: Output
    ) -> None:
        super().__init__()
        self.footprint, self.channels, self.outputs, self.output = footprint, channels, outputs, output
        self.classes, self.dims = max(2, outputs), len(footprint.stride)
        self.register_buffer("onnx", torch.frombuffer(bytearray(onnx), dtype=torch.uint8))
        self.session = _session(onnx)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images of legal size; on the meta device, shapes alone."""
        check_input(self, images)
        size = self.footprint.output(images.shape[2:])
        if images.device.type == "meta":
            working = images.new_empty(len(images), WORKING_CHANNELS, *images.shape[2:])
            return working.new_empty(len(images), self.classes, *size)
        (name,) = (given.name for given in self.session.get_inputs())
        try:
            (found,) = self.session.run(None, {name: images.float().contiguous().numpy()})
        except Exception as error:  # ONNX Runtime's exceptions have no common class of their own
            raise UserError(
                f"ONNX Runtime cannot compute the package's network ({first_line(error)})."
            ) from None
        expected = (len(images), self.outputs, *size)
        if found.shape != expected:
            raise UserError(f"the package's network gives {found.shape}, and its description {expected}.")
        return self._logits(torch.from_numpy(found).float())

    def _logits(self, found: Tensor) -> Tensor:
        if self.output == "probabilities":
            found = (
                (torch.cat([1 - found, found], dim=1) if self.outputs == 1 else found).clamp_min(TINY).log()
            )
        elif self.outputs == 1:
            found = torch.cat([torch.zeros_like(found), found], dim=1)
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxNet:
        """A copy that shares the session, which cannot be copied."""
        twin = OnnxNet.__new__(OnnxNet)
        twin.__dict__ = self.__dict__ | {"_buffers": dict(self._buffers)}
        return twin


def _session(onnx: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"a package is predicted by ONNX Runtime: {INSTALL}.") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 4
    try:
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise UserError(f"ONNX Runtime cannot read its weights ({first_line(error)}).") from None
    if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
        raise UserError("its network has several inputs or outputs; one of each is read.")
    return session
