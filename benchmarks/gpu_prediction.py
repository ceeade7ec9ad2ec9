"""Prediction on a GPU: ours by streams, beside copies that wait, other settings, and MONAI's windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.rows import Row, interleaved_s
from benchmarks.sliding import OVERLAPS, model_of
from benchmarks.training import peak_mib
from unetseg.device import precision_context
from unetseg.inference.predict import batched, stream
from unetseg.inference.reduce import everything, second_class
from unetseg.inference.transfer import Direct
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.streaming.plan import Plan, make_plan
from unetseg.tiles import read_mirrored

Maps = NDArray[Any]
SETTINGS: dict[str, dict[str, Any]] = {
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "tiles of 512": {"side": 512},
    "tiles of 512, one at a time": {"side": 512, "batch": 1},
    "one tile at a time": {"batch": 1},
}
"""What is changed of `Prediction.settings`, one by one."""


class Prediction:
    """An image in memory, and the default network with weights that nobody trained."""

    def __init__(self, device: torch.device, side: int, *, tile: int = 0) -> None:
        model = model_of("narrow")
        self.model = Model(model.recipe, model.net.to(device), device)
        self.image = np.random.default_rng(0).normal(size=(1, side, side)).astype(np.float32)
        self.settings, self.title = PredictSettings(side=tile, batch=0), f"prediction of {side}²"

    def rows(self) -> list[Row]:
        """Megapixels a second: the foreground alone, beside all probabilities and beside copies that wait."""
        works: dict[str, Callable[[], object]] = {
            "ours": partial(self.streamed, self.settings, foreground=True),
            "all probabilities": partial(self.streamed, self.settings, foreground=False),
            "copies that wait": self._waiting,
        }
        found = self._faster(works)
        peak, peer = (peak_mib(works[name], self.model.device) for name in ("ours", "copies that wait"))
        plan = self._plan(self.settings)
        note = f"{len(plan.grid)} tiles of {plan.grid.read_shape}, {plan.batch} at once"
        row = Row(f"{self.title}: memory", peak, "copies that wait", peer, "MiB", peer / peak, note)
        return [*found, row]

    def setting_row(self, name: str) -> list[Row]:
        """The same with one setting changed."""
        changed = replace(self.settings, **SETTINGS[name])
        works = {
            "ours": partial(self.streamed, changed, foreground=True),
            "as set": partial(self.streamed, self.settings, foreground=True),
        }
        return [replace(row, name=f"{row.name}: {name}") for row in self._faster(works)]

    def monai_rows(self) -> list[Row]:
        """MONAI's windows of 512², with its own overlap and as nnU-Net has them; none without MONAI."""
        works: dict[str, Callable[[], object]] = {
            "ours": partial(self.streamed, self.settings, foreground=False)
        }
        works |= {
            f"MONAI 512², overlap {overlap}": partial(self._monai, options)
            for overlap, options in OVERLAPS.items()
        }
        return self._faster(works)

    def streamed(self, settings: PredictSettings, *, foreground: bool) -> Maps:
        """Tile by tile as `unetseg predict` does it, into memory."""
        plan, size = self._plan(settings), self.image.shape[1:]
        out = np.empty(size, np.uint8) if foreground else np.empty((2, *size), np.float32)
        reduce = second_class(0.5) if foreground else everything
        groups, net = batched(plan.grid, plan.batch), self.model.ready(settings)
        for tile, found in stream(net, groups, lambda t: read_mirrored(self.image, t.read), reduce=reduce):
            y, x = tile.write
            out[..., y, x] = found
        return out

    def _plan(self, settings: PredictSettings) -> Plan:
        y, x = self.image.shape[1:]
        return make_plan(self.model, (y, x), settings)

    def _waiting(self) -> None:
        """The same tiles read, uploaded, computed and downloaded one after another."""
        plan, net = self._plan(self.settings), self.model.ready(self.settings)
        way, reduce = Direct(self.model.device), second_class(0.5)
        with torch.no_grad():
            for group in batched(plan.grid, plan.batch):
                images = way.upload([read_mirrored(self.image, tile.read) for tile in group])
                way.download(reduce(torch.softmax(net(images), 1)))()

    def _monai(self, options: dict[str, Any]) -> None:
        from monai.inferers import sliding_window_inference

        device, net = self.model.device, self.model.net
        pixels = torch.from_numpy(self.image)[None]
        with torch.no_grad(), precision_context("float32", device):
            sliding_window_inference(pixels, (512, 512), 16, net, sw_device=device, device="cpu", **options)

    def _faster(self, works: dict[str, Callable[[], object]]) -> list[Row]:
        """Rows of ours beside each of the others."""
        speed = {name: self.image.size / 1e6 / s for name, s in interleaved_s(works, 2).items()}
        ours = speed.pop("ours")
        return [
            Row(self.title, ours, name, other, "megapixels/s", ours / other) for name, other in speed.items()
        ]
