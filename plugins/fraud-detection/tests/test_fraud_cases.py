"""Cases: a snapshot that can be examined again, in a file that survives a kill."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import stat
from types import SimpleNamespace

import numpy as np
import pytest

from verticals.contract.model import DataContract, Field, Target
from verticals.data import hash_ids
from verticals.errors import DataError
from verticals_fraud_detection.cases import (
    Case,
    CaseWriter,
    case_line,
    case_of,
    features_table,
    re_examine,
    read_cases,
)

KEY = b"sixteen bytes or more"
CONTRACT = DataContract(
    solution="fraud-detection",
    name="payments",
    id="payment_id",
    time="at",
    targets=(Target(name="fraud", column="fraud", kind="binary", positive="1"),),
    fields=(
        Field(name="amount", kind="numeric"),
        Field(name="card_mean_30d", kind="numeric"),
        Field(name="channel", kind="categorical", column="c", categories=("chip", "online")),
        Field(name="tier", kind="ordinal", column="t", levels=("basic", "gold")),
        Field(name="night", kind="boolean", column="n"),
        Field(name="opened", kind="time", column="o"),
        Field(name="note", kind="text", column="x"),
        Field(name="card_recent", kind="sequence", size=(2, 2)),
        Field(name="age", kind="numeric", column="age", role="protected"),
    ),
)
ROW = {
    "@id": "P-1",
    "@time": np.datetime64("2026-01-02T03:04:05.000006", "us"),
    "amount": np.float64(41.5),
    "card_mean_30d": np.nan,
    "channel": np.int32(2),  # undeclared
    "tier": np.int32(1),
    "night": np.float64(1.0),
    "opened": np.datetime64("2025-06-01T00:00:00", "us"),
    "note": None,
    "card_recent": np.array([[0.5, np.nan], [1.0, 2.0]]),
}
TOLD = {"score": 0.75, "decision": "1", "action": "review", "rules": ["velocity"], "reasons": ["a"]}
GOLDEN = {
    "action": "review",
    "bundle": "sha256:b",
    "decision": "1",
    "features": {
        "amount": 41.5,
        "card_mean_30d": None,
        "card_recent": [[0.5, None], [1.0, 2.0]],
        "channel": {"undeclared": True},
        "night": 1.0,
        "note": None,
        "opened": "2025-06-01T00:00:00.000000",
        "tier": "gold",
    },
    "format": 1,
    "id": None,
    "policy": "sha256:p",
    "reasons": ["a"],
    "rules": ["velocity"],
    "rules_file": None,
    "score": 0.75,
    "time": "2026-01-02T03:04:05.000006Z",
}


def made(**changes):
    found = case_of(ROW, CONTRACT, TOLD, bundle="sha256:b", policy="sha256:p")
    return dataclasses.replace(found, **changes)


def scorer_of(digest="sha256:b", more=0.0, contract=CONTRACT):
    """Score by a sum over every feature, so that any that is lost shows."""

    def columns(table):
        total = table["amount"] / 1000 + np.nansum(table["card_recent"], axis=(1, 2)) / 10
        total = total + table["channel"] / 100 + table["tier"] / 100 + table["night"] / 100
        total = total + np.isnan(table["card_mean_30d"]) / 100 + (table["note"] == None)  # noqa: E711
        seconds = table["opened"].astype("datetime64[s]").astype(float) % 7919
        return {"score": total + seconds / 1e5 + more}

    return SimpleNamespace(digest=digest, contract=contract, columns=columns)


# ---- one case --------------------------------------------------------------------------------


def test_a_line_is_canonical_json_of_natural_units():
    line = case_line(made())
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == GOLDEN


def test_the_id_is_a_keyed_hash_or_absent():
    assert made().id is None
    found = case_of(ROW, CONTRACT, TOLD, bundle="b", key=KEY)
    assert found.id == hash_ids(np.array(["P-1"]), KEY)[0]
    assert b"P-1" not in case_line(found)
    assert case_of({**ROW, "@id": None}, CONTRACT, TOLD, bundle="b", key=KEY).id is None


def test_the_snapshot_gives_the_bound_row_back():
    table = features_table(made(), CONTRACT)
    assert table.rows == 1
    for name in table:
        value = ROW[name]
        if name == "note":
            assert table[name][0] is None
        elif name == "opened":
            assert table[name][0] == value
        else:
            assert table[name].dtype == np.asarray(value).dtype
            assert np.array_equal(table[name][0], value, equal_nan=True)


def test_a_row_or_case_that_lacks_an_input_is_refused():
    less = {name: value for name, value in ROW.items() if name != "tier"}
    with pytest.raises(DataError, match="lacks 'tier'"):
        case_of(less, CONTRACT, TOLD, bundle="b")
    with pytest.raises(DataError, match="lacks 'amount'"):
        features_table(made(features={}), CONTRACT)


def test_re_examination():
    then = float(scorer_of().columns(features_table(made(), CONTRACT))["score"][0])
    case = made(score=then)
    found = re_examine(case, scorer_of())
    assert found.agrees
    assert found.same_bundle
    assert re_examine(case, scorer_of(more=9e-6)).agrees
    assert not re_examine(case, scorer_of(more=2e-5)).agrees
    assert not re_examine(case, scorer_of(digest="sha256:c")).same_bundle


# ---- the file --------------------------------------------------------------------------------


def test_cases_are_appended_and_read_back(tmp_path):
    path = tmp_path / "cases.jsonl"
    for score in (0.1, 0.2):
        with CaseWriter(path) as writer:
            writer.append(made(score=score))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = read_cases(path)
    assert [case.score for case in found.cases] == [0.1, 0.2]
    assert found.cases[0] == made(score=0.1)
    assert found.torn == 0


def test_a_torn_line_is_left_out_and_then_cut(tmp_path):
    path = tmp_path / "cases.jsonl"
    with CaseWriter(path) as writer:
        writer.append(made())
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-30])
    found = read_cases(path)
    assert len(found.cases) == 1
    assert found.torn == len(whole) - 30
    with CaseWriter(path) as writer:
        writer.append(made(score=0.9))
    found = read_cases(path)
    assert ([case.score for case in found.cases], found.torn) == ([0.75, 0.9], 0)


def test_a_file_that_is_one_long_torn_line_is_emptied(tmp_path):
    path = tmp_path / "cases.jsonl"
    path.write_bytes(b"x" * 200_000)
    with CaseWriter(path):
        pass
    assert path.read_bytes() == b""


def test_another_writer_at_work_keeps_the_file_from_being_cut(tmp_path):
    path = tmp_path / "cases.jsonl"
    with CaseWriter(path) as first, CaseWriter(path) as second:
        first.append(made(score=0.1))
        second.append(made(score=0.2))
        first.append(made(score=0.3))
    assert [case.score for case in read_cases(path).cases] == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{}", "line 2 is no case of format 1"),
        (b"nonsense", "line 2 is no plain JSON"),
        (b'{"format": 1}', "line 2 is no case: it lacks a part"),
        (case_line(made())[:-2] + b',"more":1}', "line 2 is no case: it lacks a part, or has"),
        (case_line(made()).replace(b"0.75", b'"x"')[:-1], "are of another kind"),
    ],
)
def test_other_broken_lines_are_named(tmp_path, line, said):
    path = tmp_path / "cases.jsonl"
    path.write_bytes(case_line(made()) + line + b"\n")
    with pytest.raises(DataError, match=said):
        read_cases(path)


def test_files_that_cannot_be_opened_are_named(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_cases(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="cannot be written"):
        CaseWriter(tmp_path / "none" / "cases.jsonl")


def _write(path, first):
    with CaseWriter(path) as writer:
        for n in range(50):
            writer.append(made(score=float(first + n)))


def test_processes_share_a_file(tmp_path):
    path = tmp_path / "cases.jsonl"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(path, 100 * n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    scores = sorted(case.score for case in read_cases(path).cases)
    assert scores == sorted(100.0 * n + m for n in range(3) for m in range(50))


def test_a_case_needs_its_names():
    assert Case(time="", bundle="b", features={}, score=0.0, action="approve").rules == ()
