"""Models downloaded into the user's cache: by pooch, checked by SHA-256 before use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from unetseg.errors import UserError, first_line
from unetseg.models.cards import ModelCard

TIMEOUT_S = 30


def cached_file(card: ModelCard) -> Path:
    """Where the model's file is, or will be: one place for each checksum."""
    import pooch

    return Path(pooch.os_cache("unetseg")) / "models" / f"{card.name}-{card.sha256[:12]}.pt"


def download_model(card: ModelCard, progress: Callable[[int], None] = lambda done: None) -> Path:
    """The model's file in the user's cache, downloaded if it is not there or damaged.

    progress: called with the bytes received so far. The file appears under its name only when its
    checksum is right. Raises UserError without network, for a wrong checksum, and where the cache cannot
    be written.
    """
    import pooch
    import requests

    target = cached_file(card)
    downloader = pooch.HTTPDownloader(progressbar=_Received(progress), timeout=TIMEOUT_S)
    try:
        pooch.retrieve(
            card.url, f"sha256:{card.sha256}", fname=target.name, path=target.parent, downloader=downloader
        )
    except requests.RequestException as error:
        raise UserError(
            f"{card.name}: {card.url} cannot be downloaded ({first_line(error)}). Check the network, or put "
            f"the file at {target} by hand."
        ) from None
    except ValueError:  # pooch has removed what it received
        raise UserError(
            f"{card.name}: what {card.url} sent is not the file that the registry names (SHA-256 "
            f"{card.sha256}). Nothing was kept. Check the registry, or try again later."
        ) from None
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error}).") from None
    return target


class _Received:
    """What pooch takes for a progress bar; counts bytes and passes the count on."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self.progress, self.done, self.total = progress, 0, 0

    def update(self, count: int) -> None:
        """Count further; pooch counts the whole again after `reset`."""
        self.done += count
        self.progress(self.done)

    def reset(self) -> None:
        """Start from 0."""
        self.done = 0

    def close(self) -> None:
        """Nothing to close."""
