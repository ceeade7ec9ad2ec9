"""Which device computes, and its name."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any, cast

import psutil
import torch

from unetseg.allocator import peak_resident
from unetseg.errors import UserError, ran_out_of_memory

Mark = float | torch.cuda.Event
"""A point in time: of the clock, or on CUDA of the device's work."""
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

BF16_FLAGS = {"amx_bf16", "avx512_bf16"}
"""Of x86 processors that compute in bf16; on others torch converts to float32 and back."""
CLEARLY_FASTER = 1.2


def choose_device(wanted: str = "auto") -> torch.device:
    """The device of this name, or with "auto" the first of CUDA, Apple MPS and the CPU that is available."""
    # `describe_device` says it once, instead of torch at every operation that MPS lacks
    warnings.filterwarnings("ignore", message="The operator .* fall back to run on the CPU")
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device {wanted!r} cannot be used here ({str(error).splitlines()[0]}). "
            "Allowed: auto, cpu, cuda, cuda:N, mps."
        ) from None
    return device


def describe_device(device: torch.device) -> str:
    """The device in one line, with its memory or number of threads."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        return f"{torch.cuda.get_device_name(device)}, {memory:.0f} GiB ({device})"
    if device.type == "cpu":
        return f"CPU, {torch.get_num_threads()} threads of {os.cpu_count()} cores"
    if device.type == "mps":
        return "Apple GPU (mps); operations that it lacks run on the processor"
    return str(device)


def fast_precision(device: torch.device) -> tuple[str, str]:
    """The fastest precision for training on the device, and the reason.

    Decided by the instructions that a processor lists or by a GPU's compute capability; a processor that
    lists none is timed.
    """
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        found = "bf16" if major >= 8 else "fp16" if major == 7 else "float32"
        return found, f"compute capability {major}.{minor}"
    if device.type != "cpu":
        return "float32", f"{device.type} has no faster precision here"
    flags = _processor_flags()
    if not flags:
        return _faster_of_two()
    known = sorted(flags & BF16_FLAGS)
    return ("bf16", f"this processor has {known[0]}") if known else ("float32", "this processor has no bf16")


def slow_precision(precision: str, device: torch.device) -> str:
    """A warning where the precision is slower than float32 on the device; else an empty text."""
    if precision == "float32":
        return ""
    fast, reason = fast_precision(device)
    slow = {"cpu": {"bf16", "fp16"}, "cuda": {"bf16"} if fast != "bf16" else set()}
    if precision == fast or precision not in slow.get(device.type, set()):
        return ""
    return (
        f"warning: precision {precision} is slow here ({reason}): {fast} is faster. "
        'Set train.precision = "auto"'
    )


def _processor_flags() -> set[str]:
    """The instruction sets that the system lists for an x86 processor; empty where it lists none."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("flags"):
                return set(line.split(":")[1].split())
    return set()


def _faster_of_two() -> tuple[str, str]:
    """bf16 or float32, whichever takes less time for a convolution and its gradient."""
    conv, image = torch.nn.Conv2d(32, 32, 3, padding=1), torch.randn(2, 32, 96, 96)
    seconds = {"float32": math.inf, "bf16": math.inf}
    for _, precision in itertools.product(range(4), seconds):
        started = time.perf_counter()
        with precision_context(precision, image.device):
            conv(image).float().sum().backward()
        seconds[precision] = min(seconds[precision], time.perf_counter() - started)
    ratio = seconds["float32"] / seconds["bf16"]
    found = "bf16" if ratio > CLEARLY_FASTER else "float32"
    return found, f"float32 takes {ratio:.2g} times as long as bf16, as measured"


def peak_memory(device: torch.device) -> int:
    """The most bytes this process has held so far: of a GPU's memory on a GPU, else of main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    usage = psutil.Process().memory_info()
    return int(getattr(usage, "peak_wset", 0)) or peak_resident(usage.rss)


def free_memory(device: torch.device) -> int:
    """Bytes of a CUDA device that this process can still have: those free, and those it holds unused."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def mark(device: torch.device) -> Mark:
    """The present time; on CUDA, the time when the device finishes the work queued so far."""
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event


def seconds_between(start: Mark, end: Mark) -> float:
    """Seconds from one mark to another of the same device; waits until the device has reached it."""
    if isinstance(start, float) or isinstance(end, float):
        return cast(float, end) - cast(float, start)
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def memory_limit() -> int:
    """Bytes of memory that this process may use: the machine's, or what `ulimit -v` leaves of it."""
    total = int(psutil.virtual_memory().total)
    if sys.platform == "win32":
        return total
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    return total if allowed == resource.RLIM_INFINITY else min(total, allowed)


@contextlib.contextmanager
def memory_errors(advice: str) -> Iterator[None]:
    """Turn torch's out-of-memory errors into one UserError that ends with `advice`."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; the CPU allocator raises it plain
        if not ran_out_of_memory(error):
            raise
        raise UserError(f"not enough memory ({str(error).splitlines()[0]}). {advice}") from None


def make_deterministic(wanted: bool = True) -> None:
    """Use operations that give the same bits on every run of the same seed, data and device.

    Where there is none (3-D max-pooling on CUDA) torch warns. With False, any operation may be used.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    # torch would fill new memory to expose bugs, which costs 3 % of the time
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def precision_context(
    precision: str, device: torch.device, *, fast: bool = False
) -> contextlib.AbstractContextManager[Any]:
    """Mixed precision on the device; with "float32" CUDA computes in float32, not in its TF32.

    fast: on CUDA convolutions take whichever algorithm is measured to be fastest, and "float32" is TF32
    (10 bits of mantissa) there.
    """
    if device.type == "cuda":
        stack = contextlib.ExitStack()
        stack.enter_context(
            torch.backends.cudnn.flags(enabled=True, benchmark=fast, deterministic=not fast, allow_tf32=fast)
        )
        if precision != "float32":
            stack.enter_context(torch.autocast("cuda", PRECISIONS[precision]))
        return stack
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, PRECISIONS[precision])


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Make torch compute in the calling thread alone: for work beside a thread that computes.

    Each thread that runs parallel operations has its own team of helper threads. If the process has more of
    them than processors, OpenMP puts idle ones to sleep at once, even when only one team is at work, and
    waking them takes as long as a short operation (docs/speed.md).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
