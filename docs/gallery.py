"""The pictures of docs/gallery.md: every augmentation, every target, every network.

python docs/gallery.py    writes docs/augmentations.png, docs/targets.png and docs/networks.png
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn
from torch.overrides import TorchFunctionMode

from unetseg.augment import apply, draw, pack, upload
from unetseg.augment.histogram import matched_example
from unetseg.batches import load_example
from unetseg.figures import colours, save
from unetseg.nets import NETS, build_net
from unetseg.normalise import fit_normalisation
from unetseg.pipeline.dataset import make_examples
from unetseg.sample import Example, Sample
from unetseg.settings import NO_AUGMENT, AugmentSettings, Experiment, TargetSettings
from unetseg.tasks.synthetic import cell_movie

HERE = Path(__file__).parent
CROP, ORIGIN = (160, 160), (30, 40)
AUGMENTATIONS: dict[str, AugmentSettings] = {
    "original": NO_AUGMENT,
    "elastic = 10": dataclasses.replace(NO_AUGMENT, elastic=10),
    "rotate = 180": dataclasses.replace(NO_AUGMENT, rotate=180),
    "flip = true": dataclasses.replace(NO_AUGMENT, flip=True),
    "scale = 0.3": dataclasses.replace(NO_AUGMENT, scale=0.3),
    "shift = 40": dataclasses.replace(NO_AUGMENT, shift=40),
    "brightness = 1": dataclasses.replace(NO_AUGMENT, brightness=1),
    "contrast = 0.7": dataclasses.replace(NO_AUGMENT, contrast=0.7),
    "gamma = 0.7": dataclasses.replace(NO_AUGMENT, gamma=0.7),
    "noise = 0.6": dataclasses.replace(NO_AUGMENT, noise=0.6),
    "blur = 3": dataclasses.replace(NO_AUGMENT, blur=3),
    "occlusion = 1": dataclasses.replace(NO_AUGMENT, occlusion=1),
    "invert = 1": dataclasses.replace(NO_AUGMENT, invert=1),
    "match_histogram = 1": dataclasses.replace(NO_AUGMENT, match_histogram=1),
}
TARGETS: dict[str, TargetSettings] = {
    'kind = "ridge"': TargetSettings(),
    'kind = "ridge", w0 = 0': TargetSettings(w0=0),
    'kind = "distance", distances_px = [3]': TargetSettings(kind="distance"),
    'kind = "distance", distances_px = [2, 5, 9]': TargetSettings(
        kind="distance", distances_px=(2.0, 5.0, 9.0)
    ),
}
SIZES = {
    "unet": (572, 572),
    "3d-unet": (132, 132, 132),
    "v-net": (128, 128, 128),
    "window": (95, 95),
    "window-sp": (31, 31),
}
DRAWN = (
    *(nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.MaxPool2d, nn.MaxPool3d, nn.Linear),
)
COLOURS = {"convolution": "#3b7dd8", "pooling": "#c9c9c9", "up-convolution": "#3aa76d", "dense": "#9a5fc9"}


def main() -> None:
    """Write the three pictures."""
    images, labels = cell_movie(seed=3, frames=1)
    sample = Sample("cells", images[0][None].astype(np.float32), labels[0])
    save(augmentations(sample), HERE / "augmentations.png")
    save(targets(sample), HERE / "targets.png")
    save(networks(), HERE / "networks.png")


def augmentations(sample: Sample) -> Figure:
    """One draw of every augmentation by itself, of the same crop; a brighter image is matched."""
    (example,) = examples(sample, TargetSettings())
    other = dataclasses.replace(example, image=np.sqrt(example.image - example.image.min()))
    figure = Figure((15, 8.6), layout="compressed")
    for axes, (name, settings) in zip(figure.subplots(3, 5).flat, AUGMENTATIONS.items(), strict=False):
        matched = matched_example([example, other], 0, settings.match_histogram, seed=0)
        _show(axes, grey_as(drawn(matched, settings), example.image), name)
    for axes in figure.axes[len(AUGMENTATIONS) :]:
        axes.set_axis_off()
    return figure


def drawn(example: Example, settings: AugmentSettings) -> NDArray[np.float32]:
    """A crop (c, y, x) of the example, changed by one draw."""
    one = draw(settings, CROP, CROP, np.random.default_rng(7))
    one = dataclasses.replace(one, centre=one.centre + ORIGIN)
    whole = load_example(example, torch.device("cpu"))
    crops, _ = apply(upload(pack([one]), torch.device("cpu")), *whole.tensors, CROP)
    return crops[0].numpy()


def grey_as(crop: NDArray[np.float32], image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The crop as a picture (y, x, 3) on the grey scale of the whole image."""
    low, high = np.percentile(image, [0.5, 99.5])
    return np.repeat(np.clip((crop[0] - low) / (high - low), 0, 1)[..., None], 3, axis=2)


