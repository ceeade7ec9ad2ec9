"""All benchmarks in one table, ours beside named peers and limits timed in the same run.

    python -m benchmarks [--quick] [--only NAME]… [--out FILE]

Prints a Markdown table and writes it as JSON, with the machine, to benchmarks.json. `--quick`
takes tiny sizes, to see that all runs; its figures mean nothing. Rows for a GPU come where there
is one; a peer that is not installed has none.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from benchmarks.rows import Row, table
from unetseg.device import choose_device, describe_device
from unetseg.files import write_json

BENCHMARKS = ("weight_maps", "elastic", "training", "tiling", "window", "large", "engines", "start")
THREADS = 1


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    return {
        "device": describe_device(choose_device("auto")),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
    }


def measured(name: str, quick: bool) -> list[Row]:
    """The rows of one benchmark; one that fails is reported and leaves the others alone."""
    started = time.perf_counter()
    try:
        module = importlib.import_module(f"benchmarks.{name}")
        if not hasattr(module, "rows"):
            print(f"{name}: runs by itself, python -m benchmarks.{name}", file=sys.stderr)
            return []
        rows: list[Row] = module.rows(quick=quick)
    except Exception:
        traceback.print_exc()
        print(f"{name}: failed", file=sys.stderr)
        return []
    print(f"{name}: {len(rows)} rows in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=BENCHMARKS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks.json"))
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    started, there = time.perf_counter(), machine()
    names = [n for n in asked.only or BENCHMARKS if importlib.util.find_spec(f"benchmarks.{n}")]
    rows = [row for name in names for row in measured(name, asked.quick)]
    print(json.dumps(there))
    print(table(rows))
    print(f"{time.perf_counter() - started:.0f} s in all")
    write_json(asked.out, {"machine": there, "quick": asked.quick, "rows": [row.plain() for row in rows]})


if __name__ == "__main__":
    main()
