"""What is said about the device."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from unetseg.device import choose_device, describe_device

PEAK = "import torch; from unetseg.device import peak_memory; print(peak_memory(torch.device('cpu')))"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system counts for each program")
def test_the_peak_is_that_of_this_program_and_not_of_who_started_it() -> None:
    held = np.ones(10**8)
    started = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert 10**8 < int(started.stdout) < held.nbytes


@pytest.mark.parametrize(("given", "expected"), [({}, "1"), ({"PYTORCH_ENABLE_MPS_FALLBACK": "0"}, "0")])
def test_operations_that_mps_lacks_may_run_on_the_processor(given: dict[str, str], expected: str) -> None:
    """Torch reads it when it is imported, so it must be set before; what the user has set stays."""
    code = (
        "import sys, unetseg; assert 'torch' not in sys.modules\n"
        "import os; print(os.environ['PYTORCH_ENABLE_MPS_FALLBACK'])"
    )
    before = {name: value for name, value in os.environ.items() if name != "PYTORCH_ENABLE_MPS_FALLBACK"}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=before | given
    )
    assert found.stdout.strip() == expected


def test_what_mps_lacks_is_said_once_and_not_at_every_operation() -> None:
    assert "run on the processor" in describe_device(torch.device("mps"))
    with warnings.catch_warnings(record=True) as caught:
        choose_device("cpu")
        warnings.warn("another", stacklevel=1)
        warnings.warn(
            "The operator 'aten::linalg_eigh' is not currently supported on the MPS backend and will fall "
            "back to run on the CPU. This may have performance implications.",
            stacklevel=1,
        )
    assert [str(w.message) for w in caught] == ["another"]
