"""The ledger holds what was entered, in order, or says that it was tampered with."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from verticals.errors import CallError, EvidenceError
from verticals.ledger import append, privacy_spent, read
from verticals.strictjson import canonical_json, sha256

AT = "2026-01-31T12:00:00+00:00"
DATA = "hmac-sha256:data"


def spent(epsilon, delta=1e-6, data=DATA):
    return {"data_fingerprint": data, "epsilon": epsilon, "delta": delta}


@pytest.fixture
def ledger(tmp_path):
    path = tmp_path / "house" / "ledger.jsonl"
    append(path, "training", {**spent(1.0), "bundle": "sha256:1"}, at=AT)
    append(path, "audit", {"record": "sha256:2"}, at=AT)
    append(path, "sign-off", {"by": "Ada", "note": "é\n"}, at=AT)
    return path


def test_what_is_appended_is_read_back(ledger):
    records = read(ledger)
    assert [record.kind for record in records] == ["training", "audit", "sign-off"]
    assert [record.index for record in records] == [0, 1, 2]
    assert records[2].entry == {"by": "Ada", "note": "é\n"}
    assert records[0].previous is None
    assert records[1].previous == records[0].digest
    assert records[2].at == AT
    last = append(ledger, "audit", {})
    assert read(ledger)[-1] == last
    assert last.at.endswith("+00:00")
    with pytest.raises(dataclasses.FrozenInstanceError):
        last.kind = "training"
    with pytest.raises(TypeError):
        last.entry["x"] = 1


def test_a_new_line_changes_no_old_one(ledger):
    before = ledger.read_bytes()
    append(ledger, "audit", {"a": 1})
    after = ledger.read_bytes()
    assert after.startswith(before)
    assert after[len(before) :].count(b"\n") == 1


@pytest.mark.parametrize(
    ("kind", "entry", "message"),
    [
        ("rumour", {}, "of kind 'rumour', expected one of training"),
        ("training", {}, "lacks 'data_fingerprint'"),
        ("privacy", {"data_fingerprint": "x", "epsilon": 1.0}, "lacks 'delta'"),
        ("training", spent("1"), "has epsilon '1'"),
        ("training", spent(-1.0), "has epsilon -1.0"),
        ("training", spent(math.inf), "has epsilon inf"),
        ("training", spent(math.nan), "has epsilon nan"),
        ("training", spent(True), "has epsilon True"),
        ("training", spent(1.0, 1.5), "has delta 1.5"),
        ("training", spent(1.0, data=None), "has data_fingerprint None"),
    ],
)
def test_an_entry_that_says_nothing_is_refused(ledger, kind, entry, message):
    before = ledger.read_bytes()
    with pytest.raises(CallError, match=message):
        append(ledger, kind, entry)
    assert ledger.read_bytes() == before


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"x": math.nan}, r"entry\.x is nan"),
        ({"x": object()}, "of type object"),
        ({"x": "y" * 2**20}, "too large"),
    ],
)
def test_an_entry_that_is_no_json_or_too_large_is_refused(ledger, entry, message):
    before = ledger.read_bytes()
    with pytest.raises(EvidenceError, match=message):
        append(ledger, "audit", entry)
    assert ledger.read_bytes() == before


def test_a_time_without_zone_is_refused(ledger):
    with pytest.raises(EvidenceError, match="at is 'yesterday'"):
        append(ledger, "audit", {}, at="yesterday")


# ---- tampering -------------------------------------------------------------------------------


def test_every_byte_counts(ledger):
    whole = ledger.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0x01
        ledger.write_bytes(changed)
        with pytest.raises(EvidenceError):
            read(ledger)


@pytest.mark.parametrize("order", [[1, 2], [0, 2], [1, 0, 2], [0, 2, 1], [0, 0, 1], [0, 1, 1, 2]])
def test_lines_that_were_taken_out_moved_or_doubled_are_noticed(ledger, order):
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[number] for number in order))
    with pytest.raises(EvidenceError, match="does not follow the line before it"):
        read(ledger)
    with pytest.raises(EvidenceError, match="does not follow the line before it"):
        append(ledger, "audit", {})


def rewritten(line, **changes):
    value = {**json.loads(line), **changes}
    value.pop("digest")
    return canonical_json({**value, "digest": sha256(canonical_json(value))}) + b"\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entry": {"record": "sha256:forged"}}, "line 3 does not follow"),
        ({"index": True}, "line 2 does not follow"),
        ({"previous": None}, "line 2 does not follow"),
        ({"format": 2}, "line 2 is of another format"),
        ({"format": True}, "line 2 is of another format"),
        ({"kind": "rumour"}, "line 2 is of kind 'rumour'"),
        ({"kind": "training"}, "line 2 lacks 'data_fingerprint'"),
        ({"entry": []}, "line 2 is of kind"),
        ({"at": "now"}, "line 2: at is 'now'"),
        ({"more": 1}, "line 2 is not in the form"),
    ],
)
def test_a_line_with_a_digest_of_its_own_is_noticed(ledger, changes, message):
    lines = ledger.read_bytes().splitlines(keepends=True)
    lines[1] = rewritten(lines[1], **changes)
    ledger.write_bytes(b"".join(lines))
    with pytest.raises(EvidenceError, match=message):
        read(ledger)


@pytest.mark.parametrize("line", [b"", b"{}", b"[" * 9999, b'{"a":1,"a":2}', b"\xff", b" " * 2**21])
def test_a_line_that_is_no_record_is_noticed(ledger, line):
    ledger.write_bytes(ledger.read_bytes() + line + b"\n")
    with pytest.raises(EvidenceError, match="line 4"):
        read(ledger)


def test_a_cut_end_is_noticed_by_who_kept_the_last_digest(ledger):
    head = read(ledger)[-1].digest
    assert read(ledger, head=head)
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:2]))
    assert len(read(ledger)) == 2
    with pytest.raises(EvidenceError, match="its end was cut off"):
        read(ledger, head=head)


@pytest.mark.parametrize("place", ["none", "", "house", "house/ledger.jsonl/x", "\0"])
def test_a_place_without_a_ledger_is_an_error(ledger, place, tmp_path):
    with pytest.raises(EvidenceError, match=r"cannot be read|expected a plain file"):
        read(tmp_path / place)
    if place != "none":
        with pytest.raises(EvidenceError, match="cannot be written"):
            append(tmp_path / place, "audit", {})


def test_a_link_is_refused(ledger, tmp_path):
    (tmp_path / "link").symlink_to(ledger)
    with pytest.raises(EvidenceError, match="cannot be read"):
        read(tmp_path / "link")
    with pytest.raises(EvidenceError, match="cannot be written"):
        append(tmp_path / "link", "audit", {})


# ---- writers that wait, stop and die ---------------------------------------------------------


def test_a_full_disk_leaves_the_ledger_as_it_was(ledger, monkeypatch):
    before = ledger.read_bytes()
    true = os.write

    def half(descriptor, data):
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return true(descriptor, bytes(data)[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(EvidenceError, match="cannot be written: No space left on device"):
        append(ledger, "audit", {})
    assert ledger.read_bytes() == before


def test_a_line_that_a_killed_writer_left_is_dropped_by_the_next(ledger):
    whole = ledger.read_bytes()
    ledger.write_bytes(whole + b'{"at":"2026')
    with pytest.raises(EvidenceError, match="ends in the middle of a line"):
        read(ledger)
    append(ledger, "audit", {})
    assert len(read(ledger)) == 4
    assert ledger.read_bytes().startswith(whole)


def test_a_last_line_that_lacks_its_end_only_is_kept(ledger):
    ledger.write_bytes(ledger.read_bytes()[:-1])
    append(ledger, "audit", {})
    assert [record.kind for record in read(ledger)] == ["training", "audit", "sign-off", "audit"]


def test_writers_wait_for_each_other(tmp_path):
    path = tmp_path / "ledger.jsonl"

    def write(name):
        for _ in range(8):
            append(path, "audit", {"by": name})

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    records = read(path)
    assert sorted(record.entry["by"] for record in records) == sorted([*range(4)] * 8)


WRITER = """
import sys
from verticals.ledger import append
print(append(sys.argv[1], "audit", {"start": True}).index, flush=True)
while True:
    print(append(sys.argv[1], "audit", {"text": "x" * 5000}).index, flush=True)
