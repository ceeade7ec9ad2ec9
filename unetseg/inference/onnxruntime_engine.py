"""ONNX Runtime as the engine, on processors and on NVIDIA's GPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unetseg.errors import UserError
from unetseg.inference.export import INPUT, logits_onnx
from unetseg.nets.contract import Net

CPU = "CPUExecutionProvider"
GPU_PROVIDERS = {"CUDAExecutionProvider": "CUDA", "TensorrtExecutionProvider": "TensorRT"}
"""What computes on a GPU, the preferred one first: TensorRT tunes itself for minutes at every tile size."""


def compile_onnxruntime(net: Net, device: torch.device, precision: str) -> Callable[[Tensor], Tensor]:
    """The network in float32 for ONNX Runtime; images and logits are in the computer's memory."""
    session = open_session(logits_onnx(net), device)

    def forward(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {INPUT: images.contiguous().numpy()})[0])

    return forward


def gpu_provider() -> str | None:
    """The one of GPU_PROVIDERS that is used: the first that this ONNX Runtime was built with."""
    import onnxruntime

    built_with = onnxruntime.get_available_providers()
    return next((provider for provider in GPU_PROVIDERS if provider in built_with), None)


def open_session(model: bytes, device: torch.device) -> Any:
    """The model in ONNX Runtime, with as many threads as torch has; UserError where a GPU cannot be used."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it raises says the same
    if device.type != "cuda":
        return onnxruntime.InferenceSession(model, options, providers=[CPU])
    wanted = gpu_provider()
    settings = {"device_id": device.index or 0}
    if wanted == "CUDAExecutionProvider":
        settings["use_tf32"] = 0  # float32, as PyTorch computes here
    session = onnxruntime.InferenceSession(model, options, providers=[(wanted, settings), CPU])
    if session.get_providers()[0] != wanted:  # its libraries were not found: it would use the processor
        raise UserError(
            f"--engine onnxruntime: {wanted} does not load here. pip install 'onnxruntime-gpu[cuda,cudnn]', "
            "or give --engine torch."
        )
    return session
