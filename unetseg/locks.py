"""Locks that keep two processes from writing the same result or run."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unetseg.errors import UserError


class InUse(UserError):  # noqa: N818 (it is a state of a file, and a UserError)
    """Another process is writing what was asked for."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock `path`, a result or a run folder, while the block runs; it need not exist yet.

    The lock is `.NAME.lock` beside it and belongs to the operating system: it ends with its process,
    however that ended, so a lock file that was left behind does no harm. If the file system has
    no locks, the process and host in the file decide. Raises InUse, naming both, while another
    process holds the lock, and UserError if the folder cannot be written to.
    """
    from filelock import FileLock, SoftFileLock, Timeout

    file = path.with_name(f".{path.name[-100:]}.lock")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file, timeout=0, thread_local=False)
        lock.acquire()
    except Timeout:
        if not file.exists():  # on a file system that takes no files, such as /proc, the lock waits for one
            raise UserError(
                f"{path}: cannot be locked for writing (no file can be created there). Check the folder."
            ) from None
        raise InUse(
            f"{path}: is being written by {_holder(file)}. Wait until it has ended, or choose another place."
        ) from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be locked for writing ({error.strerror or error}). Check the folder and its "
            "permissions."
        ) from None
    try:
        if not isinstance(lock, SoftFileLock):  # which keeps its own record
            with suppress(OSError):
                file.write_text(f"{os.getpid()}\n{socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):  # before it is released: a process that has opened it sees that it is gone
            file.unlink()
        lock.release()


def _holder(file: Path) -> str:
    """The process that a lock file names."""
    with suppress(OSError, ValueError):
        process, host, *_ = file.read_text(encoding="utf-8").splitlines()
        return f"process {int(process)} on {host}"
    return "another process"
