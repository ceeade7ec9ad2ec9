"""The GPU script: a part that fails loses nothing, what is done is not run again, what is late is cut off."""

import importlib.util
import json
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "experiments" / "gpu.py"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("gpu", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu", module)
    spec.loader.exec_module(module)
    return module


def test_parts_are_independent_and_resumed(gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second part fails until its file is there; the third is too slow once."""

    def parts(data: Path, work: Path, check: bool) -> list[Any]:
        done, there = work / "done.json", work / "there"
        late = f"import pathlib, time; time.sleep(0 if pathlib.Path({str(there)!r}).exists() else 60)"
        commands = {
            "first": f"open({str(done)!r}, 'a').write('x')",
            "second": f"open({str(there)!r})",
            "third": late,
        }
        return [gpu.Part(name, [sys.executable, "-c", code], [done]) for name, code in commands.items()]

    monkeypatch.setattr(gpu, "parts", parts)
    monkeypatch.setattr(gpu, "device_name", lambda check: "card")
    asked = Namespace(
        data=tmp_path, wheels=None, out=tmp_path, work=tmp_path, minutes=0.05, parts=None, check=True
    )
    assert gpu.run(asked) == 1
    state = json.loads((tmp_path / "card" / "state.json").read_text())
    assert state == {"first": "done", "second": "failed (1)", "third": "cut off"}
    (tmp_path / "there").touch()
    asked.minutes = 5
    assert gpu.run(asked) == 0
    assert (tmp_path / "card" / "first-done.json").read_text() == "x"
    assert "FileNotFoundError" in (tmp_path / "card" / "second.txt").read_text()


def test_the_parts_come_in_the_order_of_their_worth_and_a_training_is_resumed(
    gpu: Any, tmp_path: Path
) -> None:
    tests, rows, hela = gpu.parts(tmp_path, tmp_path, False)
    assert "gpu" in tests.command
    assert "benchmarks.gpu" in rows.command
    assert hela.command[-4:] == ["--run", str(tmp_path / "dic-hela-01"), "--minutes", gpu.MINUTES_LEFT]
    (tmp_path / "dic-hela-01").mkdir()
    (tmp_path / "dic-hela-01" / "last.pt").touch()
    assert gpu.parts(tmp_path, tmp_path, False)[2].command[-2:] == ["--resume", str(tmp_path / "dic-hela-01")]


def test_what_a_part_prints_is_seen_as_it_comes_and_it_knows_its_time(
    gpu: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import sys, time; print('minutes', sys.argv[1]); print('an error', file=sys.stderr)\n"
        "sys.stdout.flush(); time.sleep(60)"
    )
    part = gpu.Part("late", [sys.executable, "-c", code, gpu.MINUTES_LEFT], [])
    seen: list[str] = []
    stop = gpu.wait

    def wait(process: Any, limit_s: float) -> Any:
        while "an error" not in "".join(seen):  # still running
            assert process.poll() is None
            seen.append(capfd.readouterr().out)
        return stop(process, 0.01)

    gpu.wait = wait
    assert gpu.run_part(part, dict(os.environ), tmp_path, 600) == "cut off"
    assert "minutes 9.25" in "".join(seen)
    assert "minutes 9.25" in (tmp_path / "late.txt").read_text()
