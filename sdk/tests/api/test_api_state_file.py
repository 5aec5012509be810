"""The state of a stream as a file: whole or absent, and refused when it is another's."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from verticals.api.state_file import read_state, write_state
from verticals.errors import DataError
from verticals.plugin import State

STATE = State(tensors={"times": np.arange(5, dtype=np.int64)}, settings={"counters": {"late": 2}})
OWNER = {"solution": "fraud-detection", "state_version": 1}


def written(tmp_path, state=STATE, **changes):
    path = tmp_path / "run.state"
    write_state(path, state, **({**OWNER, "bundle": "sha256:1"} | changes))
    return path


def test_a_state_comes_back_and_is_its_owner_s_alone(tmp_path):
    path = written(tmp_path)
    found = read_state(path, **OWNER)
    assert found.settings == STATE.settings
    assert found.tensors["times"].tolist() == [0, 1, 2, 3, 4]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"solution": "credit-scoring"}, "belongs to solution 'credit-scoring'"),
        ({"state_version": 2}, "is of state version 2 of 'fraud-detection', expected 1"),
    ],
)
def test_a_state_of_another_is_refused_with_a_way_on(tmp_path, changes, said):
    with pytest.raises(DataError) as caught:
        read_state(written(tmp_path, **changes), **OWNER)
    assert said in caught.value.message
    assert "replay recent events" in caught.value.hint


def test_every_truncation_and_every_changed_byte_is_noticed(tmp_path):
    path = written(tmp_path)
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(DataError):
            read_state(path, **OWNER)
    for place in [*range(0, 24, 3), len(data) - 3, len(data) - 30]:
        changed = bytearray(data)
        changed[place] ^= 0x55
        path.write_bytes(bytes(changed))
        with pytest.raises(DataError):
            read_state(path, **OWNER)


def test_a_newer_format_is_refused(tmp_path):
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2'))
    with pytest.raises(DataError, match="of format 2, expected 1"):
        read_state(path, **OWNER)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_state(tmp_path / "none", **OWNER)


_WRITER = """
import sys
import numpy as np
from verticals.api.state_file import write_state
from verticals.plugin import State
turn = 0
while True:
    turn += 1
    state = State(tensors={"a": np.full(400_000, turn)}, settings={"turn": turn})
    write_state(sys.argv[1], state, solution="fraud-detection", state_version=1, bundle="b")
    print(turn, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_kill_at_any_moment_leaves_a_whole_state(tmp_path):
    path = tmp_path / "run.state"
    for turn in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.01 + 0.013 * turn)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        found = read_state(path, **OWNER)
        assert (found.tensors["a"] == found.settings["turn"]).all()
    write_state(path, STATE, **OWNER, bundle="b")  # the next writer sweeps up
    assert os.listdir(tmp_path) == ["run.state"]
