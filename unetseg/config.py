"""Experiment files: TOML read into the settings, with one clear error for a wrong key or value."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from unetseg.errors import UserError, did_you_mean
from unetseg.settings import Experiment

DATA_VARIABLE = "UNETSEG_DATA"


def read_experiment(path: Path) -> Experiment:
    """The experiment of a TOML file; raises UserError for a wrong file, key, type or range."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such experiment file.") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, not an experiment file. Data folders go to --data.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a TOML file: {error}.") from None
    return parse_experiment(table, str(path))


def parse_experiment(table: dict[str, Any], source: str) -> Experiment:
    """The experiment of nested plain values; `source` is named in errors."""
    _check_keys(table, Experiment, (), source)
    try:
        return TypeAdapter(Experiment).validate_python(table)
    except ValidationError as error:
        raise UserError("\n".join(_explain(e, source) for e in error.errors())) from None


def experiment_table(experiment: Experiment) -> dict[str, Any]:
    """The experiment as nested plain values, every key with its value (no key is None)."""
    return _without_none(dataclasses.asdict(experiment))


def find_data(root: str) -> Path:
    """The data folder: as given if it is there, else below the folder in $UNETSEG_DATA."""
    given = Path(root).expanduser()
    base = os.environ.get(DATA_VARIABLE)
    if not given.exists() and base and (Path(base) / root).exists():
        return Path(base) / root
    if not given.exists():
        below = f" nor below {DATA_VARIABLE} = {base}" if base else f" ({DATA_VARIABLE} is not set)"
        raise UserError(
            f"data.root = {root!r}: no such folder{below}. `unetseg data` says where each data set "
            "is to be had; --root names its folder."
        )
    return given


def _check_keys(table: dict[str, Any], cls: type, place: tuple[str, ...], source: str) -> None:
    """Unknown keys first, with the nearest allowed one; `net` is checked by build_net."""
    hints = get_type_hints(cls)
    for key, value in table.items():
        if key not in hints:
            dotted = ".".join((*place, key))
            raise UserError(f"{source}: unknown key {dotted!r}; {did_you_mean(key, hints)}")
        if dataclasses.is_dataclass(hints[key]) and isinstance(value, dict):
            _check_keys(value, hints[key], (*place, key), source)


def _explain(error: ErrorDetails, source: str) -> str:
    key = ".".join(str(part) for part in error["loc"] if not str(part).startswith("constrained"))
    message = error["msg"][0].lower() + error["msg"][1:]
    if error["type"] == "tuple_type":
        message = f"a list is expected: [{error['input']!r}]"
    if error["type"] == "dataclass_type":
        message = f"a table is expected: [{key}] and its keys below it"
    return f"{source}: {key} = {error['input']!r}: {message}."


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, tuple) else value
