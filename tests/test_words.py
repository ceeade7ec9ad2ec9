"""Numbers as a person reads them."""

from unetseg.report.words import UNKNOWN, duration, whole


def test_numbers_and_times() -> None:
    assert whole(None) == UNKNOWN
    assert whole(1234567) == "1\u202f234\u202f567"
    assert [duration(s) for s in (0, 59.94, 60, 3599, 3600)] == [
        "0.0 s",
        "59.9 s",
        "1 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
    ]
