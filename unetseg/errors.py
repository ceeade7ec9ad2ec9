"""The one exception a user can cause."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user gave cannot be used.

    The message says what was given, what is allowed, what to do, and which file or sample it
    concerns. The command line prints it without a traceback and exits with code 2.
    """


def first_line(error: Exception) -> str:
    """What another library's error says, for a place in one of ours: at most 120 characters of one line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """The end of an error about a wrong name: a close match if there is one, and all allowed names.

    >>> did_you_mean("widht", ["width", "depth"])
    "did you mean 'width'? Allowed: depth, width."
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(given, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Allowed: {', '.join(names)}."


def some_of(names: Iterable[str], most: int = 4) -> str:
    """The first names of a list, and how many more there are.

    >>> some_of(["a", "b", "c", "d"], most=2)
    'a, b and 2 more'
    """
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
