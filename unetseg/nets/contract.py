"""What every network offers, and the check of an input against its footprint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from unetseg.errors import UserError
from unetseg.losses import Loss
from unetseg.tiles import Footprint


class Net(Protocol):
    """What training, prediction and tiling use of a network (an `nn.Module`).

    Maps (b, channels, *yx) float to logits (b, classes, *yx_out); `dims` is the number of axes
    of yx. In training it may return a tuple of logits, of several heads, each of which is trained
    (deep supervision, see `train`); in evaluation it returns one tensor.
    """

    footprint: Footprint
    channels: int
    classes: int
    dims: int

    def __call__(self, images: Tensor) -> Tensor: ...
    def train(self, mode: bool = True) -> Any: ...
    def eval(self) -> Any: ...
    def to(self, *args: Any, **kwargs: Any) -> Any: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, state_dict: dict[str, Tensor]) -> Any: ...


@runtime_checkable
class Fitted(Protocol):
    """An optional ability of a network: buffers set by the training images before the first step.

    A whitening, for example. `fit` takes as many batches (b, channels, *crop) as it needs from an
    endless sequence: crops as in training, not augmented, the same for the same seed. Buffers are part of
    the state, so a resumed run and a saved model have them.
    """

    def fit(self, images: Iterable[Tensor]) -> None: ...


@runtime_checkable
class Contracting(Protocol):
    """An optional ability of a network: training can freeze the modules of its contracting path."""

    def contracting_path(self) -> Sequence[nn.Module]: ...


@runtime_checkable
class Prunable(Protocol):
    """An optional ability of a network: it contains smaller trained networks."""

    def pruned(self, level: int) -> Net:
        """The part that gives the output of the head at `level`; UserError if there is none."""


@runtime_checkable
class Pretrained(Protocol):
    """An optional ability of a network: it can start from the weights of an ImageNet classifier.

    published: where they are, a URL whose file name ends with the first digits of its SHA-256 (as torch.hub
    has them), or a file in a Python package that ships them, such as "package/folder/file.pth".
    """

    published: str

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Copy the classifier's named tensors; UserError if they do not fit."""


@runtime_checkable
class TorchOnly(Protocol):
    """A network that only runs in PyTorch: it cannot be exported to ONNX.

    torch_only: the reason, which completes "this network cannot be exported: …".
    """

    torch_only: str


@runtime_checkable
class Hypotheses(Protocol):
    """A network with several outputs for an image, of which training sees the one that fits the truth."""

    def training_loss(self, images: Tensor, classes: Tensor, weight: Tensor, loss: Loss) -> Tensor:
        """What a step of training minimises; shapes as in `losses`."""

    def drawn(self, number: int) -> Net:
        """The network of the hypothesis `number`, with the same weights."""


@runtime_checkable
class InexactTiles(Protocol):
    """A network whose tiles do not equal the whole image; tiles of all other networks do, to 1e-4.

    inexact_tiles: the reason, which completes "tiles do not equal the whole image: …". The footprint of such
    a network leaves out what looks across the whole image.
    """

    inexact_tiles: str


@runtime_checkable
class BlendedTiles(InexactTiles, Protocol):
    """One that is predicted in overlapping windows of a fixed size, whose logits are blended.

    window: their side in pixels, a multiple of twice the footprint's stride.
    """

    window: int


def check_input(net: Net, images: Tensor) -> None:
    """Raise UserError, naming the nearest legal sizes, unless `images` (b, c, *yx) fit the net."""
    if images.ndim != net.dims + 2 or images.shape[1] != net.channels:
        raise UserError(
            f"images of shape {tuple(images.shape)}: this network takes (batch, {net.channels}, "
            f"{'y, x' if net.dims == 2 else 'z, y, x'})."
        )
    size = images.shape[2:]
    if not net.footprint.legal(size):
        raise UserError(
            f"an input of {_pixels(size)} pixels does not fit this network; "
            f"{nearest_sizes(net.footprint, size)}."
        )


def nearest_sizes(footprint: Footprint, size: Sequence[int]) -> str:
    """The end of an error about an illegal size: the nearest legal ones."""
    sizes = dict.fromkeys(_pixels(s) for s in footprint.nearest_legal(size))
    return f"the nearest legal sizes are {' and '.join(sizes)}"


def parameter_count(net: Net) -> int:
    """The number of trainable parameters of the net."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def _pixels(size: Sequence[int] | torch.Size) -> str:
    return "×".join(str(n) for n in size)
