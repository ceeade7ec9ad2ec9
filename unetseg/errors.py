"""UserError, the one exception for what a user can correct, and the wording that errors share."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

DEBUG = "UNETSEG_DEBUG"
"""Environment variable: if it is set, a reader's own exception is raised, with its traceback."""


OUT_OF_MEMORY = (
    "out of memory",
    "allocate memory",
    "Failed to allocate",  # OpenVINO
    "failed to map segment",  # the loader, of a library
    "can't start new thread",
    "Unable to instantiate PyTypeObject",  # torch, while it is imported
    "could not create a primitive",  # oneDNN
    "bad_alloc",
)
"""What libraries write in their errors when memory runs out."""


class UserError(Exception):
    """Something the user gave cannot be used.

    The message says what was given, what is allowed, what to do, and which file or sample it
    concerns. The command line prints it without a traceback and exits with code 2.
    """


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a reader raises on a damaged file into a UserError that names the file.

    what: the format, for the message ("TIFF"). Readers of damaged files raise nearly every exception
    there is, so all are caught; with UNETSEG_DEBUG set they are raised as they are.
    """
    try:
        yield
    except UserError:
        raise
    except PermissionError:
        raise UserError(f"{path}: no permission to read it. Change the file's permissions.") from None
    except MemoryError:
        raise UserError(f"{path}: there is not enough memory to read it.") from None
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        raise UserError(
            f"{path}: not a readable {what} file ({first_line(error)}). "
            "Open it in a viewer (Fiji, napari) to check it, and save it again."
        ) from None


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether the error, or one that led to it, says that memory ran out; libraries raise many for it.

    >>> ran_out_of_memory(ImportError("libtorch_cpu.so: failed to map segment from shared object"))
    True
    """
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    return any(
        isinstance(one, MemoryError)
        or getattr(one, "errno", None) == errno.ENOMEM
        or any(words in str(one) for words in OUT_OF_MEMORY)
        for one in links
    )


def first_line(error: BaseException) -> str:
    """The first line of another library's error, at most 120 characters, to quote in one of ours."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """The end of an error about a wrong name: a close match if there is one, and all allowed names.

    >>> did_you_mean("widht", ["width", "depth"])
    "did you mean 'width'? Allowed: depth, width."
    >>> did_you_mean("size", ["width", "depth"])
    'allowed: depth, width.'
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(given, names, n=1)
    hint = f"did you mean {close[0]!r}? Allowed" if close else "allowed"
    return f"{hint}: {', '.join(names)}."


def some_of(names: Iterable[str], most: int = 4) -> str:
    """The first names of a list, and how many more there are.

    >>> some_of(["a", "b", "c", "d"], most=2)
    'a, b and 2 more'
    """
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
