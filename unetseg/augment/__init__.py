"""Augmentation: `draw` holds all randomness, `apply` is certain and runs batched on any device."""

from unetseg.augment.apply import apply
from unetseg.augment.draw import Draw, draw

__all__ = ["Draw", "apply", "draw"]
