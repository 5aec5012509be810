"""A killed training goes on where it was; what it left on disk holds no randomness and no rows."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from verticals.contract.model import Target
from verticals.errors import TrainingError, VerticalsError
from verticals.seeding import seeded
from verticals.training import Trained, TrainOptions, train_network
from verticals.training import checkpoint as saved

torch.set_num_threads(1)
TARGETS = (Target(name="y", column="y", kind="binary", positive="1"),)
OPEN = TrainOptions(
    epochs=10, batch_size=16, learning_rate=0.05, average=0.5, patience=4, checkpoint_seconds=0.0
)
MOMENTUM = TrainOptions(epochs=6, batch_size=16, optimizer="sgd", ema=0.9, checkpoint_seconds=0.0)
PRIVATE = TrainOptions(steps=30, batch_size=10_000, average=0.5, checkpoint_seconds=0.0)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.3), nn.Linear(4, 1))

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        return self.body(blocks["x"])


def loss(raw: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(raw[:, 0], columns["y"], reduction="none")


def part(seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(90, 3)).astype(np.float32)
    return {"x": x}, {"y": (x[:, 0] > 0).astype(float)}


def run(folder: Path | None, options: TrainOptions = OPEN, **more: Any) -> Trained:
    with seeded(0):
        network = Small()
    blocks, columns = part(0)
    private = options is PRIVATE
    settings: dict[str, Any] = {
        "seed": 0,
        "device": "cpu",
        "loss": loss,
        "validation": None if private else part(1),
        "epsilon": 3.0 if private else None,
    }
    return train_network(
        network,
        blocks,
        TARGETS,
        columns,
        options=options,
        checkpoint=folder,
        **{**settings, **more},
    )


def weights(result: Trained) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in result.network.state_dict().values()])


class Interrupted(Exception):
    """Stand in for a kill, inside this process."""


def stop_at(step: int) -> Any:
    def progress(what: str, done: int, of: int) -> None:
        if done == step:
            raise Interrupted

    return progress


def interrupt(folder: Path, step: int, options: TrainOptions = OPEN, **more: Any) -> None:
    with pytest.raises(Interrupted):
        run(folder, options, progress=stop_at(step), **more)


# Trains with the functions of this file in a process of its own, slowly, telling each step.
CHILD = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("training_checkpoint", {file!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

def progress(what, done, of):
    print(done, flush=True)
    time.sleep(0.02)

module.run(module.Path({folder!r}), module.{options}, progress=progress)
"""


def kill_at(step: int, folder: Path, options: str) -> None:
    code = CHILD.format(file=__file__, folder=str(folder), options=options)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= step:
                child.send_signal(signal.SIGKILL)
                break
        child.stdout.read()
        assert child.wait() == -signal.SIGKILL


def test_a_killed_training_ends_with_the_very_same_weights(tmp_path: Path) -> None:
    expected = run(None)
    kill_at(13, tmp_path, "OPEN")
    steps: list[int] = []
    resumed = run(tmp_path, progress=lambda what, done, of: steps.append(done))
    assert steps[0] > 10  # it went on, and did not start anew
    assert torch.equal(weights(resumed), weights(expected))
    assert resumed.facts == expected.facts


def test_a_killed_private_training_takes_the_planned_steps(tmp_path: Path) -> None:
    kill_at(9, tmp_path, "PRIVATE")
    steps: list[int] = []
    resumed = run(tmp_path, PRIVATE, progress=lambda what, done, of: steps.append(done))
    assert 9 < steps[0] <= 30
    assert steps[-1] == 30
    assert resumed.privacy is not None
    assert resumed.privacy.steps == 30
    assert resumed.privacy.epsilon <= 3.0


@pytest.mark.parametrize("step", [1, 6, 25, 59])
@pytest.mark.parametrize("options", [OPEN, MOMENTUM], ids=["adam", "sgd"])
def test_any_step_can_be_the_last_before_a_stop(
    tmp_path: Path, step: int, options: TrainOptions
) -> None:
    expected = run(None, options)
    if step < expected.facts["steps"]:
        interrupt(tmp_path, step, options)
        interrupt(tmp_path, step + 1, options)  # and twice
    assert torch.equal(weights(run(tmp_path, options)), weights(expected))


def test_the_best_weights_survive(tmp_path: Path) -> None:
    patient = TrainOptions(epochs=10, batch_size=16, patience=10, checkpoint_seconds=0.0)
    blocks, columns = part(1)
    opposed = {"validation": (blocks, {"y": 1.0 - columns["y"]})}  # best at the start
    expected = run(None, patient, **opposed)
    measured = expected.facts["history"]["validation_loss"]
    assert measured.index(min(measured)) < 8
    interrupt(tmp_path, 54, patient, **opposed)
    assert torch.equal(weights(run(tmp_path, patient, **opposed)), weights(expected))


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = run(tmp_path)
    steps: list[int] = []
    again = run(tmp_path, progress=lambda what, done, of: steps.append(done))
    assert steps == []
    assert torch.equal(weights(first), weights(again))
    assert first.facts == again.facts


