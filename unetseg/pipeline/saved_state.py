"""The state that a training resumes from, in a file: checked against the experiment when it is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unetseg.errors import UserError
from unetseg.pipeline.weights_file import load_plain, save_plain
from unetseg.train import State

KIND = "unetseg-state"
HOW = {"lr", "capturable", "decoupled_weight_decay", "differentiable", "foreach", "fused", "maximize"}
"""Entries of an optimizer's group that change at every step, or that depend on the version of torch."""
MOMENTS = {"SGD": {"momentum_buffer"}, "AdamW": {"step", "exp_avg", "exp_avg_sq"}}
"""What each optimizer keeps for a parameter, once it has a gradient."""


def save_state(path: Path, state: State, best: float) -> None:
    """Write the state and the best validation score so far (the caller replaces atomically)."""
    save_plain(path, KIND, {"state": state.state_dict(), "best": best})


def load_state(path: Path, state: State, steps: int) -> tuple[float, str]:
    """Put what `save_state` wrote into a new `state` of the same experiment, which has `steps` steps.

    Returns the best validation score, and a note for the user or "". Raises UserError, which names the file,
    if it is damaged, or is not a state of this experiment.
    """
    saved = load_plain(path, KIND)
    table, best = saved.values.get("state"), saved.values.get("best")
    if not isinstance(table, dict) or type(best) is not float or math.isnan(best):
        raise UserError(f"{path}: not the state of a training. Train a new run.")
    problem = _problem(table, state, steps)
    if problem:
        raise UserError(
            f"{path}: does not fit {path.with_name('experiment.toml')}, which was changed since ({problem}). "
            "Restore the settings, or train a new run."
        )
    groups = state.optimizer.state_dict()["param_groups"]
    state.load_state_dict({**table, "optimizer": {**table["optimizer"], "param_groups": groups}})
    return best, saved.note


def _problem(table: dict[str, Any], state: State, steps: int) -> str:
    """What in a saved state does not fit a new one; "" if everything does."""
    fresh = state.state_dict()
    if table.keys() != fresh.keys():
        return "other parts"
    if type(table["step"]) is not int or not 0 <= table["step"] <= steps:
        return f"step {str(table['step'])[:20]} of {steps}"
    if not _alike(table["net"], fresh["net"]):
        return "other weights"
    if not _alike(table["scaler"], fresh["scaler"]):
        return "another precision"
    return "" if _optimizer_fits(table["optimizer"], state.optimizer) else "another optimizer"


def _optimizer_fits(saved: Any, optimizer: torch.optim.Optimizer) -> bool:
    """Whether parameter groups and settings are the same, and each parameter has numbers of its shape."""
    fresh = optimizer.state_dict()
    if not isinstance(saved, dict) or saved.keys() != fresh.keys() or not isinstance(saved["state"], dict):
        return False
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if not _equal_groups(saved["param_groups"], fresh["param_groups"]):
        return False
    names = MOMENTS[type(optimizer).__name__]
    return all(
        type(i) is int
        and 0 <= i < len(parameters)
        and isinstance(v, dict)
        and v.keys() == names
        and _moments_fit(v, parameters[i])
        for i, v in saved["state"].items()
    )


def _equal_groups(saved: Any, fresh: list[dict[str, Any]]) -> bool:
    if not isinstance(saved, list) or not all(isinstance(group, dict) for group in saved):
        return False
    return [_settings(group) for group in saved] == [_settings(group) for group in fresh]


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key not in HOW}


def _moments_fit(moments: dict[str, Any], parameter: Tensor) -> bool:
    """Whether each is empty, one number, or as many as the parameter's, and all are finite."""
    return all(
        value is None
        or (
            isinstance(value, Tensor)
            and value.is_floating_point()
            and value.shape in ((), parameter.shape)
            and bool(torch.isfinite(value).all())
        )
        for value in moments.values()
    )


def _alike(saved: Any, fresh: Any) -> bool:
    """The same names, and values of the same type, tensors also of the same shape and dtype, finite."""
    if not isinstance(saved, dict) or saved.keys() != fresh.keys():
        return False
    for name, value in saved.items():
        if isinstance(fresh[name], Tensor):
            fits = isinstance(value, Tensor) and (value.shape, value.dtype) == (
                fresh[name].shape,
                fresh[name].dtype,
            )
            if not fits or not bool(torch.isfinite(value).all()):
                return False
        elif type(value) is not type(fresh[name]):
            return False
    return True
