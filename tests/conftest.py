"""What several tests share: the folder of the real data sets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def data_root() -> Path:
    """The folder of the real data sets: $UNETSEG_DATA, or shared/data beside the checkout."""
    root = Path(os.environ.get("UNETSEG_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no data sets in {root}: set UNETSEG_DATA to their folder")
    return root
