"""A network as ONNX or TorchScript, which other programs run without unetseg."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor, nn

from unetseg.device import one_thread
from unetseg.errors import UserError, first_line
from unetseg.inference.folding import folded
from unetseg.nets.contract import Net, TorchOnly

OPSET = 17
"""Version of ONNX's operators: of 2022, which the engines of today read."""
INSTALL = "pip install 'unetseg-microscopy[bioimageio]'"
INPUT, OUTPUT, LOGITS = "images", "probabilities", "logits"


def to_onnx(net: Net, calibration: Sequence[float] = ()) -> bytes:
    """The network with its weights as an ONNX model, batch norms folded.

    Input "images" (b, channels, *yx) float32, normalised; output "probabilities" (b, classes, *yx_out)
    float32, softmax and calibration done; b and yx are free, where yx is a legal size of the network's
    footprint. Raises UserError for a network that ONNX has no operators for, and without the package onnx.
    """
    if find_spec("onnx") is None:
        raise UserError(f"ONNX needs the package onnx: {INSTALL}.")
    with _quiet():
        module = _checked(_Probabilities(net, calibration), net)[0]
    return _exported(module, net, OUTPUT)


def logits_onnx(net: Net) -> bytes:
    """The network as `to_onnx` gives it for an engine: the output is "logits", without softmax.

    Raises UserError for a network that runs in PyTorch alone.
    """
    if isinstance(net, TorchOnly):
        raise UserError(f"this network cannot be exported to ONNX: {net.torch_only}.")
    return _exported(cast(nn.Module, folded(net)).cpu(), net, LOGITS)


def _exported(module: nn.Module, net: Net, output: str) -> bytes:
    free = {0: "b", 2: "y", 3: "x"} if net.dims == 2 else {0: "b", 2: "z", 3: "y", 4: "x"}
    model: Any = io.BytesIO()  # the exporter also writes to what is open
    with _quiet():
        try:
            torch.onnx.export(
                module,
                (_example(net, 0),),
                model,
                dynamo=False,  # the exporter by torch.export takes ten times as long and two more packages
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[output],
                dynamic_axes={INPUT: free, output: {axis: f"{name}_out" for axis, name in free.items()}},
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise UserError(f"this network cannot be written as ONNX ({first_line(error)}).") from None
    return model.getvalue()


def to_torchscript(net: Net, calibration: Sequence[float] = ()) -> bytes:
    """The network with its weights as TorchScript; input and output as of `to_onnx`."""
    file = io.BytesIO()
    with _quiet():
        torch.jit.save(_checked(_Probabilities(net, calibration), net)[1], file)
    return file.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings: that one size is traced, which is checked, and that torch has other formats."""
    with one_thread(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _checked(module: nn.Module, net: Net) -> tuple[nn.Module, Any]:
    """The module and its trace at one size, if it computes the same at another."""
    traced = torch.jit.trace(module, _example(net, 1), check_trace=False)
    other = _example(net, 3)
    try:
        same = torch.allclose(traced(other), module(other), atol=1e-4)
    except RuntimeError:
        same = False
    if not same:
        raise UserError(
            f"a network {type(net).__name__} cannot be exported: what it computes depends on the size of the "
            "image, which ONNX and TorchScript do not record. U-Nets and FCNs can be exported."
        )
    return module, traced


class _Probabilities(nn.Module):
    """Calibrated probabilities of normalised images, by a copy of a network on the CPU."""

    def __init__(self, net: Net, calibration: Sequence[float]) -> None:
        super().__init__()
        self.net = cast(nn.Module, folded(net)).cpu().float()
        self.calibration = [float(b) for b in calibration]

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels, *yx) → (b, classes, *yx_out)."""
        found = torch.softmax(self.net(images), dim=1)
        if not self.calibration:
            return found
        p, q = found[:, 1:], found[:, :1]
        b = self.calibration
        foreground = (b[0] * q**3 + 3 * b[1] * p * q**2 + 3 * b[2] * p**2 * q + b[3] * p**3).clamp(0, 1)
        return torch.cat([1 - foreground, foreground], dim=1)


def _example(net: Net, steps: int) -> Tensor:
    """A batch of noise, `steps` strides larger than the smallest size."""
    pairs = zip(net.footprint.smallest, net.footprint.stride, strict=True)
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, net.channels, *(n + steps * s for n, s in pairs), generator=generator)
