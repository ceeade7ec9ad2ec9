"""A batch computed in as many pieces as the device's memory asks for."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from unetseg.errors import ran_out_of_memory

log = logging.getLogger("unetseg")


Compute = Callable[[Tensor], Tensor]


@dataclass
class Pieces:
    """Has batches computed whole, or where memory runs out in halves, quarters and so on.

    most: images computed at once, which is kept for the batches that follow.
    """

    most: int = sys.maxsize

    def __call__(self, compute: Compute, images: Tensor) -> Tensor:
        """What `compute` gives (b, …) of images (b, …); raises what it raises where one does not fit."""
        before = self.most
        while (found := self._attempt(compute, images)) is None:
            self.most = min(self.most, len(images)) // 2
            if images.device.type == "cuda":
                torch.cuda.empty_cache()  # the failed attempt's memory may be in the wrong sizes
        if self.most < before:
            _warn(
                f"not enough memory on {images.device} for a batch of {len(images)} tiles; {self.most} at a "
                f"time from here on. --batch {self.most} avoids the attempt."
            )
        return found

    def _attempt(self, compute: Compute, images: Tensor) -> Tensor | None:
        """The results; None where memory ran out and fewer images at once may fit."""
        try:
            found = [compute(piece) for piece in images.split(self.most)]
            return found[0] if len(found) == 1 else torch.cat(found)
        except Exception as error:  # every engine has its own
            if min(self.most, len(images)) == 1 or not ran_out_of_memory(error):
                raise
            return None


@cache
def _warn(text: str) -> None:
    """Once: every plane of a stack and every model of an average meets the same limit."""
    log.warning(text)
