"""The examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
WITH_EXAMPLES = [
    p for p in sorted((ROOT / "unetseg").rglob("*.py")) if ">>> " in p.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_examples_give_what_they_say(path: Path) -> None:
    if path.parent.name == "napari":
        pytest.importorskip("napari")
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    names = {"np": np, "Path": Path}
    assert doctest.testmod(module, extraglobs=names, report=False).failed == 0
