"""Augmentation: `draw` makes all random choices; `apply` is deterministic and runs batched on any device."""

from unetseg.augment.apply import apply
from unetseg.augment.draw import Draw, draw
from unetseg.augment.pack import HostDraws, PackedDraws, pack, upload

__all__ = ["Draw", "HostDraws", "PackedDraws", "apply", "draw", "pack", "upload"]
