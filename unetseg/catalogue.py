"""The catalogue of public data sets: where to download each, and whether the local copy is complete."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from unetseg.files import shipped


@dataclass(frozen=True)
class CatalogueItem:
    """One data set of data/catalogue.toml; see there for the fields."""

    name: str
    title: str
    folder: str
    task: str
    site: str
    licence: str
    citation: str
    provider: str
    pixel_um: list[float]
    what: str
    note: str
    download: str = ""
    files: dict[str, str] = field(default_factory=dict)


def read_catalogue() -> list[CatalogueItem]:
    """All data sets, in the catalogue's order."""
    text = (shipped("data") / "catalogue.toml").read_text(encoding="utf-8")
    return [CatalogueItem(**table) for table in tomllib.loads(text)["dataset"]]


def check_dataset(dataset: CatalogueItem, root: Path) -> list[str]:
    """What is wrong with the data set below `root`, one line each; empty if it is complete."""
    folder = root / dataset.folder
    if not folder.is_dir():
        return [f"no folder {folder}"]
    problems = []
    for name, expected in dataset.files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"missing: {name}")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            problems.append(f"differs from the provider's: {name}")
    return problems
