"""The command line as a person meets it: exit codes, one-line errors, hints, JSON, nothing left."""

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
from verticals.data import read_table, write_table

HERE = Path(__file__).parent / "solutions"


pytestmark = pytest.mark.usefixtures("tiny_solutions")


def told(capsys):
    out, err = capsys.readouterr()
    return out, err.splitlines()


def refused(capsys, *arguments, expect=2):
    """Run a call that must be refused: exit 2, one error line, a hint, and no traceback."""
    capsys.readouterr()
    assert run([str(argument) for argument in arguments]) == expect
    out, lines = told(capsys)
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, lines
    assert "Traceback" not in out + "\n".join(lines)
    assert "internal fault" not in errors[0]
    return errors[0], [line for line in lines if line.startswith("hint: ")]


def test_neither_epsilon_nor_no_privacy_names_both(capsys, tmp_path):
    error, hints = refused(capsys, "train", "tiny-table", "--out", tmp_path / "m")
    assert "--epsilon" in error
    assert "--no-privacy" in error
    assert hints
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--epsilon", "3", "--no-privacy"), "both --epsilon 3 and --no-privacy"),
        (("--no-privacy", "--delta", "1e-5"), "--delta 1e-05 is given without --epsilon"),
        (("--epsilon", "-1"), "epsilon"),
        (("--epsilon", "3", "--delta", "2"), "delta"),
        (("--no-privacy", "--option", "depth=3"), "no option 'depth'"),
        (("--no-privacy", "--option", "depth"), "not of the form NAME=VALUE"),
        (("--no-privacy", "--shares", ".5,.5"), "not four numbers"),
        (("--no-privacy", "--shares", ".5,.5,.5,.5"), "add up to 1"),
        (("--no-privacy", "--device", "tpu"), "device"),
        (("--no-privacy", "--data", "x.csv"), "--data is given without --contract"),
        (("--no-privacy", "--resume"), "no checkpoint"),
        (("--no-privacy", "--key", "absent.key"), "key file absent.key"),
        (("--no-privacy", "--sign", "absent.key"), "absent.key"),
    ],
)
def test_a_wrong_call_is_refused_and_writes_nothing(capsys, tmp_path, arguments, says):
    call = ("train", "tiny-table", "--out", tmp_path / "m", *arguments)
    error, _ = refused(capsys, *call)
    assert says in error
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / "m.evidence").exists()


def test_an_unknown_solution_names_the_nearest(capsys, tmp_path):
    error, hints = refused(capsys, "train", "tiny-tabel", "--no-privacy", "--out", tmp_path / "m")
    assert "tiny-table" in error
    assert hints == ["hint: verticals list"]


def test_a_solution_without_private_training_says_so(capsys, tmp_path):
    error, _ = refused(capsys, "train", "tiny-items", "--epsilon", "3", "--out", tmp_path / "m")
    assert "does not offer private training" in error


