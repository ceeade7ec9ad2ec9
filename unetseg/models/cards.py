"""Model cards: what a model was trained on, its licence, scores and limits, and where its file is."""

from __future__ import annotations

import json
import os
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from unetseg.errors import UserError, first_line

REGISTRY_VARIABLE = "UNETSEG_MODELS"
"""Environment variable: the user's own registry file, read after the package's."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]


STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=STRICT)
class CardScore:
    """Scores of one kind of image in the held-out part, beside those of a simple method; 0…1."""

    images: str
    count: Annotated[int, Gt(0)]
    f1: float
    seg: float
    baseline_f1: float
    baseline_seg: float


@dataclass(frozen=True, config=STRICT)
class ModelCard:
    """One model: file and checksum, and all that its users should know.

    name: as given to `unetseg predict`; url: where to download it, empty for a shipped model; bytes:
    size of the file; licence: of the weights; trained_on, data_licence: the images; input: the images
    it takes; split: what `scores` were measured on; baseline: the simple method beside them.
    """

    name: Name
    title: str
    sha256: Sha256
    bytes: Annotated[int, Ge(1)]
    licence: str
    url: Url | None = None
    trained_on: str = ""
    data_licence: str = ""
    input: str = ""
    experiment: str = ""
    split: str = ""
    baseline: str = ""
    scores: tuple[CardScore, ...] = ()
    limits: tuple[str, ...] = ()
    citation: str = ""

    @property
    def shipped_file(self) -> Path:
        """Where a shipped model's file is."""
        return _package() / f"{self.name}.pt"


def shipped_models() -> dict[str, ModelCard]:
    """The cards of the models in the package, by name."""
    cards = [_read(path, "model")[0] for path in sorted(_package().glob("*.toml")) if path.stem != "registry"]
    return {card.name: card for card in cards}


def known_models() -> dict[str, ModelCard]:
    """The models that can be downloaded, by name: the package's registry, then $UNETSEG_MODELS.

    Raises UserError for a registry that cannot be read, or a name that stands for two models.
    """
    registries = [_package() / "registry.toml"]
    if own := os.environ.get(REGISTRY_VARIABLE):
        registries.append(Path(own))
    known, shipped = dict[str, ModelCard](), shipped_models()
    for path in registries:
        for card in _read(path, "models"):
            if card.name in known or card.name in shipped:
                raise UserError(f"{path}: a model named {card.name!r} exists already. Choose another name.")
            if card.url is None:
                raise UserError(f"{path}: the model {card.name!r} has no url. Give the file's address.")
            known[card.name] = card
    return known


def _read(path: Path, key: str) -> list[ModelCard]:
    """The cards in a TOML file: one table [model], or a list of [[models]]."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: not a TOML file of models ({first_line(error)}).") from None
    entries: Any = table.get(key, [])
    text = json.dumps(entries if isinstance(entries, list) else [entries], default=str)
    try:
        return TypeAdapter(list[ModelCard]).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {key}.{place}: {first['msg']}. See docs/models.md.") from None


def _package() -> Path:
    return Path(str(files("unetseg.models")))