def targets(sample: Sample) -> Figure:
    """Class map and weight map of every kind of target."""
    figure = Figure((12, 6.6), layout="compressed")
    for column, (name, settings) in zip(figure.subplots(2, 4).T, TARGETS.items(), strict=True):
        (example,) = examples(sample, settings)
        classes, weight = (v[30:190, 40:200] for v in (example.target, example.weight))
        _show(column[0], colours(classes.astype(np.int32)), name)
        shown = column[1].imshow(weight, cmap="magma", vmin=0, vmax=12)
        column[1].set_axis_off()
        column[1].set_title("weight map", fontsize=9)
    figure.colorbar(shown, ax=figure.axes, shrink=0.4, anchor=(0, 0.1))
    return figure


def examples(sample: Sample, target: TargetSettings) -> Iterator[Example]:
    """What the network learns from the sample."""
    classes = len(target.distances_px) + 2 if target.kind == "distance" else 2
    normalisation = fit_normalisation("per-image", [sample.image])
    return make_examples([sample], Experiment(target=target), normalisation, classes)


@dataclass
class Layer:
    """A layer as it is drawn: its kind, the channels and the side of its output."""

    kind: str
    channels: int
    side: int


class Trace(TorchFunctionMode):
    """The layers of a forward pass in their order, and which of them meet by concatenation or addition."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.skips: set[tuple[int, int]] = set()
        self._from: dict[int, int] = {}
        self._alive: list[torch.Tensor] = []

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        """Run the function; its result belongs to the last layer that it comes from."""
        result = function(*arguments, **(named or {}))
        if isinstance(result, torch.Tensor):
            self._meet(function, _tensors(arguments), result)
        return result

    def _meet(self, function: Any, given: list[torch.Tensor], result: torch.Tensor) -> None:
        sources = {self._from[id(t)] for t in given if id(t) in self._from}
        if sources:
            joins = function.__name__ in {"cat", "add", "__add__", "__iadd__", "add_"}
            self.skips |= {(s, len(self.layers)) for s in sources if joins and s < max(sources)}
            self._keep(result, max(sources))

    def _keep(self, tensor: torch.Tensor, layer: int) -> None:
        self._from[id(tensor)] = layer
        self._alive.append(tensor)  # so that no other tensor gets its id

    def hook(self, module: nn.Module, _: Any, output: torch.Tensor) -> None:
        """Note a layer that is drawn."""
        dense = isinstance(module, nn.Linear)
        channels, side = (output.shape[-1], 1) if dense else (output.shape[1], output.shape[-1])
        self.layers.append(Layer(_kind(module), channels, side))
        self._keep(output, len(self.layers) - 1)


def _tensors(arguments: Any) -> list[torch.Tensor]:
    flat = [a for b in arguments for a in (b if isinstance(b, tuple | list) else [b])]
    return [a for a in flat if isinstance(a, torch.Tensor)]


def _kind(module: nn.Module) -> str:
    name = type(module).__name__
    if "Transpose" in name or "Upsample" in name:
        return "up-convolution"
    return "pooling" if "Pool" in name else "dense" if name == "Linear" else "convolution"


def traced(name: str) -> Trace:
    """The layers of a network, found by running it on shapes alone."""
    net = build_net(name, channels=1, classes=2).to("meta").eval()
    trace = Trace()
    for module in net.modules():
        if isinstance(module, DRAWN):
            module.register_forward_hook(trace.hook)
    with trace, torch.no_grad():
        net(torch.zeros(1, 1, *SIZES.get(name, (256, 256)), device="meta"))
    return trace


def networks() -> Figure:
    """A bar for every layer: its height is the side of the output, its width grows with the channels."""
    figure = Figure((12, 3.0 * len(NETS)), layout="compressed")
    for axes, name in zip(figure.subplots(len(NETS), 1), NETS, strict=True):
        _schematic(axes, name, traced(name))
    return figure


def _schematic(axes: Axes, name: str, trace: Trace) -> None:
    widths = np.array([0.35 + 0.12 * np.log2(layer.channels) for layer in trace.layers])
    middle = np.cumsum(widths + 0.35) - widths / 2
    for x, width, layer in zip(middle, widths, trace.layers, strict=True):
        axes.bar(x, layer.side, width, bottom=-layer.side / 2, color=COLOURS[layer.kind])
        channels: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 6}
        axes.annotate(str(layer.channels), (x, layer.side / 2), (0, 2), **channels)
    for source, place in trace.skips:
        if place < len(trace.layers):
            depth = -trace.layers[source].side / 2
            curve = {"arrowstyle": "->", "connectionstyle": "arc3,rad=0.15", "color": "#d9782d"}
            axes.annotate("", (middle[place], depth), (middle[source], depth), arrowprops=curve)
    side = max(layer.side for layer in trace.layers)
    axes.set_ylim(-side * (0.85 if trace.skips else 0.6), side * 0.6)
    axes.set_title(name, fontsize=10, loc="left")
    axes.set_axis_off()


def _show(axes: Axes, picture: NDArray[Any], title: str) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


if __name__ == "__main__":
    main()
