"""A network as ONNX, the format that other engines read."""

from __future__ import annotations

import io
import warnings
from typing import Any

import torch

from unetseg.device import one_thread
from unetseg.errors import UserError
from unetseg.inference.folding import folded
from unetseg.nets.contract import Net, TorchOnly

OPSET = 17
"""Version of ONNX's operators: of 2022, which every engine of today reads."""
INPUT, OUTPUT = "images", "logits"


def to_onnx(net: Net) -> bytes:
    """The network with its weights as an ONNX model, batch norms folded.

    Input "images" (b, channels, *yx) float32, output "logits" (b, classes, *yx_out) float32; b and
    yx are free, where yx is a legal size of the network's footprint. Raises UserError for a network
    that runs in PyTorch alone.
    """
    if isinstance(net, TorchOnly):
        raise UserError(f"this network cannot be exported to ONNX: {net.torch_only}.")
    module: Any = folded(net)
    device = next(module.parameters()).device
    images = torch.zeros(1, net.channels, *net.footprint.smallest, device=device)
    free = {0: "b", 2: "y", 3: "x"} if net.dims == 2 else {0: "b", 2: "z", 3: "y", 4: "x"}
    model: Any = io.BytesIO()  # the exporter also writes to what is open
    with one_thread(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it traces one size, and the check of sizes is not part of the model
        torch.onnx.export(
            module,
            (images,),
            model,
            dynamo=False,  # the exporter by torch.export takes ten times as long and two more packages
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: free, OUTPUT: {axis: f"{name}_out" for axis, name in free.items()}},
        )
    return model.getvalue()
