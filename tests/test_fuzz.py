"""Damaged files give a result or a UserError: never another exception, a hang or a flood of memory."""

from __future__ import annotations

import pytest
from fuzz.harness import try_mutants
from fuzz.kinds import KINDS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", KINDS)
def test_mutants_are_read_or_refused(kind: str) -> None:
    outcomes = list(try_mutants(kind, range(200)))
    assert [outcome for outcome in outcomes if outcome.is_fault] == []
    assert "refused" in {outcome.what for outcome in outcomes}
