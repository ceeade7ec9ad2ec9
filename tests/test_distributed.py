"""Several processes train as one: equal weights everywhere, and those of one process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import tomli_w
import torch
from click.testing import CliRunner

from unetseg.cli import cli
from unetseg.config import experiment_table
from unetseg.distributed import own_part
from unetseg.errors import UserError
from unetseg.settings import DataSettings, Experiment, TrainSettings

ROOT = Path(__file__).parents[1]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
STEPS = 12
EACH_RANK = """
import sys, torch
from unetseg.batches import batches
from unetseg.distributed import process_group, rank
from unetseg.losses import weighted_cross_entropy
from unetseg.nets import build_net
from unetseg.settings import AugmentSettings, TrainSettings
from unetseg.train import new_state, train
from tests.test_train import disc_examples

with process_group("cpu"):
    device, settings = torch.device("cpu"), TrainSettings(steps=4, batch=4, crop=(16,))
    options = {"width": 4, "depth": 2, "padding": "same", "norm": "none", "dropout": 0.0}
    state = new_state(build_net("unet", channels=1, classes=2, seed=1, **options), settings, device)
    source = batches(disc_examples(), augment=AugmentSettings(), crop=(16, 16), device=device,
                     footprint=state.net.footprint, train=settings, seed=7, start=0)
    losses = [s.loss for s in train(state, source, weighted_cross_entropy, settings, seed=7, device=device)]
    torch.save({"weights": state.net.state_dict(), "losses": losses}, f"{sys.argv[1]}/{rank()}.pt")
"""


def torch_environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def experiment_file(folder: Path) -> Path:
    """Bright discs to tell from background, and a net without batch norm and dropout."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:32, :32]
    for i in range(6):
        labels = ((y - 16) ** 2 + (x - 10 - i) ** 2 < 40).astype(np.uint8)
        for name, pixels in (("images", 90 * labels + rng.integers(0, 60, labels.shape)), ("labels", labels)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / name / f"{i}.tif", pixels.astype(np.uint8))
    made = Experiment(
        name="shared",
        device="cpu",
        data=DataSettings(task="folder", root=str(folder), test=("5",), labels="instances"),
        net={"name": "unet", "width": 4, "depth": 2, "padding": "same", "norm": "none", "dropout": 0.0},
        train=TrainSettings(steps=STEPS, batch=4, crop=(16,), validate_every=5),
    )
    path = folder / "experiment.toml"
    path.write_text(tomli_w.dumps(experiment_table(made)))
    return path


def run(*command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, env=torch_environment(), timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def weights(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)["state"]["net"]


@pytest.mark.parametrize(("rank", "part"), [("0", slice(0, 2)), ("2", slice(4, 6))])
def test_parts_of_a_batch_follow_the_ranks(monkeypatch: pytest.MonkeyPatch, rank: str, part: slice) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", rank)
    assert own_part(6) == part


def test_a_batch_that_cannot_be_shared_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UserError, match=r"train.batch = 6 .* by 4 processes. Start one of 1, 2, 3, 6"):
        own_part(6)


def test_commands_that_do_not_share_their_work_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = CliRunner().invoke(cli, ["demo"])
    assert result.exit_code == 2
    assert "only `train` runs in several" in result.output


@pytest.mark.slow
def test_every_process_holds_the_weights_of_one_process_with_the_whole_batch(tmp_path: Path) -> None:
    script = tmp_path / "each_rank.py"
    script.write_text(EACH_RANK)
    alone = tmp_path / "alone"
    alone.mkdir()
    run(*TORCHRUN, str(script), str(tmp_path))
    run(sys.executable, str(script), str(alone))
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    whole = torch.load(alone / "0.pt", weights_only=True)
    assert one["losses"] == other["losses"]
    assert all(torch.equal(one["weights"][k], other["weights"][k]) for k in whole["weights"])
    np.testing.assert_allclose(one["losses"], whole["losses"], rtol=0, atol=1e-5)
    for name, value in whole["weights"].items():
        torch.testing.assert_close(one["weights"][name], value, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_command_trains_stops_and_resumes_in_two_processes(tmp_path: Path) -> None:
    """The first process alone writes and speaks; stopped and resumed gives the same weights."""
    file = str(experiment_file(tmp_path / "data"))
    train = [*TORCHRUN, "-m", "--", "unetseg", "train"]  # without "--" torchrun takes --run for its own
    done = run(*train, file, "--run", str(tmp_path / "two"))
    assert done.stdout.count("scores on the test part") == 1
    run(sys.executable, "-m", "unetseg", "train", file, "--run", str(tmp_path / "one"))
    records = (tmp_path / "two" / "log.jsonl").read_text().splitlines()
    assert len([r for r in records if '"loss"' in r]) == STEPS
    two = weights(tmp_path / "two" / "last.pt")
    for name, value in weights(tmp_path / "one" / "last.pt").items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-5)
    stop_early([*train, file, "--run", str(tmp_path / "cut")], tmp_path / "cut" / "log.jsonl")
    assert 0 < torch.load(tmp_path / "cut" / "last.pt", weights_only=True)["state"]["step"] < STEPS
    run(*train, "--resume", str(tmp_path / "cut"))
    cut = weights(tmp_path / "cut" / "last.pt")
    assert all(torch.equal(cut[k], two[k]) for k in two)


def stop_early(command: list[str], log: Path) -> None:
    """Ctrl-C as a terminal sends it, to the whole group, once the first step is done."""
    process = subprocess.Popen(command, env=torch_environment(), start_new_session=True)
    while process.poll() is None and not (log.is_file() and log.read_text()):
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(120)
