"""Ctrl-C at any moment of an import: one line and exit code 130."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SLOW_IMPORT = """
import sys, time
try:
    print("importing", flush=True)
    time.sleep(30)
except KeyboardInterrupt:  # as some libraries do
    raise RuntimeError("initialization failed")
"""
LATER = """
import sys, unetseg.cli, unetseg.__main__
def command():
    import slow_module
unetseg.cli.main = command
unetseg.__main__.main()
"""
FIRST = """
import unetseg.__main__
import importlib, slow_finder
unetseg.__main__.main()
"""
FINDER = """
import importlib.util, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "unetseg.cli":
            return importlib.util.spec_from_file_location(name, SLOW)
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT can be sent to a process there")
@pytest.mark.parametrize("program", [LATER, FIRST], ids=["in a command", "of the command line"])
def test_ctrl_c_while_importing_is_one_line(tmp_path: Path, program: str) -> None:
    (tmp_path / "slow_module.py").write_text(SLOW_IMPORT)
    (tmp_path / "slow_finder.py").write_text(f"SLOW = {str(tmp_path / 'slow_module.py')!r}\n{FINDER}")
    started = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"sys_path = {str(tmp_path)!r}; import sys; sys.path.insert(0, sys_path)\n{program}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "importing\n"
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=20)
    assert (started.returncode, errors) == (130, "interrupted\n")
