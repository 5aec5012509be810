"""The trace and the files of lines below it: whole lines, no identifier, a torn end."""

from __future__ import annotations

import json
import os
import stat
import threading

import pytest

from verticals.errors import DataError
from verticals.jsonlines import LineWriter, read_lines
from verticals_medical_imaging.results import Finding
from verticals_medical_imaging.trace import TraceWriter, hashed_uid, inference, read_trace

DIGEST, PIPELINE = "sha256:" + "a" * 64, "sha256:" + "b" * 64
KEY, UID, TIME = b"a key of sixteen bytes", "1.2.826.0.1.99", "2026-01-31T12:00:00+00:00"
FINDING = Finding(target="lesion", probabilities=(("1", 0.25),), values=("0",), decision=False)


def line(**changed):
    given = {"time": TIME, "bundle": DIGEST, "preprocessing": PIPELINE, "sop_uid": UID, "key": KEY}
    return inference([FINDING], **{**given, **changed})


def test_a_line_comes_back_without_the_identifier(tmp_path):
    path = tmp_path / "trace.jsonl"
    with TraceWriter(path) as writer:
        writer.append(line())
        writer.append(line(sop_uid=""))
    assert UID.encode() not in path.read_bytes()
    found = read_trace(path)
    assert found.lines == (line(), line(sop_uid=""))
    assert found.torn == 0
    assert found.lines[0].image == hashed_uid(UID, KEY)
    assert found.lines[1].image is None
    assert found.lines[0].result[0]["probability"] == {"1": 0.25}
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_without_a_key_no_image_is_named():
    assert line(key=None).image is None
    assert hashed_uid(UID, KEY) != hashed_uid(UID, KEY + b"2")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("time", "yesterday", "time"),
        ("time", "2026-01-31T12:00:00", "time"),
        ("bundle", "abc", "bundle is no digest"),
        ("preprocessing", "sha256:12", "preprocessing is no digest"),
    ],
)
def test_what_cannot_be_followed_is_refused(name, value, told):
    with pytest.raises(DataError, match=told):
        line(**{name: value})


def test_a_torn_last_line_is_left_out_and_then_removed(tmp_path):
    path = tmp_path / "trace.jsonl"
    with TraceWriter(path) as writer:
        writer.append(line())
    with path.open("ab") as file:
        file.write(b'{"format": 1, "ti')
    found = read_trace(path)
    assert (len(found.lines), found.torn) == (1, 17)
    with TraceWriter(path) as writer:
        writer.append(line())
    again = read_trace(path)
    assert (len(again.lines), again.torn) == (2, 0)


def test_the_tail_is_kept_while_another_writes(tmp_path):
    path = tmp_path / "lines.jsonl"
    with LineWriter(path, what="lines") as first:
        first.append({"n": 1})
        with LineWriter(path, what="lines") as second:
            second.append({"n": 2})
        first.append({"n": 3})
    assert [value["n"] for value in read_lines(path, what="lines").values] == [1, 2, 3]


def test_writers_side_by_side_mix_no_lines(tmp_path):
    path = tmp_path / "lines.jsonl"

    def write(name):
        with LineWriter(path, what="lines") as writer:
            for number in range(50):
                writer.append({"name": name, "number": number, "text": "x" * 500})

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_lines(path, what="lines")
    assert len(found.values) == 200
    assert found.torn == 0


def test_a_short_write_is_an_error(tmp_path, monkeypatch):
    with LineWriter(tmp_path / "t", what="lines") as writer:
        monkeypatch.setattr(os, "write", lambda file, data: len(data) - 1)
        with pytest.raises(DataError, match="of a line were written") as caught:
            writer.append({"a": 1})
        monkeypatch.undo()
    assert "room on the disk" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"no json\n", "line 1 is no plain JSON"),
        (b'{"format": 2}\n', "line 1 is no inference of format 1"),
        (b"[]\n", "line 1 is no inference"),
    ],
)
def test_a_line_of_another_kind_is_named(tmp_path, text, told):
    path = tmp_path / "trace.jsonl"
    path.write_bytes(text)
    with pytest.raises(DataError, match=told):
        read_trace(path)


def test_a_changed_line_is_named(tmp_path):
    path = tmp_path / "trace.jsonl"
    with TraceWriter(path) as writer:
        writer.append(line())
    document = json.loads(path.read_bytes())
    for name, value, told in (
        ("result", {}, "no list of findings"),
        ("bundle", 3, "bundle is no digest"),
        ("image", 3, "image is no text"),
    ):
        path.write_text(json.dumps({**document, name: value}) + "\n")
        with pytest.raises(DataError, match=f"line 1.*{told}"):
            read_trace(path)


def test_files_that_are_not_there_and_links(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_trace(tmp_path / "none")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="cannot be written"):
        TraceWriter(tmp_path / "link")
