"""Experiment files: TOML read into the settings, with one clear error for a wrong key or value."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from unetseg.errors import UserError, did_you_mean
from unetseg.renamed import OLD_KINDS, RENAMED, with_present_names
from unetseg.settings import PAPER_UNET, PUBLISHED, Experiment, Fold, full_net

Settings = TypeVar("Settings")
DATA_VARIABLE = "UNETSEG_DATA"
NET_TABLES = ("data", "target", "augment", "train", "labels")
"""Tables of which a network of a comparison may change keys; its split is that of the fold."""
CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
LARGEST, LONGEST, DEPTH = 2**53, 1000, 8
"""Limits of a number, of the characters of a text, and of nested tables."""
PLAIN_TYPES = {
    "int_type": "a whole number (without quotes or point)",
    "float_type": "a number (without quotes)",
    "string_type": 'a text in "quotes"',
    "bool_type": "true or false",
}
"""Pydantic's error types in the user's words."""


def read_experiment(path: Path) -> Experiment:
    """The experiment of a TOML file; raises UserError for a wrong file, key, type or range.

    An experiment without a name is named after its file.
    """
    return read_with_keys(path)[0]


def read_with_keys(path: Path) -> tuple[Experiment, frozenset[str]]:
    """The experiment of a TOML file, and the dotted names of the settings that it gives ("train.crop")."""
    read = _read_table(path)
    tables = ((name, table) for name, table in read.items() if isinstance(table, dict))
    given = frozenset(f"{name}.{key}" for name, table in tables for key in table)
    return parse_experiment({"name": path.stem} | read, str(path)), given


def read_recorded(path: Path) -> Experiment:
    """The experiment that a run folder recorded, perhaps with the key names of an earlier version."""
    table = with_present_names(_read_table(path))
    net = table.get("net")
    if isinstance(net, dict) and net.get("name", "unet") == "unet":
        table["net"] = PAPER_UNET | net  # a run records all options; the first versions left these out
    return parse_experiment(table, str(path))


def _full_net(net: dict[str, Any], source: str) -> dict[str, Any]:
    try:
        return full_net(net)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None


def _read_table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Notepad writes a byte order mark
    except FileNotFoundError:
        raise UserError(f"{path}: no such experiment file.") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not an experiment file. Give data with --data.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file. An experiment is a TOML file in UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not a TOML file: {error}.") from None


def parse_experiment(table: dict[str, Any], source: str) -> Experiment:
    """The experiment of nested plain values; `source` is named in errors.

    Types are strict: "100" is not a number and 1 is not true. Raises UserError, a line for each wrong key.
    """
    if isinstance(table.get("net"), dict):
        table = {**table, "net": _full_net(table["net"], source)}
    experiment = parse_settings(Experiment, table, source)
    for net in experiment.nets:
        choose_net(experiment, net, source)
    return experiment


def parse_settings(cls: type[Settings], table: dict[str, Any], source: str) -> Settings:
    """A dataclass of settings from nested plain values; `source` is named in errors.

    Raises UserError, a line for each wrong key, for an unknown key, a wrong type or a value out of range.
    """
    _check_plain(table, (), source)
    _check_keys(table, cls, (), source)
    try:  # strict JSON, because only there a list may stand for a tuple
        return TypeAdapter(cls).validate_json(json.dumps(table, default=repr), strict=True)
    except ValidationError as error:
        lines = [_explain(e, source) for e in error.errors() if not _follows(e)]
        raise UserError("\n".join(dict.fromkeys(lines))) from None


def experiment_table(experiment: Experiment) -> dict[str, Any]:
    """The experiment as nested plain values, every key with its value (no key is None)."""
    return _without_none(dataclasses.asdict(experiment))


def settled(experiment: Experiment) -> Experiment:
    """The experiment as a run records it: all options of its network, and absolute paths."""
    net, replace = full_net(experiment.net), dataclasses.replace
    if net.get("weights", PUBLISHED) != PUBLISHED:
        net["weights"] = _absolute(str(net["weights"]))
    data = replace(experiment.data, root=_absolute(experiment.data.root))
    augment = replace(experiment.augment, albumentations=_absolute(experiment.augment.albumentations))
    return replace(experiment, net=net, data=data, augment=augment)


def _absolute(path: str) -> str:
    """The absolute path if it exists; one that is looked up elsewhere ($UNETSEG_DATA) stays as it is."""
    given = Path(path).expanduser()
    return os.path.abspath(given) if path and given.exists() else path


def choose_fold(experiment: Experiment, name: str | None) -> Experiment:
    """The experiment with the split of one of its folds; its name says which.

    Raises UserError for an unknown fold, and for no fold if the experiment has some.
    """
    folds = experiment.folds
    if name is None and not folds:
        return experiment
    if name is None:
        raise UserError(f"{experiment.name} has the folds {', '.join(folds)}: choose one with --fold.")
    if name not in folds:
        raise UserError(f"{experiment.name} has no fold {name!r}; {did_you_mean(name, folds)}")
    data = dataclasses.replace(experiment.data, **dataclasses.asdict(folds[name]))
    return dataclasses.replace(experiment, name=f"{experiment.name}-{name}", data=data, folds={})


def choose_net(experiment: Experiment, name: str, source: str = "the experiment") -> Experiment:
    """The experiment with the network of its table [nets.NAME], on the same data.

    Its own tables, such as [nets.NAME.train], change single keys of the experiment's. A name without a
    table is the experiment's own network, or another one with its default options.
    Raises UserError for a wrong key or value in the table.
    """
    if name not in experiment.nets:
        own = name == experiment.net["name"]
        return dataclasses.replace(
            experiment, net=experiment.net if own else full_net({"name": name}), nets={}
        )
    table = experiment_table(dataclasses.replace(experiment, nets={}))
    for key, value in experiment.nets[name].items():
        if isinstance(value, dict):
            if key not in NET_TABLES:
                place = f"{source}: nets.{name}.{key}"
                raise UserError(f"{place}: no such table; {did_you_mean(key, NET_TABLES)}")
            table[key] |= value
    options = {k: v for k, v in experiment.nets[name].items() if not isinstance(v, dict)}
    return parse_experiment(table | {"net": {"name": name, **options}}, f"{source}, [nets.{name}]")


def find_data(root: str) -> Path:
    """The data folder: the given path if it exists, else below the folder in $UNETSEG_DATA."""
    given = Path(root).expanduser()
    base = os.environ.get(DATA_VARIABLE)
    if not given.exists() and base and (Path(base) / root).exists():
        return Path(base) / root
    if not given.exists():
        below = f" nor below {DATA_VARIABLE} = {base}" if base else f" ({DATA_VARIABLE} is not set)"
        raise UserError(
            f"data.root = {root!r}: no such folder{below}. Set data.root, or "
            "--root, to the data set's folder; `unetseg data` says where to download the public ones."
        )
    return given


def _check_plain(value: Any, place: tuple[str, ...], source: str) -> None:
    """Raise UserError for numbers and texts that no setting accepts."""
    problem = ""
    if isinstance(value, dict | list | tuple):
        if len(place) >= DEPTH:
            raise UserError(f"{source}: {'.'.join(place)}: tables are nested too deeply.")
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _check_plain(key, (*place, "a key"), source)
            _check_plain(inner, (*place, str(key)), source)
    elif isinstance(value, float) and not math.isfinite(value):
        problem = f"{value}: must be a finite number"
    elif isinstance(value, int) and abs(value) > LARGEST:
        problem = f"{min(abs(value), 10**300):.3g}: must be a number below {LARGEST}"
    elif isinstance(value, str) and (len(value) > LONGEST or CONTROL.search(value)):
        problem = f"{value[:40]!r}: must be a text of at most {LONGEST} characters, on one line"
    if problem:
        raise UserError(f"{source}: {'.'.join(place)} = {problem}.")


def _check_keys(table: dict[str, Any], cls: type, place: tuple[str, ...], source: str) -> None:
    """Unknown keys first, with the nearest allowed one; the keys of `net` are checked by build_net."""
    hints = get_type_hints(cls)
    for key, value in table.items():
        dotted = ".".join((*place, key))
        if dotted in RENAMED:
            raise UserError(f"{source}: {dotted} is now called {RENAMED[dotted]}. Rename the key.")
        if dotted == "target.kind" and value in OLD_KINDS:
            raise UserError(f'{source}: {dotted} = "{value}" is now called "{OLD_KINDS[value]}".')
        if key not in hints:
            raise UserError(f"{source}: unknown key {dotted!r}; {did_you_mean(key, hints)}")
        if dataclasses.is_dataclass(hints[key]) and isinstance(value, dict):
            _check_keys(value, hints[key], (*place, key), source)
        if key == "folds" and isinstance(value, dict):
            for fold, selections in value.items():
                if isinstance(selections, dict):
                    _check_keys(selections, Fold, (*place, key, fold), source)


def _explain(error: ErrorDetails, source: str) -> str:
    loc, given = error["loc"], json.dumps(error["input"], ensure_ascii=False)
    if loc[0] == "nets" and len(loc) > 2:
        return f"{source}: nets.{loc[1]}.{loc[2]} = {given}: must be a number, a text, true/false or a table."
    if loc[0] == "net" and len(loc) > 1:  # pydantic reports an error for each type of the union
        return f"{source}: net.{loc[1]} = {given}: must be a number, a text or true/false."
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    message = error["msg"].replace("Input should be", "must be")
    match error["type"]:
        case "missing":
            return f"{source}: {key} is missing."
        case "tuple_type":
            message = f"must be a list: [{given}]"
        case "too_long" | "too_short":
            message = message.replace("Tuple should", "must").split(" after")[0]
        case "dataclass_type" | "dict_type":
            message = f"must be a table: [{key}] and its keys below it"
        case kind if kind in PLAIN_TYPES:
            message = f"must be {PLAIN_TYPES[kind]}"
    return f"{source}: {key} = {given}: {message}."


def _follows(error: ErrorDetails) -> bool:
    """Whether a list counts as too short only because one of its items is wrong."""
    return error["type"] == "too_short" and error["ctx"]["actual_length"] != len(error["input"])


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, tuple) else value
