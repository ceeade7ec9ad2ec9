"""Models downloaded into the user's cache, checked by SHA-256 before use."""

from __future__ import annotations

from pathlib import Path

from unetseg.download.fetch import Progress, fetch
from unetseg.models.cards import ModelCard


def cached_file(card: ModelCard) -> Path:
    """Where the model's file is, or will be: one place for each checksum."""
    import pooch

    return Path(pooch.os_cache("unetseg")) / "models" / f"{card.name}-{card.sha256[:12]}.pt"


def download_model(card: ModelCard, progress: Progress = lambda done, total: None) -> Path:
    """The model's file in the user's cache, downloaded if it is not there or damaged.

    progress: called with the bytes received so far and those of the whole file. The file appears under its
    name only when its checksum is right. Raises UserError without network, for a wrong checksum, and where
    the cache cannot be written.
    """
    return fetch(card.url or "", cached_file(card), sha256=card.sha256, progress=progress, name=card.name)