def test_data_that_do_not_fit_are_listed(capsys, made, tmp_path):
    lines = (made / "data.csv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split(",")
    row = lines[3].split(",")
    row[header.index("income")] = "plenty"
    lines[3] = ",".join(row)
    (tmp_path / "bad.csv").write_text("\n".join(lines), encoding="utf-8")
    call = ("contract", "check", made / "contract.yaml", "--data", tmp_path / "bad.csv")
    error, _ = refused(capsys, *call)
    assert "income" in error
    assert "plenty" in error
    assert "3" in error  # the row


def test_a_split_that_leaks_is_refused(capsys, made, tmp_path):
    lines = (made / "data.csv").read_text(encoding="utf-8").splitlines()
    contract = (made / "contract.yaml").read_text(encoding="utf-8")
    assert "\nid: " in contract
    for name, rows in (("a", lines[1:101]), ("b", lines[101:151]), ("c", lines[91:141])):
        text = "\n".join([lines[0], *rows])
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    call = ("contract", "check", made / "contract.yaml", "--data", tmp_path / "a.csv", "--against")
    assert run([str(item) for item in (*call, tmp_path / "b.csv")]) == 0
    error, hints = refused(capsys, *call, tmp_path / "c.csv")
    assert "10 of 50 ids" in error
    assert "stand in both" in error
    assert "`train` splits them" in hints[0]


def test_drafted_values_stop_private_training(capsys, made, tmp_path):
    draft = tmp_path / "draft.yaml"
    call = ["contract", "draft", str(made / "data.csv"), "--solution", "tiny-table"]
    assert run([*call, "--out", str(draft)]) == 0
    assert "read from the data" in draft.read_text(encoding="utf-8")
    call = ("train", "tiny-table", "--contract", draft, "--data", made / "data.csv")
    error, hints = refused(capsys, *call, "--epsilon", "3", "--out", tmp_path / "m")
    assert "read from the data" in error
    assert "drafted" in hints[0]


def test_a_draft_never_overwrites(capsys, made, tmp_path):
    (tmp_path / "mine.yaml").write_text("mine", encoding="utf-8")
    call = ("contract", "draft", made / "data.csv", "--out", tmp_path / "mine.yaml")
    error, _ = refused(capsys, *call)
    assert "exists already" in error
    assert (tmp_path / "mine.yaml").read_text(encoding="utf-8") == "mine"


def test_predict_writes_the_designed_columns(capsys, made, tmp_path):
    for ending in ("csv", "parquet"):
        out = tmp_path / f"scored.{ending}"
        call = ["predict", str(made / "model"), "--data", str(made / "data.csv")]
        assert run([*call, "--out", str(out), "--reasons", "2"]) == 0
        scored = read_table(out).table
        assert list(scored) == ["key", "score", "decision", "reason_1", "reason_2"]
        assert scored.rows == 900
    capsys.readouterr()


def test_predict_needs_features_only_and_names_a_missing_one(capsys, made, tmp_path):
    table = read_table(made / "data.csv").table
    write_table(tmp_path / "few.csv", table.select(["income", "grade", "colour"]))
    call = ["predict", str(made / "model"), "--data", str(tmp_path / "few.csv")]
    assert run([*call, "--out", str(tmp_path / "s.csv")]) == 0
    write_table(tmp_path / "fewer.csv", table.select(["grade", "colour"]))
    call = (
        "predict",
        made / "model",
        "--data",
        tmp_path / "fewer.csv",
        "--out",
        tmp_path / "t.csv",
    )
    error, _ = refused(capsys, *call)
    assert "income" in error
    assert not (tmp_path / "t.csv").exists()


def test_predict_counts_what_does_not_fit_the_declarations(capsys, made, tmp_path):
    table = read_table(made / "data.csv").table
    colour = table["colour"].astype(object)
    colour[[3, 700]] = "ultraviolet"
    write_table(tmp_path / "odd.csv", table.with_columns({"colour": colour}))
    call = ["predict", made / "model", "--data", tmp_path / "odd.csv", "--out", tmp_path / "s.csv"]
    assert run([str(part) for part in call]) == 0
    notes = told(capsys)[1]
    odd = "column 'colour': 2 × not among the declared values (row 4, 701)"
    assert notes == [f"note: {odd}"]
    told_parts: list[str] = []
    parts = verticals.open(made / "model").predict_stream(
        tmp_path / "odd.csv", rows=100, notice=told_parts.append
    )
    assert sum(part.rows for part in parts) == 900
    assert told_parts == [odd]


def test_explain_is_long_and_adds_up(capsys, made, tmp_path):
    out = tmp_path / "attributions.parquet"
    data = str(made / "data.csv")
    assert run(["explain", str(made / "model"), "--data", data, "--out", str(out)]) == 0
    table = read_table(out).table
    assert list(table) == ["id", "output", "field", "part", "value"]
    assert run(["predict", str(made / "model"), "--data", data, "--out", f"{out}.csv"]) == 0
    score = read_table(f"{out}.csv").table["score"]
    shares = table["part"] == "log-odds share of the probability"
    sums = table["value"][shares].reshape(900, -1).sum(axis=1)
    np.testing.assert_allclose(sums, score, atol=1e-5)
    odds = table["value"][table["part"] == "log-odds"].reshape(900, -1).sum(axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), score, atol=1e-5)
    capsys.readouterr()


def test_new_data_make_new_evidence(capsys, made, tmp_path):
    out = tmp_path / "evidence"
    call = ["evidence", str(made / "model"), "--data", str(made / "data.csv"), "--out", str(out)]
    assert run(call) == 0
    assert json.loads((out / "evidence.json").read_text(encoding="utf-8"))
    audit = ["audit", str(made / "model"), "--evidence", str(out), "--out", str(tmp_path / "a")]
    assert run(audit) in (0, 1, 3)
    record = json.loads((tmp_path / "a" / "audit.json").read_text(encoding="utf-8"))
    assert record["evidence"]["origin"] == "recomputed"
    error, _ = refused(capsys, *call)
    assert "exists already" in error


