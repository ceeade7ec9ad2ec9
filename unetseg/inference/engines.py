"""Which library computes the network: PyTorch, or an inference engine that is faster on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import torch
from torch import Tensor

from unetseg.device import one_thread
from unetseg.errors import UserError, did_you_mean, first_line, ran_out_of_memory
from unetseg.inference.blending import blended, tiling_footprint
from unetseg.inference.onnxruntime_engine import GPU_PROVIDERS, compile_onnxruntime, gpu_provider
from unetseg.inference.openvino_engine import compile_openvino
from unetseg.inference.torch_engine import compile_torch
from unetseg.nets.contract import Net, TorchOnly
from unetseg.tiles import Footprint

Forward = Callable[[Tensor], Tensor]
"""Images (b, channels, *yx) float32 to logits (b, classes, *yx_out), which the next call may overwrite."""


MIB = 2**20
TOLERANCE = 1e-3
"""The largest difference of a logit from PyTorch's, of logits of 1 and less; else relative to the largest."""


@dataclass(frozen=True)
class Engine:
    """A library that runs networks. package: the one to install.

    compile: makes a network on a device ready, in a precision; it may take a while at the first
    batch of every size. Memory, measured (docs/speed.md): for a tile `workspace` times the bytes of the
    maps that are alive at once in PyTorch, and `per_pixel` bytes for each pixel of its input; so many
    `copies` of the weights; and `fixed` bytes of the library itself.
    """

    package: str
    compile: Callable[[Net, torch.device, str], Forward]
    workspace: float
    per_pixel: int
    copies: int
    fixed: int


ENGINES = {
    "openvino": Engine("openvino", compile_openvino, 1.1, 16, 4, 72 * MIB),
    "onnxruntime": Engine("onnxruntime", compile_onnxruntime, 2.0, 0, 4, 64 * MIB),
    "torch": Engine("torch", compile_torch, 1.3, 90, 1, 0),
}
"""The fastest first, as measured on processors (docs/speed.md): "auto" is the first that can be used. On a
GPU "auto" is always PyTorch."""


@dataclass(frozen=True)
class InferenceNet:
    """A network made ready for inference, which takes batches of tiles.

    engine: its name and version; device: where images are put and logits come from; restores: whether its
    output is an image, and not logits of classes.
    """

    forward: Forward
    engine: str
    device: torch.device
    footprint: Footprint
    classes: int
    dims: int
    restores: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (b, classes, *yx_out), valid until the next call, of images (b, channels, *yx) float32."""
        return self.forward(images)


def prepare(
    net: Net, device: torch.device, *, engine: str = "torch", precision: str = "float32"
) -> InferenceNet:
    """The network, which is on `device`, made ready by an engine: a name in ENGINES, or "auto".

    It computes with as many threads as torch has. The network's weights are copied: a training that
    goes on does not change what was made ready. Raises UserError where the engine cannot be used, and
    where it does not compute what PyTorch does.
    """
    name = choose_engine(engine, net, device, precision)
    held = device if name == "torch" else torch.device("cpu")
    forward = blended(_compiled(name, net, device, precision), net)
    footprint = tiling_footprint(net)
    return InferenceNet(forward, describe_engine(name, device), held, footprint, net.classes, net.dims)


def choose_engine(wanted: str, net: Net, device: torch.device, precision: str = "float32") -> str:
    """The engine named, or with "auto" the fastest that can be used; UserError where it cannot."""
    if wanted == "auto":
        usable = (name for name in ENGINES if _refusal(name, net, device, precision) is None)
        return "torch" if device.type != "cpu" else next(usable)
    if wanted not in ENGINES:
        raise UserError(f"--engine {wanted!r}: {did_you_mean(wanted, ['auto', *ENGINES])}")
    refusal = _refusal(wanted, net, device, precision)
    if refusal is not None:
        raise UserError(f"--engine {wanted}: {refusal}")
    return wanted


def _compiled(name: str, net: Net, device: torch.device, precision: str) -> Forward:
    """The network as an engine runs it; UserError where the engine does not load or run it."""
    try:
        forward = ENGINES[name].compile(net, device, precision)
        if name != "torch":
            _check(name, forward, net, device)
    except Exception as error:  # the libraries' exceptions have no common class
        if name == "torch" or isinstance(error, UserError) or ran_out_of_memory(error):
            raise
        found = describe_engine(name, device)
        raise UserError(
            f"{found} cannot run this network here ({first_line(error)}). Give --engine torch."
        ) from None
    return forward


def _check(name: str, forward: Forward, net: Net, device: torch.device) -> None:
    """Compare an engine with PyTorch on noise of the smallest legal size."""
    noise = torch.randn(1, net.channels, *net.footprint.smallest, generator=torch.Generator().manual_seed(0))
    with one_thread(), torch.no_grad():
        expected = net(noise.to(device)).cpu()
        difference = float((forward(noise) - expected).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise UserError(
            f"{describe_engine(name, device)} computes other logits than PyTorch for this network: "
            f"they differ by {difference:.2g}. Give --engine torch."
        )


def describe_engine(name: str, device: torch.device) -> str:
    """Name and version, such as "openvino 2026.4.1"; of ONNX Runtime on a GPU also how it computes there."""
    provider = gpu_provider() if name == "onnxruntime" and device.type == "cuda" else None
    by = f" ({GPU_PROVIDERS[provider]})" if provider else ""
    for package in (ENGINES[name].package, f"{ENGINES[name].package}-gpu"):
        try:
            return f"{name} {version(package)}{by}"
        except PackageNotFoundError:
            continue
    return f"{name}{by}"


def _refusal(name: str, net: Net, device: torch.device, precision: str) -> str | None:
    """Why an engine cannot be used here, and what to do; None where it can."""
    if name == "torch":
        return None
    missing = [package for package in (ENGINES[name].package, "onnx") if find_spec(package) is None]
    if missing:
        names = " ".join(missing)
        return f"not installed: {names}. pip install {names}, or give --engine torch."
    if precision != "float32":
        return f"computes in float32 here, not in {precision}. Give --engine torch."
    if isinstance(net, TorchOnly):
        return f"this network cannot be exported to ONNX: {net.torch_only}. Give --engine torch."
    if device.type == "cuda" and name == "onnxruntime":
        return None if gpu_provider() else "has no CUDA here. pip install onnxruntime-gpu in its place."
    if device.type != "cpu":
        return f"does not compute on {device.type}. Give --device cpu, or --engine torch."
    return None
