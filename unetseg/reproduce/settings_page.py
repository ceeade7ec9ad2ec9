"""The settings of an experiment as a page of documentation and as a JSON schema for editors."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterator
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from unetseg.nets import NETS, net_options
from unetseg.pipeline.auto import DERIVED
from unetseg.settings import NARROW_UNET, PRESETS, Experiment

DIALECT = "https://json-schema.org/draft/2020-12/schema"
INTRODUCTION = """\
# Settings

Written by `unetseg settings --out docs/settings.md` from the classes in `unetseg/settings.py`.

An experiment file is TOML; each table below is one of its tables. It names only what differs. A key marked
with † has no fixed default: `unetseg train` derives it from the training and validation parts, and prints it
with its reason. A run folder's `experiment.toml` holds every key with the value that was used.

Editors complete and check keys by [the schema](experiment.schema.json), which `unetseg settings --schema`
prints; for Taplo and VS Code's Even Better TOML the first line of the file names it:
`#:schema PATH/experiment.schema.json`.
"""
NETS_TEXT = """\
## [net]

`name` is one of the networks below; the other keys are its options, with these defaults. The U-Net's
are those of its `preset`, `"default"` or `"paper"` (Ronneberger 2015, fig. 1).

| name | options |
|---|---|"""
FOLDS_TEXT = """\
## [folds.NAME] and [nets.NAME]

A fold names `train`, `validate` and `test`, selections as in `[data]`; `--fold NAME` takes one. A table
`[nets.NAME]` holds the options of another network to compare, and `[nets.NAME.train]` (or `data`,
`target`, `augment`, `labels`) what differs for it."""
HEAD = ["| key | allowed | default |", "|---|---|---|"]


def settings_page() -> str:
    """Markdown: a section for each table, with the docstring of its class and a row for each key."""
    schema = experiment_schema()
    hints: dict[str, type] = get_type_hints(Experiment)
    tables = [(name, cls) for name, cls in hints.items() if dataclasses.is_dataclass(cls)]
    plain = {k: v for k, v in schema["properties"].items() if v.get("type") in ("string", "integer")}
    parts = [INTRODUCTION, "## At the top", "", _text(Experiment), "", *HEAD, *_rows("", plain), ""]
    for name, cls in tables:
        keys = schema["$defs"][cls.__name__]["properties"]
        parts += [f"## [{name}]", "", _text(cls), "", *HEAD, *_rows(f"{name}.", keys), ""]
    return "\n".join([*parts, *_nets(), "", FOLDS_TEXT]) + "\n"


def schema_text() -> str:
    """The schema as a file."""
    return json.dumps(experiment_schema(), indent=2, ensure_ascii=False) + "\n"


def experiment_schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of an experiment file; unknown keys are errors, as they are in reading."""
    schema = TypeAdapter(Experiment).json_schema()
    closed = [schema, *schema["$defs"].values()]
    for table in closed:
        table["additionalProperties"] = False
    net = schema["properties"]["net"]
    net["properties"] = {"name": {"enum": list(NETS)}, "preset": {"enum": list(PRESETS)}}
    return {"$schema": DIALECT} | schema


def _text(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def _rows(prefix: str, keys: dict[str, dict[str, Any]]) -> Iterator[str]:
    for key, schema in keys.items():
        derived = prefix + key in DERIVED
        mark = " †" if derived else ""
        fixed = "" if schema.get("default") is None else f"`{json.dumps(schema['default'])}`"
        default = "derived" if derived else fixed
        yield f"| `{key}`{mark} | {_allowed(schema)} | {default} |"


def _allowed(schema: dict[str, Any]) -> str:
    """The allowed values of a key as text."""
    if "anyOf" in schema:
        return _allowed(next(s for s in schema["anyOf"] if s.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(v)}`" for v in schema["enum"])
    if schema["type"] == "array":
        return f"list, each {_allowed(schema['items'])}"
    if schema["type"] == "object":
        return f"table, each {_allowed(schema['additionalProperties'])}"
    words = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}
    least = _bound(schema, "minimum", "from") or _bound(schema, "exclusiveMinimum", "above")
    most = _bound(schema, "maximum", "to") or _bound(schema, "exclusiveMaximum", "below")
    return " ".join(filter(None, [words[schema["type"]], least, most]))


def _bound(schema: dict[str, Any], key: str, word: str) -> str:
    return f"{word} {schema[key]:,}" if key in schema else ""


def _nets() -> Iterator[str]:
    yield NETS_TEXT
    for preset, options in PRESETS.items():
        shown = {k: v for k, v in options.items() if k != "name"} | {"dims": 2}
        yield f'| `"unet"`, preset `"{preset}"` | {_options(shown)} |'
    for name in NETS:
        if name != NARROW_UNET["name"]:
            yield f'| `"{name}"` | {_options(net_options(name))} |'


def _options(options: dict[str, Any]) -> str:
    return ", ".join(f"`{key} = {json.dumps(value)}`" for key, value in options.items())
