"""A short campaign of kills: whatever ended a command, the same one comes to the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from kills import campaign, make_cases

pytest.importorskip("zarr")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["streaming", "training"])
def test_killed_commands_end_in_the_same_bytes(what: str, tmp_path: Path) -> None:
    chains = campaign(make_cases(what, tmp_path), 4, seed=1)
    assert [chain for chain in chains if not chain.same or chain.failed] == []