def test_counts_evidence_holds_no_rows_and_can_be_audited(capsys, made, tmp_path):
    out = tmp_path / "counts"
    call = ["evidence", str(made / "model"), "--data", str(made / "data.csv"), "--out", str(out)]
    assert run([*call, "--counts"]) == 0
    assert not (out / "scores.parquet").exists()
    audit = ["audit", str(made / "model"), "--evidence", str(out), "--out", str(tmp_path / "a")]
    assert run(audit) in (0, 1, 3)
    record = json.loads((tmp_path / "a" / "audit.json").read_text(encoding="utf-8"))
    assert record["evidence"]["form"] == "counts"
    capsys.readouterr()


def test_keys_sign_and_verify(capsys, made, tmp_path):
    import shutil

    shutil.copytree(made / "model", tmp_path / "model")
    model, key = str(tmp_path / "model"), str(tmp_path / "mine")
    assert run(["keys", "new", key]) == 0
    assert (tmp_path / "mine.key").stat().st_mode & 0o077 == 0
    refused(capsys, "verify", model, "--public-key", f"{key}.pub")
    assert run(["sign", model, "--key", f"{key}.key"]) == 0
    assert run(["verify", model, "--public-key", f"{key}.pub"]) == 0
    capsys.readouterr()
    assert run(["verify", model, "--public-key", f"{key}.pub", "--json"]) == 0
    assert json.loads(told(capsys)[0])["trusted"] is True
    settings = tmp_path / "model" / "settings.json"
    settings.write_bytes(settings.read_bytes().replace(b"0", b"1", 1))
    error, _ = refused(capsys, "verify", model)
    assert "settings.json" in error
    refused(capsys, "predict", model, "--data", made / "data.csv", "--out", tmp_path / "s.csv")


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("describe", "tiny-table"),
        ("check", "tiny-table", "--only", "contract-complete"),
    ],
)
def test_json_is_one_document(capsys, arguments):
    assert run([*arguments, "--json"]) == 0
    assert isinstance(json.loads(told(capsys)[0]), dict)


def test_a_solution_says_which_targets_it_takes_and_its_domain(capsys):
    assert run(["describe", "credit-scoring"]) == 0
    shown, _ = told(capsys)
    assert "targets: binary\n" in shown
    assert "domain: finance\n" in shown
    assert run(["describe", "credit-scoring", "--json"]) == 0
    assert json.loads(told(capsys)[0])["target_kinds"] == ["binary"]


def test_json_tells_errors_too(capsys, tmp_path):
    assert run(["verify", str(tmp_path / "nothing"), "--json"]) == 2
    document = json.loads(told(capsys)[0])
    assert document["kind"] == "BundleError"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(capsys, shell):
    assert run(["completion", shell]) == 0
    assert "_VERTICALS_COMPLETE" in told(capsys)[0]


def test_the_ledger_records_trainings(tmp_path, capsys):
    ledger = tmp_path / "ledger.jsonl"
    for place in range(2):
        out = str(tmp_path / f"m{place}")
        call = ["train", "tiny-table", "--no-privacy", "--out", out, "--ledger", str(ledger)]
        assert run(call) == 0
    entries = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    assert [entry["kind"] for entry in entries] == ["training", "training"]
    capsys.readouterr()


def test_ids_are_stored_nowhere(made):
    for path in (made / "model", made / "model.evidence"):
        for file in path.iterdir():
            assert b"k17" not in file.read_bytes(), file.name


def test_help_is_quick_and_light():
    code = (
        "import sys; from verticals.cli.main import run; run(['--help'])\n"
        "heavy = {'torch', 'pandas', 'polars', 'sklearn', 'shap', 'opacus', 'pyarrow', 'scipy'}\n"
        "sys.exit(sorted(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_interrupted_training_leaves_no_bundle_and_resumes(tmp_path):
    """Kill a real training, then go on from its checkpoint."""
    import signal
    import time

    out = tmp_path / "model"
    code = "import sys; from verticals.cli import main; main()"
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-c", code, "train", "tiny-table", "--no-privacy"]
    call += ["--option", "epochs=500", "--option", "checkpoint_seconds=0.2", "--out", str(out)]
    running = subprocess.Popen(call, env=env, stderr=subprocess.DEVNULL)
    folder = tmp_path / "model.checkpoint"
    deadline = time.monotonic() + 120
    while not (folder.is_dir() and any(folder.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not out.exists()
    done = subprocess.run([*call, "--resume"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    whole = subprocess.run([*call[:-1], str(tmp_path / "whole")], env=env, check=False)
    assert whole.returncode == 0
    manifests = [(path / "bundle.json").read_text() for path in (out, tmp_path / "whole")]
    digests = {json.loads(text)["digest"] for text in manifests}
    assert len(digests) == 1
    assert not folder.exists()
