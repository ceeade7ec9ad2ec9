"""Numbers and times in a readable form."""

from __future__ import annotations

UNKNOWN = "not recorded"


def whole(count: int | None) -> str:
    """A large number in groups of three digits that do not wrap."""
    return UNKNOWN if count is None else f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def duration(seconds: float) -> str:
    """A time in seconds, in a readable form.

    >>> duration(8.53), duration(440), duration(7320)
    ('8.5 s', '7 min 20 s', '2 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
