"""One file over HTTP by pooch: resumed, checked, and given its final name only when complete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from unetseg.errors import UserError, first_line
from unetseg.images.disk_space import check_space

TIMEOUT_S = 30
CHUNK = 2**16
PART = ".part"
"""End of the name of an unfinished download, which the next call resumes."""
VALIDATOR = ".tag"
"""End of the name of the file that keeps the server's ETag or date of an unfinished download."""
Progress = Callable[[int, int], None]
"""Called with the bytes received so far and the size of the whole file (0 where the server does not say)."""


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    progress: Progress = lambda done, total: None,
    name: str = "",
) -> Path:
    """Download `url` to `target`, unless it is there with the right checksum; returns `target`.

    An interrupted download is kept as TARGET.part and resumed by the next call, if the server still has
    the same file. sha256: hexadecimal, or None if unknown; name: for errors. Raises UserError
    without network, for an error of the server, for a wrong checksum (nothing is kept), and if
    the disk is full or cannot be written to.
    """
    import pooch
    import requests

    name = name or target.name
    pooch.get_logger().setLevel("WARNING")
    known = None if sha256 is None else f"sha256:{sha256}"
    try:
        pooch.retrieve(
            url, known, fname=target.name, path=target.parent, downloader=_resuming(target, progress)
        )
    except requests.RequestException as error:
        raise UserError(
            f"{name}: {url} cannot be downloaded ({first_line(error)}). Check the network and try again, or "
            f"save the file as {target} yourself."
        ) from None
    except ValueError:  # pooch has removed what it received
        raise UserError(
            f"{name}: the file from {url} does not have the checksum of the registry (SHA-256 {sha256}). "
            "Nothing was kept. Check the registry, or try again later."
        ) from None
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error}).") from None
    return target


def _resuming(target: Path, progress: Progress) -> Callable[[str, str, Any], None]:
    """A downloader for pooch that continues TARGET.part."""

    def download(url: str, output: str, caller: Any) -> None:
        part, validator = target.with_name(target.name + PART), target.with_name(target.name + VALIDATOR)
        tag = validator.read_text(encoding="utf-8") if validator.is_file() and part.is_file() else ""
        try:
            with part.open("ab" if tag else "wb") as file:
                bar = _Received(progress, file.tell())
                answer = _Answer(target, validator, file, bar)
                _transfer(url, file, tag, answer, caller)
            part.replace(output)
        finally:
            if not validator.is_file() or (part.is_file() and part.stat().st_size == 0):
                part.unlink(missing_ok=True)  # it cannot be resumed
            if not part.is_file():
                validator.unlink(missing_ok=True)

    return download


def _transfer(url: str, file: Any, tag: str, answer: _Answer, caller: Any) -> None:
    """Make pooch write the response to the open file; tag: validator of the unfinished part, or ""."""
    import pooch

    headers = {"Accept-Encoding": "identity"}
    if tag and answer.bar.start:
        headers |= {"Range": f"bytes={answer.bar.start}-", "If-Range": tag}
    transfer = pooch.HTTPDownloader(
        progressbar=answer.bar,
        chunk_size=CHUNK,
        timeout=TIMEOUT_S,
        headers=headers,
        hooks={"response": answer},
    )
    transfer(url, file, caller)


class _Answer:
    """Checks the server's response before its content is read: does it continue the part?"""

    def __init__(self, target: Path, validator: Path, file: Any, bar: _Received) -> None:
        self.target, self.validator, self.file, self.bar = target, validator, file, bar

    def __call__(self, response: Any, **options: Any) -> None:
        """Start over if the server cannot resume; keep what tells this file from a newer one."""
        if not response.ok:
            if response.status_code == 416:  # the part does not fit: the next call starts over
                self.validator.unlink(missing_ok=True)
            return
        if response.is_redirect:
            return
        if response.status_code != 206:
            self.file.seek(0)
            self.file.truncate()
            self.bar.start = 0
        size = int(response.headers.get("Content-Length", 0))
        check_space(self.target, size, "choose another disk")
        self.bar.begin(self.bar.start + size if size else 0)
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        if tag and not tag.startswith("W/"):  # a weak tag does not promise the same bytes
            self.validator.write_text(tag, encoding="utf-8")


class _Received:
    """A progress bar for pooch: passes on the bytes, including those of an earlier call."""

    def __init__(self, progress: Progress, start: int) -> None:
        self.progress, self.start = progress, start
        self.done = self.whole = self.total = 0

    def begin(self, whole: int) -> None:
        """Count from the bytes that are there already to `whole`."""
        self.whole = whole
        self.reset()

    def update(self, count: int) -> None:
        """Count more bytes; pooch counts the whole file again after `reset`."""
        self.done += count
        self.progress(min(self.done, self.whole or self.done), self.whole)

    def reset(self) -> None:
        """Back to what was there at the start."""
        self.done = self.start

    def close(self) -> None:
        """Nothing to close."""
