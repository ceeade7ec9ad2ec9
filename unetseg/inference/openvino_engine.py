"""OpenVINO as the engine, on processors."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unetseg.inference.export import logits_onnx
from unetseg.nets.contract import Net

KEPT = 2**28
"""Bytes, about, of the compiled sizes that are kept; one that takes more is kept alone."""
PIXEL = 2**8
"""Bytes, about, that a compiled model takes per pixel beside the weights."""


def compile_openvino(net: Net, device: torch.device, precision: str) -> Callable[[Tensor], Tensor]:
    """The network in float32 for OpenVINO, compiled for each size of a batch when it first comes.

    A model with free sizes takes 1.6 times the memory of one compiled for its size (docs/speed.md).
    """
    return _BySize(_openvino(), logits_onnx(net))


class _BySize:
    """The compiled models by shape of the batch, the last ones used."""

    def __init__(self, openvino: Any, model: bytes) -> None:
        self.core = openvino.Core()
        self.model, self.weights = self.core.read_model(model), len(model)
        self.requests: dict[tuple[int, ...], Any] = {}

    def __call__(self, images: Tensor) -> Tensor:
        request = self._request(tuple(images.shape))
        found = request.infer({0: images.contiguous().numpy()}, share_inputs=True, share_outputs=True)
        return torch.from_numpy(found[0])

    def _request(self, shape: tuple[int, ...]) -> Any:
        if shape not in self.requests:
            if sum(map(self._bytes, [*self.requests, shape])) > KEPT:
                self.requests.clear()
            self.requests[shape] = self._compiled(shape).create_infer_request()
        return self.requests[shape]

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        self.model.reshape(list(shape))
        options = {
            "INFERENCE_PRECISION_HINT": "f32",  # some processors would take bfloat16
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        return self.core.compile_model(self.model, "CPU", options)

    def _bytes(self, shape: tuple[int, ...]) -> int:
        return self.weights + PIXEL * shape[0] * math.prod(shape[2:])


def _openvino() -> Any:
    """The package, whose import would report itself to its makers if it found its telemetry package."""
    name = "openvino_telemetry"
    there = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        del sys.modules[name]
        if there is not None:
            sys.modules[name] = there
    return openvino
