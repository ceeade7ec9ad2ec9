"""What a GPU does with ours, row by row, the most valuable first; each is printed and kept as it comes.

    python -m benchmarks.gpu OUT.jsonl [--quick]

Rows that OUT.jsonl holds already are not measured again, so a call that was cut off is simply repeated.
Where there is no GPU, or with --quick, sizes are tiny and the figures mean nothing: it shows that every
row runs. Samples a second are of steps in a row without a wait between them; the plain loop is what a
person writes by hand on a batch that never changes (see `benchmarks.training`). The rates are those of one
3×3 convolution of 64 channels and of one product of 4,096² matrices, at the same precision. MONAI's windows
of 512² overlap by a quarter, its default, or by half with Gaussian weights, which is how nnU-Net predicts.
"""

from __future__ import annotations

import argparse
import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import elastic
from benchmarks.gpu_prediction import SETTINGS, Prediction
from benchmarks.loops import Case, Step, plain
from benchmarks.rows import Row, interleaved_s, table
from benchmarks.training import ENDLESS, convolution_rate, flop, ours, peak_mib
from unetseg.device import choose_device, describe_device, precision_context
from unetseg.settings import NetOption, TrainSettings

PAPER: dict[str, NetOption] = {"dropout": 0.0}
DEFAULT: dict[str, NetOption] = {"width": 16, "padding": "same", "norm": "batch", "dropout": 0.0}
TINY: dict[str, NetOption] = {**DEFAULT, "width": 4, "depth": 2}
OPTIONS: dict[str, dict[str, Any]] = {
    "not deterministic": {"deterministic": False},
    "fused optimizer": {"fused": True},
    "float32": {"precision": "float32"},
    "fp16": {"precision": "fp16"},
    "torch's memory layout": {"channels_last": False},
    "CUDA graphs": {"cuda_graphs": True},
    "compile": {"compile": True},
    "all that is fast": {"deterministic": False, "fused": True, "cuda_graphs": True},
}
IN_A_ROW = 10
"""Steps that are timed together, so that the host may run ahead of the GPU."""


def measurements(quick: bool) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """Name and work of every measurement, in the order of their worth."""
    device = choose_device("auto")
    for name, net, crop, batches in (("paper", PAPER, 572, (1, 4, 16)), ("default", DEFAULT, 256, (4, 16))):
        for batch in batches[:1] if quick else batches:
            case = _case(name, TINY if quick else net, 64 if quick else crop, batch, device)
            yield f"step {name} {batch}", partial(_step_rows, case)
    prediction = Prediction(device, 128, tile=64) if quick else Prediction(device, 8192)
    yield "prediction", prediction.rows
    yield "prediction, MONAI", prediction.monai_rows
    for name, net, crop in (("default", DEFAULT, 256), ("paper", PAPER, 572))[: 1 if quick else 2]:
        case = _case(name, TINY if quick else net, 64 if quick else crop, 4, device)
        for option, changed in OPTIONS.items():
            yield f"option {name} {option}", partial(_option_row, case, option, changed)
    for setting in SETTINGS:
        yield f"prediction, {setting}", partial(prediction.setting_row, setting)
    yield "elastic", partial(elastic.rows, quick=quick)


def _case(name: str, net: dict[str, NetOption], crop: int, batch: int, device: torch.device) -> Case:
    settings = TrainSettings(steps=ENDLESS, batch=batch, crop=(crop,), schedule="constant", precision="bf16")
    return Case(f"{name} net, {batch} of {crop}², bf16", net, settings, device)


def _step_rows(case: Case) -> list[Row]:
    """Ours against the plain loop, the share of the device's rates, the share of data, and memory."""
    size = case.settings.batch * IN_A_ROW
    works: dict[str, Step] = {"ours": _in_a_row(ours(case)), "plain loop": _in_a_row(plain(case))}
    times = interleaved_s(works, 3)
    rate = flop(case.build(), case, case.crop) * IN_A_ROW / times["ours"] / 1e12
    limits = {
        "one convolution": convolution_rate(case) / 1e12,
        "one matrix product": _matmul_rate(case) / 1e12,
    }
    step: Any = ours(case)
    steps = [step() for _ in range(3)]
    share = steps[-1].data_s / steps[-1].total_s
    peak, peer = peak_mib(works["ours"], case.device), peak_mib(works["plain loop"], case.device)
    return [
        Row(case.title, size / times["ours"], "plain loop", size / times["plain loop"], "samples/s",
            times["plain loop"] / times["ours"]),
        *(Row(f"{case.title}: rate", rate, n, most, "TFLOP/s", rate / most) for n, most in limits.items()),
        Row(f"{case.title}: data", 100 * share, "the whole step", 100.0, "% of the time", share),
        Row(f"{case.title}: memory", peak, "plain loop", peer, "MiB", peer / peak),
    ]  # fmt: skip


def _option_row(case: Case, option: str, changed: dict[str, Any]) -> list[Row]:
    """A step with one setting changed beside the same step without."""
    other = replace(case, settings=replace(case.settings, **changed))
    times = interleaved_s({"changed": _in_a_row(ours(other)), "as set": _in_a_row(ours(case))}, 3)
    each = {name: 1e3 * seconds / IN_A_ROW for name, seconds in times.items()}
    title = f"{case.title}: {option}"
    return [Row(title, each["changed"], "as set", each["as set"], "ms", each["as set"] / each["changed"])]


def _matmul_rate(case: Case) -> float:
    """FLOP/s of a product of two square matrices at the case's precision."""
    n = 4096 if case.device.type == "cuda" else 256
    one, other = (torch.randn(n, n, device=case.device) for _ in range(2))

    def work() -> None:
        with precision_context(case.settings.precision, case.device):
            torch.matmul(one, other)

    return 2 * n**3 / interleaved_s({"": work}, 5)[""]


def _in_a_row(step: Step) -> Step:
    return lambda: [step() for _ in range(IN_A_ROW)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    kept = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out.is_file() else []
    done = {line["measurement"] for line in kept}
    print(describe_device(choose_device("auto")), f"torch {torch.__version__}", flush=True)
    quick = asked.quick or not torch.cuda.is_available()
    for name, measure in measurements(quick):
        if name in done:
            continue
        try:
            rows = measure()
        except ImportError as error:
            print(f"{name}: left out, {error}", flush=True)
            continue
        except Exception:  # one that fails leaves the others alone
            traceback.print_exc()
            continue
        print("\n".join(table(rows).splitlines()[2:]), flush=True)
        with asked.out.open("a") as out:
            out.writelines(
                json.dumps({"measurement": name, "quick": quick, **row.plain()}) + "\n" for row in rows
            )


if __name__ == "__main__":
    main()
