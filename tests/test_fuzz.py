"""Damaged files give a result or a UserError: never another exception, a hang or a flood of memory."""

from __future__ import annotations

import pytest
from fuzz import images
from fuzz.harness import try_mutants
from fuzz.kinds import KINDS

pytestmark = pytest.mark.slow
READ, COMMANDS = 200, 3
"""Mutants of a file that is read, and of one that a whole command takes, which is a second or more each."""


@pytest.mark.parametrize("kind", KINDS)
def test_mutants_are_read_or_refused(kind: str) -> None:
    read = kind in images.KINDS
    outcomes = list(try_mutants(kind, range(READ if read else COMMANDS)))
    assert [outcome for outcome in outcomes if outcome.is_fault] == []
    assert not read or "refused" in {outcome.what for outcome in outcomes}
