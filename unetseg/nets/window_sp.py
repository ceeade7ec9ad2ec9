"""The retinal-vessel net of Liskowski & Krawiec (IEEE TMI 35(11), 2369, 2016): patches, whitened one by one.

A convolutional network without pooling sees a patch of 27×27 pixels and predicts the classes of its
central 5×5 pixels (structured prediction); where patches overlap, their probabilities are averaged.
Every patch is normalised by itself (global contrast normalisation, ZCA whitening), so neighbouring
patches share no computation: they are evaluated one by one, in chunks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unetseg.nets.blocks import check_options, he_normal
from unetseg.nets.contract import check_input
from unetseg.tiles import Footprint

PATCH, CENTRE = 27, 5
FLAT = 1e-3
"""Added to a patch's variance (of normalised grey values), so that a uniform patch stays uniform."""
SMALL = 1.0
"""Added to the eigenvalues of the patches' covariance, below which whitening would amplify noise."""
FITTED = 6000
"""Training patches that the whitening is fitted to."""
CHUNK = 128
"""Patches evaluated at a time."""


class WindowSP(nn.Module):
    """Structured prediction of the central 5×5 pixels of whitened 27×27 patches.

    Input (b, channels, y, x) float; output logits (b, classes, y_out, x_out), the logarithm of the
    probabilities averaged over all patches whose centre holds the pixel.

    width: maps of the first two 3×3 convolutions (zero-padded), the next two have twice as many;
    hidden: neurons of both fully connected layers; step: distance of neighbouring patches, 1 (the
    paper: 25 patches predict every pixel) to 5 (one does); dropout: before the last two fully
    connected layers. The paper's plain net, as others have rebuilt it (64, 64, 128, 128 maps, 512 and
    512 neurons), without its poolings. Weights are drawn from N(0, 2/N), N the incoming nodes.

    In training, crops whose output is whole 5×5 blocks are cut into patches that do not overlap: each
    learns by itself, as in the paper. The smallest such crops are of 35, 33, 36, 39 and 27 pixels at steps
    1 to 5.
    The whitening belongs to the state; `fit` sets it. Raises UserError for options out of range.
    """

    torch_only = "how many patches it cuts depends on the size of the image"
    mean: Tensor
    whitening: Tensor

    def __init__(
        self,
        channels: int = 3,
        classes: int = 2,
        width: int = 64,
        hidden: int = 512,
        step: int = 1,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        rules = [
            ("width", width, width >= 1, "1 or more"),
            ("hidden", hidden, hidden >= 1, "1 or more"),
            ("step", step, 1 <= step <= CENTRE, f"1 to {CENTRE}"),
            ("dropout", dropout, 0 <= dropout < 1, "0 to below 1"),
        ]
        check_options(rules)
        self.channels, self.classes, self.dims, self.step = channels, classes, 2, step
        self.footprint = patch_footprint(step)
        self.register_buffer("mean", torch.zeros(channels * PATCH**2))
        self.register_buffer("whitening", torch.eye(channels * PATCH**2))
        widths = [channels, width, width, 2 * width, 2 * width]
        self.convs = nn.Sequential(
            *[m for i, o in itertools.pairwise(widths) for m in (nn.Conv2d(i, o, 3, padding=1), nn.ReLU())]
        )
        self.tell = nn.Sequential(
            nn.Linear(2 * width * PATCH**2, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes * CENTRE**2),
        )
        self.apply(he_normal)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images of legal size (see `footprint`)."""
        check_input(self, images)
        out = self.footprint.output(images.shape[2:])
        alone = self.training and all(n % CENTRE == 0 for n in out)
        step = CENTRE if alone else self.step
        patches = _patches(images, self.footprint.context[0] - patch_footprint(step).context[0], step, out)
        return self._laid_out(torch.stack([self._told(row) for row in patches.unbind(1)], 1), step, out)

    @torch.no_grad()
    def fit(self, images: Iterable[Tensor]) -> None:
        """Set the whitening by the central patches of training crops (b, channels, y, x).

        It takes batches until it has FITTED patches, or until they end.
        """
        taken: list[Tensor] = []
        for crops in images:
            y, x = ((n - PATCH) // 2 for n in crops.shape[2:])
            patches = _normalised(crops[:, :, y : y + PATCH, x : x + PATCH].flatten(1))
            taken.append(patches.cpu().double())  # not every device has 64-bit floats
            if sum(map(len, taken)) >= FITTED:
                break
        patches = torch.cat(taken)[:FITTED]
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
        self.mean.copy_(mean)
        self.whitening.copy_((vectors / (values.clamp_min(0) + SMALL).sqrt()) @ vectors.T)

    def _told(self, row: Tensor) -> Tensor:
        """Logits (b, n, classes·25) of a row of patches (b, n, channels, 27, 27)."""
        told = []
        for patches in row.flatten(0, 1).split(CHUNK):
            white = (_normalised(patches.flatten(1)) - self.mean) @ self.whitening
            told.append(self.tell(self.convs(white.view(patches.shape)).flatten(1)))
        return torch.cat(told).unflatten(0, row.shape[:2])

    def _laid_out(self, told: Tensor, step: int, out: tuple[int, ...]) -> Tensor:
        """Logits (b, classes, *out) from those of every patch, (b, rows, columns, classes·25)."""
        blocks = told.unflatten(-1, (self.classes, -1))
        if step < CENTRE:
            blocks = torch.softmax(blocks.float(), dim=-2)
        size = ((told.shape[1] - 1) * step + CENTRE, (told.shape[2] - 1) * step + CENTRE)
        total = F.fold(blocks.flatten(3).flatten(1, 2).mT, size, CENTRE, stride=step)
        lost = CENTRE - step
        total = total[:, :, lost : lost + out[0], lost : lost + out[1]]
        return total if step == CENTRE else (total / total.sum(1, keepdim=True)).clamp_min(1e-30).log()


def patch_footprint(step: int) -> Footprint:
    """Footprint of patches `step` apart: outputs are the pixels that all their patches predict.

    Patches start at multiples of the step, n of them along (n − 1)·step + 27 pixels. Pixel p is predicted
    by those that start at p − 15 … p − 11; all of them lie inside if 16 − step pixels are left
    out at each side.
    """
    side = (PATCH + CENTRE) // 2 - step
    return Footprint((side, side), (step, step), valid=True, phase=(PATCH % step, PATCH % step))


def _patches(images: Tensor, start: int, step: int, out: tuple[int, ...]) -> Tensor:
    """The patches (b, rows, columns, c, 27, 27) that predict the `out` pixels, the first at `start`."""
    rows, columns = ((n + CENTRE) // step - 1 for n in out)
    every = images[:, :, start:, start:].unfold(2, PATCH, step).unfold(3, PATCH, step)
    return every[:, :, :rows, :columns].permute(0, 2, 3, 1, 4, 5)


def _normalised(patches: Tensor) -> Tensor:
    """Global contrast normalisation: patches (n, values) to mean 0 and standard deviation 1 each."""
    centred = patches - patches.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + FLAT).sqrt()
