"""An ONNX model that ONNX Runtime computes, in the place of one of our networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unetseg.errors import UserError, first_line
from unetseg.inference.export import INSTALL
from unetseg.inference.exported_net import ExportedNet, Output
from unetseg.inference.onnxruntime_engine import open_session
from unetseg.tiles import Footprint


class OnnxNet(ExportedNet):
    """Logits of an ONNX model.

    Raises UserError, without the file's name, for a model that ONNX Runtime cannot read, and without the
    package onnxruntime.
    """

    def __init__(
        self, weights: bytes, footprint: Footprint, channels: int, outputs: int, output: Output
    ) -> None:
        super().__init__(weights, footprint, channels, outputs, output)
        self.session = _session(weights)

    def compute(self, images: Tensor) -> Tensor:
        """The output of the model for images (b, channels, *yx)."""
        (name,) = (given.name for given in self.session.get_inputs())
        try:
            (found,) = self.session.run(None, {name: images.numpy()})
        except Exception as error:  # ONNX Runtime's exceptions have no common class of their own
            raise UserError(
                f"ONNX Runtime cannot compute the package's network ({first_line(error)})."
            ) from None
        return torch.from_numpy(found)


def _session(onnx: bytes) -> Any:
    try:
        session = open_session(onnx, torch.device("cpu"))
    except ImportError:
        raise UserError(f"a package is predicted by ONNX Runtime: {INSTALL}.") from None
    except Exception as error:  # as above
        raise UserError(f"ONNX Runtime cannot read its weights ({first_line(error)}).") from None
    if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
        raise UserError("its network has several inputs or outputs; one of each is read.")
    return session
