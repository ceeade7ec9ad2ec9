"""Numbers and times as a person reads them."""

from __future__ import annotations

UNKNOWN = "not recorded"


def whole(count: int | None) -> str:
    """A large number in groups of three digits, which do not wrap."""
    return UNKNOWN if count is None else f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(8.53), duration(440), duration(7320)
    ('8.5 s', '7 min 20 s', '2 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
