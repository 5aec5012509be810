"""Every conformance check passes on a sound solution, and fails on the mutant that breaks it."""

from __future__ import annotations

import copy
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from verticals.errors import CallError
from verticals.testing.conformance import CHECKS, check_name, run_checks
from verticals.testing.data_checks import same_column
from verticals.testing.watch import Seen, watched

HERE = Path(__file__).parent
NAMES = [check_name(check) for check in CHECKS]
ELSEWHERE = {"light-import"}  # its mutant breaks discovery, and so needs a process of its own

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def mutants(monkeypatch):
    """Install the mutants, for this process and for the ones it starts."""
    monkeypatch.syspath_prepend(str(HERE / "mutants"))
    path = os.pathsep.join([str(HERE / "mutants"), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)


def test_the_sound_solution_passes():
    results = run_checks("sound")
    assert [result.name for result in results] == NAMES
    assert {result.name: result.message for result in results if result.status == "failed"} == {}
    missing = {result.name for result in results if result.status == "not offered"}
    assert missing == {"features-repeat", "batch-equals-stream", "no-future"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ELSEWHERE])
def test_each_check_can_fail(name):
    (result,) = run_checks(f"mutant-{name}", only=[name])
    assert result.status == "failed"
    assert result.message


def test_a_heavy_start_fails_light_import(monkeypatch):
    path = os.pathsep.join([str(HERE / "mutants_heavy"), os.environ["PYTHONPATH"]])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.syspath_prepend(str(HERE / "mutants_heavy"))
    (result,) = run_checks("heavy", only=["light-import"])
    assert result.status == "failed"
    assert "pandas" in result.message
    (other,) = run_checks("sound", only=["light-import"])
    assert other.status == "passed"


@pytest.mark.parametrize("call", ["connect", "connect_ex"])
def test_a_connection_is_seen_and_refused(call):
    seen = Seen()
    with watched(seen), socket.socket() as own, pytest.raises(OSError, match="no network"):
        getattr(own, call)(("198.51.100.7", 9))
    assert seen.calls == ["198.51.100.7"]
    assert socket.socket.connect.__name__ == "connect"  # put back afterwards


def test_files_left_or_changed_in_the_working_folder_are_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "few.txt").write_text("a")
    for name in ("changed.txt", "kept.txt", "old.txt"):
        (tmp_path / name).write_text("a")
    seen = Seen()
    with watched(seen):
        Path("changed.txt").write_text("ab")
        assert Path("words/few.txt").read_text() == "a"  # it finds what lies there
        Path("new.csv").write_text("1")
        Path("cache").mkdir()
        Path("next.txt").write_text("ab")
        os.replace("next.txt", "old.txt")
    assert seen.files == ["cache", "changed.txt", "new.csv", "old.txt"]
    assert Path.cwd() == tmp_path
    kept = ["changed.txt", "kept.txt", "old.txt", "words"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept  # the new ones are gone
    assert (tmp_path / "old.txt").read_text() == "a"


def test_what_another_process_leaves_meanwhile_is_not_held_against_a_solution(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    seen = Seen()
    with watched(seen):
        (tmp_path / ".hypothesis").mkdir()
    assert seen.files == []


def test_what_is_inside_a_column_may_not_change_either():
    """Sequences lie in object columns, of which a shallow copy would change too."""
    column = np.empty(2, dtype=object)
    column[:] = [np.array([1.0, 2.0]), np.array([3.0])]
    before = copy.deepcopy(column)
    column[0][0] = 9.0
    assert not same_column(before, column)


def test_an_unknown_check_is_named():
    with pytest.raises(CallError, match="no check 'speed'"):
        run_checks("sound", only=["speed"])


SUITE = """
import pytest

@pytest.mark.verticals_solution("mutant-scores-in-range", expected_failures={expected})
def test_conformance(conformance_check):
    conformance_check()
"""


@pytest.mark.parametrize(
    ("expected", "outcomes"),
    [
        ("{}", {"failed": 1}),
        ("{'scores-in-range': 'the demo doubles its scores'}", {"xfailed": 1}),
        ("{'demo-repeats': 'it does, so this must be reported'}", {"failed": 2}),
    ],
)
def test_expected_failures_are_strict(pytester, expected, outcomes):
    pytester.makepyfile(SUITE.replace("{expected}", expected))
    result = pytester.runpytest_subprocess("-q", "-k", "scores-in-range or demo-repeats")
    found = result.parseoutcomes()
    for name, count in outcomes.items():
        assert found.get(name) == count, found


def test_an_expected_failure_needs_a_reason(pytester):
    pytester.makepyfile(SUITE.replace("{expected}", "{'scores-in-range': ''}"))
    result = pytester.runpytest_subprocess("-q")
    assert "a reason" in result.stdout.str() + result.stderr.str()
