"""What is said about the device."""

import subprocess
import sys

import numpy as np
import pytest

PEAK = "import torch; from unetseg.device import peak_memory; print(peak_memory(torch.device('cpu')))"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system counts for each program")
def test_the_peak_is_that_of_this_program_and_not_of_who_started_it() -> None:
    held = np.ones(10**8)
    started = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert 10**8 < int(started.stdout) < held.nbytes