def test_checkpoints_wait_for_their_time(tmp_path: Path) -> None:
    slow = TrainOptions(epochs=2, batch_size=16, checkpoint_seconds=3600.0)
    interrupt(tmp_path, 5, slow)
    assert list(tmp_path.iterdir()) == []
    run(tmp_path, slow)
    assert [path.name for path in tmp_path.iterdir()] == [saved.FILE]


def test_private_checkpoints_hold_no_randomness_and_no_rows(tmp_path: Path) -> None:
    interrupt(tmp_path, 20, PRIVATE)
    (file,) = tmp_path.iterdir()
    tensors, facts = saved.load_checkpoint(tmp_path) or ({}, {})
    weights_there = {f"network/{name}" for name in Small().state_dict()}
    moments = {
        f"optimizer/{place}/{key}"
        for place in range(4)
        for key in ("step", "exp_avg", "exp_avg_sq")
    }
    averages = {name.replace("network/", "average/") for name in weights_there}
    assert set(tensors) == weights_there | moments | averages
    assert set(facts) == {"format", "run", "state", "averaged", "spent"}
    assert facts["state"]["history"] == []
    assert facts["state"]["loss"] == 0.0
    assert facts["run"]["data"] is None
    assert facts["run"]["plan"]["unsafe_noise_seed"] is None
    assert [item[2] for item in facts["spent"]] == [20]
    # Nothing of the size of a generator's state, or of a list of sampled units.
    assert max(tensor.numel() for tensor in tensors.values()) <= 12
    text = file.read_bytes().lower()
    for word in (b"rng", b"generator", b"philox", b"mt19937", b"chacha", b"pickle"):
        assert word not in text


def test_two_private_runs_part_after_the_same_checkpoint(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    interrupt(tmp_path / "a", 5, PRIVATE)
    (tmp_path / "b" / saved.FILE).write_bytes((tmp_path / "a" / saved.FILE).read_bytes())
    first, second = run(tmp_path / "a", PRIVATE), run(tmp_path / "b", PRIVATE)
    assert not torch.equal(weights(first), weights(second))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"options": TrainOptions(epochs=11, batch_size=16)}, "options"),
        ({"seed": 3}, "seed"),
        ({"validation": None}, "validation"),
        ({"validation": part(7)}, "validation"),
        ({"options": PRIVATE}, "data"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    interrupt(tmp_path, 3)
    with pytest.raises(TrainingError, match=f"another run: {word} was") as caught:
        run(tmp_path, **change)
    assert "--resume" in caught.value.hint


def test_other_data_are_noticed_without_privacy(tmp_path: Path) -> None:
    interrupt(tmp_path, 3)
    with seeded(0):
        network = Small()
    blocks, columns = part(0)
    blocks["x"][0, 0] += 1e-3
    with pytest.raises(TrainingError, match="data was"):
        train_network(
            network,
            blocks,
            TARGETS,
            columns,
            validation=part(1),
            options=OPEN,
            device="cpu",
            loss=loss,
            checkpoint=tmp_path,
        )


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign", "header", "version"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    from safetensors.torch import save_file

    interrupt(tmp_path, 3)
    file = tmp_path / saved.FILE
    whole = file.read_bytes()
    if damage == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "foreign":
        file.write_bytes(b"\x80\x04 this could be a pickle")
    elif damage == "header":
        save_file({"a": torch.zeros(1)}, file)
    else:
        save_file({}, file, metadata={"verticals": json.dumps({"format": 99})})
    with pytest.raises(TrainingError, match="checkpoint") as caught:
        run(tmp_path)
    assert "remove it" in caught.value.hint


def test_a_folder_that_cannot_be_written_is_an_error_for_people(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(VerticalsError, match="checkpoint"):
        run(blocked / "folder")


def test_tied_weights_survive(tmp_path: Path) -> None:
    class Tied(Small):
        def __init__(self) -> None:
            super().__init__()
            self.body[0] = nn.Linear(3, 3)
            self.body[3] = nn.Linear(3, 1)
            self.other = nn.Linear(3, 3)
            self.other.weight = self.body[0].weight

        def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
            return self.body(self.other(blocks["x"]))

    def go(folder: Path | None, **more: Any) -> Tensor:
        with seeded(0):
            network = Tied()
        blocks, columns = part(0)
        return weights(
            train_network(
                network,
                blocks,
                TARGETS,
                columns,
                options=OPEN,
                device="cpu",
                loss=loss,
                checkpoint=folder,
                **more,
            )
        )

    expected = go(None)
    with pytest.raises(Interrupted):
        go(tmp_path, progress=stop_at(8))
    assert torch.equal(go(tmp_path), expected)
