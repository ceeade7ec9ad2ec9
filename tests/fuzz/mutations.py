"""Ways to damage bytes and JSON, each by a random generator, each described in a few words."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

EXTREME = (0, 1, 2, 7, 8, 127, 255, 256, 32767, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
WRONG: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 2**31, 2**63, 10**30, "", "x", "../..", "/", "\0"),
    *([], [0], [-1], [[]], ["y", "x"], {}, {"a": 1}, [2**40, 2**40], float("nan")),
)
HOSTILE: tuple[Any, ...] = (
    *("x/../../../precious/thesis", "../precious/thesis", "/etc/passwd", "$x$ <b>&", "ä" * 300, "x" * 10_000),
    *(2, 3, 7, 255, 65_536, 2**64 + 1, -0.5, 0.5, 1e-300, 1e308, float("inf"), [0.1] * 9, ["*"], "auto"),
    {"kind": "classes"},
)


def damage_bytes(path: Path, rng: np.random.Generator) -> str:
    """One of the ways below, on a file."""
    ways: tuple[Callable[[bytearray, np.random.Generator], str], ...] = (
        cut,
        flip,
        flip_head,
        extreme,
        splice,
    )
    data = bytearray(path.read_bytes())
    words = ways[rng.integers(len(ways))](data, rng)
    path.write_bytes(data)
    return words


def cut(data: bytearray, rng: np.random.Generator) -> str:
    """The file ends early."""
    end = int(rng.integers(0, len(data)))
    del data[end:]
    return f"cut to {end} bytes"


def flip(data: bytearray, rng: np.random.Generator) -> str:
    """A few bytes anywhere become others."""
    places = rng.integers(0, len(data), int(rng.integers(1, 20)))
    for place in places:
        data[place] = int(rng.integers(256))
    return f"bytes {sorted(map(int, places))} changed"


def flip_head(data: bytearray, rng: np.random.Generator) -> str:
    """A few bytes of the first 400 or of the last 400 become others: headers stand there."""
    offset = int(rng.integers(2)) * max(0, len(data) - 400)
    places = offset + rng.integers(0, min(400, len(data)), int(rng.integers(1, 4)))
    for place in places:
        data[place] = int(rng.integers(256))
    return f"bytes {sorted(map(int, places))} changed"


def extreme(data: bytearray, rng: np.random.Generator) -> str:
    """An integer of 2, 4 or 8 bytes near either end becomes an extreme one."""
    size, value = int(rng.choice([2, 4, 8])), int(rng.choice(EXTREME))
    offset = int(rng.integers(2)) * max(0, len(data) - 400)
    place = offset + int(rng.integers(0, min(400, len(data) - offset)))
    order = "little" if rng.integers(4) else "big"
    data[place : place + size] = (value % 2 ** (8 * size)).to_bytes(size, order)  # type: ignore[arg-type]
    return f"{size} bytes at {place} set to {value} ({order})"


def splice(data: bytearray, rng: np.random.Generator) -> str:
    """A block is removed, or stands twice."""
    start = int(rng.integers(0, len(data)))
    block = data[start : start + int(rng.integers(1, 200))]
    if rng.integers(2):
        del data[start : start + len(block)]
        return f"{len(block)} bytes at {start} removed"
    data[start:start] = block
    return f"{len(block)} bytes at {start} twice"


def damage_values(value: Any, rng: np.random.Generator) -> str:
    """One to three keys missing or values of a wrong type or size, in nested dictionaries and lists."""
    words = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        found = list(_places(value))
        if found:
            words.append(_damage_one(*found[rng.integers(len(found))], rng))
    return "; ".join(words)


def _damage_one(holder: Any, key: Any, rng: np.random.Generator) -> str:
    way, old = rng.integers(8), holder[key]
    if way == 0:
        del holder[key]
        return f"{key!r} removed"
    if way == 1 and isinstance(holder, dict):
        holder[str(rng.choice(["extra", "", "__class__", str(key).upper()]))] = _wrong(rng)
        return f"a key beside {key!r}"
    holder[key] = _wrong(rng)
    if way < 4 and isinstance(old, int | float) and not isinstance(old, bool):
        near = (-old, old + 1, old - 1, old * 1000, old * 10**9, float(old), str(old))
        holder[key] = near[rng.integers(len(near))]
    return f"{key!r} set to {str(holder[key])[:40]!r}"


def _wrong(rng: np.random.Generator) -> Any:
    return copy.deepcopy((WRONG + HOSTILE)[rng.integers(len(WRONG + HOSTILE))])


def damage_json(path: Path, rng: np.random.Generator) -> str:
    """A key is missing, or some value is of a wrong type or size."""
    document = json.loads(path.read_text())
    places = list(_places(document))
    holder, key = places[rng.integers(len(places))]
    if rng.integers(3) == 0:
        del holder[key]
        words = f"{key!r} removed"
    else:
        holder[key] = WRONG[rng.integers(len(WRONG))]
        words = f"{key!r} set to {holder[key]!r}"
    path.write_text(json.dumps(document))
    return f"{path.name}: {words}"


def _places(node: Any) -> Any:
    """Every (dictionary or list, key) of a document."""
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])
