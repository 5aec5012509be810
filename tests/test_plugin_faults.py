"""A fault in a plugin's own code is told as the plugin's, quotes no data, and leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import verticals
from verticals.cli.main import run
from verticals.data import write_table
from verticals.errors import PluginError
from verticals.evidence import open_evidence
from verticals.testing.conformance import run_checks

HERE = Path(__file__).parent
SECRET = "Jane Doe"


@pytest.fixture(autouse=True)
def faulty(monkeypatch):
    """Install the faulty solutions, for this process and for the ones it starts."""
    folders = [str(HERE / name) for name in ("mutants", "faulty")]
    for folder in folders:
        monkeypatch.syspath_prepend(folder)
    path = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)


def refused(capsys, *arguments):
    """Run a call that must end with exit code 2; return its one error line and its hint."""
    capsys.readouterr()
    assert run([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    lines = err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, lines
    assert "internal fault" not in errors[0]
    return errors[0], " ".join(line for line in lines if line.startswith("hint: "))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("predict-raises", "predict raised ValueError at faulty_solutions.py:"),
        ("predict-exits", "predict raised SystemExit at faulty_solutions.py:"),
        ("predict-none", "predict gives NoneType"),
        ("predict-text", "predict gives 'score' of type object, expected numbers"),
        ("predict-short", "predict gives 'score' of shape ("),
        ("predict-wide", "predict gives 'score' of shape ("),
        ("predict-nan", "a 'score' that is not finite in "),
        ("predict-beyond", "a 'score' out of its range in "),
        ("predict-extra", "'copy', which it does not declare"),
        ("predict-lacking", "predict gives no 'score'"),
        ("fit-raises", "fit raised RuntimeError at faulty_solutions.py:"),
        ("fit-exits", "fit raised SystemExit at faulty_solutions.py:"),
        ("fit-none", "fit gives NoneType, expected a model"),
        ("state-raises", "state raised ValueError at faulty_solutions.py:"),
        ("state-none", "state gives NoneType, expected verticals.plugin.State"),
        ("evidence-raises", "evidence raised RuntimeError at faulty_solutions.py:"),
        ("evidence-list", "evidence gives list"),
        ("evidence-no-table", "evidence ('faulty.t') gives dict"),
        ("evidence-bad-name", "evidence gives a table '../x'"),
    ],
)
def test_a_fault_in_training_names_the_plugin_and_leaves_nothing(capsys, tmp_path, name, told):
    error, hint = refused(
        capsys, "train", f"faulty-{name}", "--no-privacy", "--out", tmp_path / "m"
    )
    assert f"solution 'faulty-{name}' of faulty: " in error
    assert told in error
    assert f"verticals check faulty-{name}" in hint
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_no_file_can_hold_leaves_the_old_bundle_and_its_evidence(tmp_path):
    out = tmp_path / "m"
    first = verticals.train("faulty-none-at-all", out=out, no_privacy=True)
    with pytest.raises(verticals.errors.EvidenceError, match=r"faulty\.t"):
        verticals.train("faulty-evidence-bad-column", out=out, no_privacy=True)
    assert verticals.open(out).digest == first.digest
    assert open_evidence(f"{out}.evidence").info.bundle == first.digest


def test_a_place_that_is_taken_leaves_bundle_and_evidence_unwritten(tmp_path):
    out = tmp_path / "m"
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    with pytest.raises(verticals.errors.BundleError, match="folder of another kind"):
        verticals.train("faulty-none-at-all", out=out, no_privacy=True)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_model_that_does_not_load_names_its_plugin(capsys, tmp_path):
    out = tmp_path / "m"
    result = verticals.train("faulty-load-raises", out=out, no_privacy=True)
    solution = sys.modules["faulty_solutions"].LOAD_RAISES
    write_table(tmp_path / "d.csv", solution.demo()[1])
    arguments = (
        "predict",
        result.bundle,
        "--data",
        tmp_path / "d.csv",
        "--out",
        tmp_path / "s.csv",
    )
    error, _ = refused(capsys, *arguments)
    assert "solution 'faulty-load-raises' of faulty: load raised RuntimeError" in error


def test_the_cause_is_there_for_whoever_asks_for_the_traceback(monkeypatch, tmp_path):
    monkeypatch.setenv("VERTICALS_TRACEBACK", "1")
    with pytest.raises(PluginError) as raised:
        run(["train", "faulty-fit-raises", "--no-privacy", "--out", str(tmp_path / "m")])
    assert isinstance(raised.value.__cause__, RuntimeError)


def test_a_check_of_a_plugin_that_fails_is_not_measurable_and_stops_nothing(tmp_path):
    out = tmp_path / "m"
    verticals.train("faulty-none-at-all", out=out, no_privacy=True)
    table = open_evidence(f"{out}.evidence").tables["checks"]
    told = dict(zip(table["check"], table["method"], strict=True))
    value = dict(zip(table["check"], table["estimate"], strict=True))
    names = {f"faulty.{name}" for name in ("sound", "raises", "exits", "text", "foreign")}
    assert names <= set(told)
    assert value["faulty.sound"] == 0.5
    assert all(np.isnan(value[name]) for name in names - {"faulty.sound"})
    place = "the check of faulty raised ValueError at faulty_solutions.py:"
    assert place in told["faulty.raises"]
    assert "SystemExit" in told["faulty.exits"]
    assert told["faulty.text"] == "failed: the check of faulty gave a estimate that is no number"
    assert "in the name of another check" in told["faulty.foreign"]
    assert not any(SECRET in str(text) for text in told.values())


def test_a_flag_explains_a_score_that_is_lacking_and_the_row_stays_undecided(tmp_path):
    out = tmp_path / "m"
    verticals.train("faulty-flagged-nan", out=out, no_privacy=True)
    scorer = verticals.open(out)
    scored = scorer.predict(scorer.vertical.demo()[1])
    lacking = np.isnan(scored["score"])
    assert 0 < lacking.sum() < scored.rows
    assert {value is None for value in scored["decision"][lacking]} == {True}
    assert set(scored["decision"][~lacking]) <= {"0", "1"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("privacy-none", "is lacking, and training was asked to spend at most ε = 3"),
        ("privacy-epsilon", "has epsilon 50, expected a number above 0, at most 3"),
        ("privacy-delta", "has delta 0.99, expected a number from 0, below 1/"),
        ("privacy-statement", "has no statement"),
        ("privacy-units", "has units None"),
        ("privacy-text", "has epsilon '3', expected a number"),
    ],
)
def test_a_record_that_does_not_keep_to_the_budget_is_refused(capsys, tmp_path, name, told):
    error, hint = refused(
        capsys, "train", f"faulty-{name}", "--epsilon", "3", "--out", tmp_path / "m"
    )
    assert f"solution 'faulty-{name}' of faulty: its privacy record {told}" in error
    assert "plugin-authors.md" in hint
    assert list(tmp_path.iterdir()) == []


def test_a_record_without_privacy_is_refused(capsys, tmp_path):
    out = tmp_path / "m"
    error, _ = refused(capsys, "train", "faulty-privacy-claim", "--no-privacy", "--out", out)
    assert "training was not private: expected none" in error
    assert list(tmp_path.iterdir()) == []


def test_a_delta_that_was_asked_for_is_a_limit(capsys, tmp_path):
    call = ("train", "faulty-none-at-all", "--epsilon", "3", "--out", tmp_path / "m")
    error, _ = refused(capsys, *call, "--delta", "1e-6")
    assert "at most 1e-06" in error


def test_settings_that_a_solution_wrote_count_as_the_weights_do(tmp_path):
    out = tmp_path / "m"
    verticals.train("faulty-privacy-rows", out=out, epsilon=3.0)
    files = json.loads((out / "bundle.json").read_text())["files"]
    assert files["settings.json"]["epsilon"] == 3.0
    assert "training rows" in files["settings.json"]["shows"]
    verticals.train("faulty-privacy-rows", out=out, no_privacy=True)
    files = json.loads((out / "bundle.json").read_text())["files"]
    assert files["settings.json"]["epsilon"] == "infinite"


def test_the_checks_tell_an_early_fault_once():
    results = run_checks("faulty-fit-raises")
    failed = [result for result in results if result.status == "failed"]
    not_run = [result for result in results if result.status == "not run"]
    assert {result.name for result in failed} == {
        "repeats-without-privacy",
        "private-training",
        "errors-are-clear",
    }
    assert len(not_run) >= 8
    assert all("as said above" in result.message for result in not_run)
    assert not any(SECRET in result.message for result in results)


@pytest.mark.parametrize("name", ["fit-exits", "predict-exits"])
def test_a_plugin_that_ends_the_process_fails_its_checks(capsys, name):
    capsys.readouterr()
    assert run(["check", f"faulty-{name}"]) == 1
    assert "SystemExit" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["privacy-epsilon", "privacy-none"])
def test_a_false_privacy_record_fails_private_training(name):
    (result,) = run_checks(f"faulty-{name}", only=["private-training"])
    assert result.status == "failed"
    assert "privacy record" in result.message


def test_an_exit_out_of_nowhere_is_a_fault_with_exit_code_2(capsys, monkeypatch):
    monkeypatch.setattr("verticals.registry.discover", lambda: sys.exit(0))
    capsys.readouterr()
    assert run(["list"]) == 2
    assert "internal fault: SystemExit" in capsys.readouterr().err


def test_shell_completion_still_ends_by_itself():
    env = {**os.environ, "_VERTICALS_COMPLETE": "bash_source"}
    done = subprocess.run(
        [sys.executable, "-m", "verticals"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "_VERTICALS_COMPLETE" in done.stdout


def test_python_m_runs_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "verticals", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("verticals")
