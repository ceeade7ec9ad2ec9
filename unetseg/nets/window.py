"""The sliding window of Cireşan, Giusti, Gambardella, Schmidhuber (NIPS 2012), over whole images.

The net predicts the class of a window's centre pixel. Over an image every window shares its
convolutions with its neighbours; the max-poolings, which keep one pixel in two, are done once for
each of the offsets a window can have (the max-pooling fragments of Giusti et al. 2013), so that
the result is that of every window by itself.
"""

from __future__ import annotations

from itertools import product

from torch import Tensor, nn

from unetseg.nets.blocks import check_options, he_normal
from unetseg.nets.contract import check_input
from unetseg.tiles import Footprint

KERNELS = {95: (4, 5, 4, 4), 65: (4, 4, 5), 47: (4, 5, 4), 23: (4, 5)}
"""Sides of the convolutions, each before a 2×2 max-pooling, by the window's side. 95 is table 1's N4;
the others have fewer levels."""


class Window(nn.Module):
    """The classifier of a window's centre pixel; its defaults are the paper's N4, 219,290 parameters.

    Input (b, channels, y, x) float, at least the window; output logits (b, classes, y_out, x_out) of
    every pixel whose window lies inside, so a crop of one window gives one pixel.

    window: side in pixels, one of KERNELS; width: maps of each convolution; hidden: neurons of the
    fully connected layer. Activations are rectified. The paper's foveation and non-uniform
    sampling of the window are left out. Weights are drawn from N(0, 2/N), N the incoming nodes.
    Raises UserError for options out of range and for inputs below the window.
    """

    torch_only = "how many fragments its poolings make depends on the size of the image"

    def __init__(
        self, channels: int = 1, classes: int = 2, window: int = 95, width: int = 48, hidden: int = 200
    ) -> None:
        super().__init__()
        rules = [
            ("window", window, window in KERNELS, f"one of {', '.join(map(str, KERNELS))}"),
            ("width", width, width >= 1, "1 or more"),
            ("hidden", hidden, hidden >= 1, "1 or more"),
        ]
        check_options(rules)
        self.channels, self.classes, self.dims = channels, classes, 2
        self.footprint = Footprint((window // 2,) * 2, (1, 1), valid=True, phase=(0, 0))
        kernels = KERNELS[window]
        ins = [channels] + [width] * (len(kernels) - 1)
        self.convs = nn.ModuleList(nn.Conv2d(i, width, k) for i, k in zip(ins, kernels, strict=True))
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU(inplace=True)
        self.hidden = nn.Conv2d(width, hidden, pooled_side(window))
        self.head = nn.Conv2d(hidden, classes, 1)
        self.apply(he_normal)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the centres of all windows in the images."""
        check_input(self, images)
        return self._level(images, 0, self.footprint.output(images.shape[2:]))

    def _level(self, x: Tensor, level: int, wanted: tuple[int, ...]) -> Tensor:
        """The `wanted` (y, x) logits from the input of a level.

        Pooling windows that start at even and at odd pixels keep different values: each such
        fragment is processed separately, and their outputs interleave. A single window is one fragment.
        """
        if level == len(self.convs):
            logits: Tensor = self.head(self.relu(self.hidden(x)))
            return logits
        x = self.relu(self.convs[level](x))
        out = x.new_empty((len(x), self.classes, *wanted))
        for i, j in product(*[range(min(2, n)) for n in wanted]):
            share = ((wanted[0] - i + 1) // 2, (wanted[1] - j + 1) // 2)
            out[:, :, i::2, j::2] = self._level(self.pool(x[:, :, i:, j:]), level + 1, share)
        return out


def pooled_side(window: int) -> int:
    """The side of a window's maps after the last pooling, on which the fully connected layer works."""
    side = window
    for kernel in KERNELS[window]:
        side = (side - kernel + 1) // 2
    return side
