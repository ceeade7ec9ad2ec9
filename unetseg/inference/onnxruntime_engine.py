"""ONNX Runtime as the engine, on processors and through CUDA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unetseg.inference.export import INPUT, logits_onnx
from unetseg.nets.contract import Net

CUDA = "CUDAExecutionProvider"


def compile_onnxruntime(net: Net, device: torch.device, precision: str) -> Callable[[Tensor], Tensor]:
    """The network in float32 for ONNX Runtime; images and logits are in the computer's memory."""
    session = _session(logits_onnx(net), device)

    def forward(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {INPUT: images.contiguous().numpy()})[0])

    return forward


def cuda_is_there() -> bool:
    """Whether this ONNX Runtime was built with CUDA."""
    import onnxruntime

    return CUDA in onnxruntime.get_available_providers()


def _session(model: bytes, device: torch.device) -> Any:
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.type == "cuda":
        providers.insert(0, (CUDA, {"device_id": device.index or 0, "use_tf32": "0"}))
    return onnxruntime.InferenceSession(model, options, providers=providers)
