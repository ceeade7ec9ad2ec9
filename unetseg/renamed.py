"""Settings under the names they had before version 0.1: refused in experiment files, read in old results.

A run folder or a model file holds its settings by name, and those made with the old names still load.
"""

from __future__ import annotations

from typing import Any

RENAMED = {
    "data.shrink": "data.downsample",
    "target.levels": "target.distances_px",
    "train.best_by": "train.select_by",
    "train.balanced": "train.class_balanced_crops",
    "labels.seeds": "labels.seed_threshold",
    "labels.smallest": "labels.min_area",
    "labels.holes": "labels.max_hole_area",
    "labels.average": "labels.test_time_augmentation",
    "labels.median": "labels.median_radius",
}
"""The present name of every key that had another one."""
OLD_KINDS = {"depth": "distance"}
"""The present name of every `target.kind` that had another one."""


def with_present_names(table: dict[str, Any]) -> dict[str, Any]:
    """The tables of an old run or model under present names, as nested plain values.

    `labels.holes` was the area of the smallest hole left open, `labels.max_hole_area` is that of the largest
    one filled.
    """
    found = {key: _renamed(key, value) if isinstance(value, dict) else value for key, value in table.items()}
    if isinstance(table.get("nets"), dict):
        found["nets"] = {
            name: with_present_names(net) if isinstance(net, dict) else net
            for name, net in table["nets"].items()
        }
    if "shrink" in table:  # a model's recipe
        found["downsample"] = found.pop("shrink")
    return found


def _renamed(section: str, table: dict[str, Any]) -> dict[str, Any]:
    if isinstance(table.get("holes"), int):
        table = {**table, "holes": max(table["holes"] - 1, 0)}
    if section == "target" and str(table.get("kind")) in OLD_KINDS:
        table = {**table, "kind": OLD_KINDS[str(table["kind"])]}
    names = {key: RENAMED.get(f"{section}.{key}", f".{key}").split(".")[1] for key in table}
    return {names[key]: value for key, value in table.items()}