"""


def test_a_kill_loses_no_record_that_was_confirmed(ledger):
    for pause in (0.01, 0.05):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(ledger)], stdout=subprocess.PIPE
        )
        confirmed = [int(writer.stdout.readline())]
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        confirmed += [int(line) for line in writer.communicate()[0].splitlines()]
        append(ledger, "audit", {})
        assert len(read(ledger)) > max(confirmed) + 1


# ---- privacy ---------------------------------------------------------------------------------


def test_what_was_spent_on_some_data_adds_up(ledger):
    append(ledger, "training", spent(2.0, 1e-5))
    append(ledger, "privacy", spent(0.5, None))
    append(ledger, "training", spent(8.0, data="hmac-sha256:other"))
    append(ledger, "audit", {"data_fingerprint": DATA, "epsilon": 100.0})
    append(ledger, "training", spent(4.0, data=""))
    found = privacy_spent(read(ledger), DATA)
    assert found.epsilon == pytest.approx(3.5)
    assert found.delta == pytest.approx(1.1e-5)
    assert (found.releases, found.unattributed) == (3, 1)
    none = privacy_spent(read(ledger), "hmac-sha256:fresh")
    assert (none.epsilon, none.delta, none.releases) == (0.0, 0.0, 0)


def test_a_raw_release_spends_everything(ledger):
    append(ledger, "training", spent(None, None))
    found = privacy_spent(read(ledger), DATA)
    assert found.epsilon == math.inf
    assert found.releases == 2


def test_delta_is_a_probability(ledger):
    for _ in range(3):
        append(ledger, "privacy", spent(0.1, 0.5))
    assert privacy_spent(read(ledger), DATA).delta == 1.0


def test_data_without_a_fingerprint_cannot_be_asked_for(ledger):
    with pytest.raises(CallError, match="fingerprint is empty"):
        privacy_spent(read(ledger), "")
