"""One writer at a time; a lock of a process that was killed is no obstacle."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from unetseg.errors import UserError
from unetseg.locks import InUse, locked

HOLD = """
import sys, time
from pathlib import Path
from unetseg.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_process_gets_the_name_of_the_first_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.ome.zarr"
    process = holder(path)
    try:
        for _ in range(2):  # a failed try leaves the holder's record
            with (
                pytest.raises(InUse, match=f"written by process {process.pid} on {socket.gethostname()}"),
                locked(path),
            ):
                pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with locked(path):
        pass
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files, for root neither, on Linux")
def test_a_place_that_takes_no_files_is_not_in_use() -> None:
    with pytest.raises(UserError, match="no file can be created there") as error, locked(Path("/proc/a.tif")):
        pass
    assert not isinstance(error.value, InUse)


def test_other_results_of_the_same_folder_are_free_and_errors_release(tmp_path: Path) -> None:
    twice = pytest.raises(InUse, match=str(os.getpid()))
    with locked(tmp_path / "a.tif"), locked(tmp_path / "b.tif"), twice, locked(tmp_path / "a.tif"):
        pass
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "a.tif"):
        _ = 1 / 0
    with locked(tmp_path / "a.tif"):
        pass


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be locked"), locked(tmp_path / "file" / "out.tif"):
        pass
