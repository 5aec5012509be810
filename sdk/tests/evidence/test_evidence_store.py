"""Evidence comes back as it was written, or is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verticals.errors import EvidenceError
from verticals.evidence import (
    PRODUCER,
    RECOMPUTED,
    AttributeInfo,
    EvidenceInfo,
    OutputInfo,
    open_evidence,
    write_evidence,
)
from verticals.strictjson import canonical_json, readable_json, sha256
from verticals.table import Table

BUNDLE = sha256(b"bundle")

INFO = EvidenceInfo(
    form="rows",
    bundle=BUNDLE,
    origin=RECOMPUTED,
    part="test",
    rows=3,
    units=2,
    outputs=(
        OutputInfo(
            name="score",
            kind="probability",
            target="left",
            target_kind="binary",
            value="1",
            positive="1",
            favourable="0",
            meaning="leaves",
        ),
    ),
    attributes=(
        AttributeInfo(
            name="sex", role="protected", label="Sex", groups=("m", "f"), also_feature=True
        ),
    ),
    decision={"target": "left", "cut": 0.5},
    min_cell=7,
    noise_epsilon=0.5,
    unit_rows=2,
    fingerprint="hmac:1",
)


def make_tables():
    return {
        "scores": Table(
            {
                "unit": np.array([0, 1, 1]),
                "score": np.array([0.25, np.nan, 1.0], np.float32),
                "attr:sex": np.array(["m", "", None], dtype=object),
            }
        ),
        "acme-churn.bands": Table(
            {
                "day": np.array(["2026-01-31T12:00:00.000001", "NaT"], "datetime64[us]"),
                "kept": np.array([True, False]),
                "label": np.array(["é", "b"]),
            }
        ),
        "empty": Table({"x": np.zeros(0), "y": np.array([], dtype=object)}),
    }


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model.evidence"
    write_evidence(path, INFO, make_tables())
    return path


def seal(folder, edit):
    manifest = json.loads((folder / "evidence.json").read_bytes())
    edit(manifest)
    manifest.pop("digest", None)
    manifest["digest"] = sha256(canonical_json(manifest))
    (folder / "evidence.json").write_bytes(readable_json(manifest))


def test_what_is_written_comes_back(folder):
    found = open_evidence(folder)
    assert found.info == INFO
    assert set(found.tables) == set(make_tables())
    for name, table in make_tables().items():
        assert list(found.tables[name]) == list(table)
        assert found.tables[name].rows == table.rows
    scores = found.table("scores")
    np.testing.assert_array_equal(scores["unit"], [0, 1, 1])
    np.testing.assert_array_equal(scores["score"], [0.25, np.nan, 1.0])
    assert scores["attr:sex"].tolist() == ["m", "", None]
    bands = found.tables["acme-churn.bands"]
    assert bands["day"].dtype == "datetime64[us]"
    np.testing.assert_array_equal(bands["day"], make_tables()["acme-churn.bands"]["day"])
    assert bands["kept"].tolist() == [True, False]
    assert bands["label"].tolist() == ["é", "b"]


def test_every_part_of_the_description_is_kept(folder):
    # A field that is added to these classes must be added to the reader too.
    defaults = EvidenceInfo(
        form="counts",
        bundle="",
        origin=PRODUCER,
        part="",
        rows=0,
        units=0,
        outputs=(),
        attributes=(),
    )
    for item in dataclasses.fields(EvidenceInfo):
        assert getattr(INFO, item.name) != getattr(defaults, item.name), item.name
    write_evidence(folder, defaults, {})
    assert open_evidence(folder).info == defaults


def test_the_digest_is_of_the_content_and_not_of_the_place(tmp_path, folder):
    digest = open_evidence(folder).digest
    assert write_evidence(tmp_path / "other", INFO, make_tables()) == digest
    reordered = dict(reversed(make_tables().items()))
    assert write_evidence(tmp_path / "other", INFO, reordered) == digest
    other = dataclasses.replace(INFO, part="audited data")
    assert write_evidence(tmp_path / "other", other, make_tables()) != digest
    changed = make_tables()
    changed["empty"] = Table({"x": np.zeros(1), "y": np.array(["a"])})
    assert write_evidence(tmp_path / "other", INFO, changed) != digest
    assert open_evidence(tmp_path / "other").table("empty")["y"].tolist() == ["a"]


def test_the_files_hold_no_metadata_beside_the_columns(folder):
    for path in folder.glob("*.parquet"):
        assert pq.ParquetFile(path).metadata.metadata is None


def test_a_missing_table_is_named(folder):
    with pytest.raises(EvidenceError, match=r"has no table 'reasons', it has acme-churn"):
        open_evidence(folder).table("reasons")
    with pytest.raises(KeyError):
        open_evidence(folder).tables["reasons"]


def test_a_table_is_read_when_asked_for_and_verified_again(folder):
    found = open_evidence(folder)
    file = folder / "scores.parquet"
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[50] ^= 1
    file.write_bytes(changed)
    with pytest.raises(EvidenceError, match=r"scores\.parquet has changed"):
        found.table("scores")
    file.write_bytes(whole)
    first = found.table("scores")
    file.unlink()
    assert found.table("scores") is first


def test_evidence_is_replaced_whole(folder):
    write_evidence(folder, dataclasses.replace(INFO, rows=9), {"only": Table({"x": np.ones(1)})})
    assert sorted(os.listdir(folder)) == ["evidence.json", "only.parquet"]
    assert os.listdir(folder.parent) == [folder.name]


def test_what_is_no_evidence_is_never_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.parquet").write_text("x")
    with pytest.raises(EvidenceError, match="a folder of another kind"):
        write_evidence(tmp_path / "mine", INFO, {})
    assert (tmp_path / "mine" / "thesis.parquet").exists()


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"scores": Table({"x": np.zeros(2)})}, "scores has 2 rows, info says 3"),
        ({"a": Table({}, rows=2)}, "has no columns"),
        ({"a": Table({"x": np.zeros((2, 2))})}, "column 'x' has 2 dimensions"),
        ({"a": Table({"x": np.zeros(2, complex)})}, "of type complex128"),
        ({"a": Table({"x": np.array([2**64 - 1], np.uint64)})}, "expected 64-bit integers"),
        ({"a": Table({"x": np.array(["a", 3], object)})}, "holds a int at row 1"),
        ({"a": Table({"x": np.array(["\ud800"], object)})}, "no Unicode"),
        ({"../a": Table({"x": np.zeros(2)})}, "'../a' leaves the folder"),
        ({"/a": Table({"x": np.zeros(2)})}, "is an absolute path"),
        ({"A": Table({"x": np.zeros(2)})}, "is no plain file name"),
    ],
)
def test_what_no_evidence_holds_is_refused(tmp_path, tables, message):
    with pytest.raises(EvidenceError, match=message):
        write_evidence(tmp_path / "e", INFO, tables)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "change", [{"form": "sketch"}, {"origin": "hearsay"}, {"rows": -1}, {"decision": {"x": {1: 2}}}]
)
def test_a_false_description_is_refused(tmp_path, change):
    with pytest.raises(EvidenceError):
        write_evidence(tmp_path / "e", dataclasses.replace(INFO, **change), {})


# ---- damage ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scores.parquet", "empty.parquet", "evidence.json"])
def test_every_byte_counts(folder, name):
    whole = (folder / name).read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 50)):
        changed = bytearray(whole)
        changed[place] ^= 0x04
        (folder / name).write_bytes(changed)
        with pytest.raises(EvidenceError):
            open_evidence(folder)


def test_missing_extra_and_foreign_files_are_named(folder, tmp_path):
    (folder / "more.parquet").write_bytes(b"")
    with pytest.raises(EvidenceError, match=r"'more\.parquet' is an extra file"):
        open_evidence(folder)
    (folder / "more.parquet").unlink()
    (folder / "model.pkl").write_bytes(b"")
    with pytest.raises(EvidenceError, match=r"'model\.pkl' is an extra file"):
        open_evidence(folder)
    (folder / "model.pkl").unlink()
    shutil.move(folder / "scores.parquet", tmp_path / "outside")
    with pytest.raises(EvidenceError, match=r"scores\.parquet is missing"):
        open_evidence(folder)
    (folder / "scores.parquet").symlink_to(tmp_path / "outside")
    with pytest.raises(EvidenceError, match="is a symbolic link"):
        open_evidence(folder)
    (folder / "scores.parquet").unlink()
    os.mkfifo(folder / "scores.parquet")
    with pytest.raises(EvidenceError, match="is a FIFO"):
        open_evidence(folder)
    (folder / "evidence.json").unlink()
    with pytest.raises(EvidenceError, match=r"another kind of folder: evidence\.json is missing"):
        open_evidence(folder)
    with pytest.raises(EvidenceError, match="does not exist"):
        open_evidence(tmp_path / "none")
    with pytest.raises(EvidenceError, match="is a plain file, expected a folder"):
        open_evidence(tmp_path / "outside")


def test_a_link_to_evidence_is_refused(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(EvidenceError, match="is a symbolic link, expected a folder"):
        open_evidence(tmp_path / "link")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.update(format=2), "of format 2, expected 1"),
        (lambda m: m.update(format=True), "of format True, expected 1"),
        (lambda m: m.update(more=1), "unknown key 'more'"),
        (lambda m: m.pop("info"), "lacks the key 'info'"),
        (lambda m: m.update(tables=[]), "tables is"),
        (lambda m: m["tables"].update({"../x": m["tables"]["scores"]}), "leaves the folder"),
        (lambda m: m["tables"].update({"C:x": m["tables"]["scores"]}), "is an absolute path"),
        (lambda m: m["tables"].update({"a\0": m["tables"]["scores"]}), "holds a NUL byte"),
        (lambda m: m["tables"]["scores"].update(sha256="x"), "expected a digest"),
        (lambda m: m["tables"]["scores"].update(size=2**40), "too large"),
        (lambda m: m["tables"]["scores"].update(size=-1), "expected a count"),
        (lambda m: m["tables"]["scores"].update(rows=True), "expected a count"),
        (lambda m: m["tables"]["scores"].update(columns=[["a"]]), "pairs of name and kind"),
        (lambda m: m["tables"]["scores"].update(columns=[[1, 2]]), "pairs of name and kind"),
        (lambda m: m["info"].update(form="sketch"), "form is 'sketch'"),
        (lambda m: m["info"].update(origin=""), "origin is ''"),
        (lambda m: m["info"].update(rows="3"), "expected a count"),
        (lambda m: m["info"].update(min_cell=-1), "expected a count"),
        (lambda m: m["info"].update(noise_epsilon=0), "expected a number above 0"),
        (lambda m: m["info"].update(decision=[]), "decision is"),
        (lambda m: m["info"].update(outputs=[{}]), "lacks the key"),
        (lambda m: m["info"]["outputs"][0].update(name=3), "name is 3"),
        (lambda m: m["info"]["attributes"][0].update(groups=["a", 1]), "expected a list of texts"),
        (lambda m: m["info"]["attributes"][0].update(also_feature=1), "expected bool"),
        (lambda m: m["info"].pop("part"), "lacks the key 'part'"),
    ],
)
def test_a_manifest_of_another_shape_is_refused(folder, edit, message):
    seal(folder, edit)
    with pytest.raises(EvidenceError, match=message):
        open_evidence(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 4}, "3 rows of"),
        ({"columns": [["unit", "integer"]]}, "expected 3 of"),
        (
            {"columns": [["unit", "number"], ["score", "number"], ["attr:sex", "text"]]},
            "'unit' is of type int64, expected double",
        ),
        (
            {"columns": [["unit", "text"], ["score", "number"], ["attr:sex", "text"]]},
            "'unit' is of type int64, expected text",
        ),
        (
            {"columns": [["unit", "code"], ["score", "number"], ["attr:sex", "text"]]},
            "is of kind 'code'",
        ),
    ],
)
def test_a_table_that_is_not_what_the_manifest_says_is_refused(folder, change, message):
    seal(folder, lambda manifest: manifest["tables"]["scores"].update(change))
    found = open_evidence(folder)
    with pytest.raises(EvidenceError, match=message):
        found.table("scores")


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_is_done_to_a_table_with_true_digests_raises_nothing_else(folder, data):
    file = folder / "scores.parquet"
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    changed = bytearray(kept[file])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = data.draw(st.integers(0, 255))
    changed = changed[: data.draw(st.integers(0, len(changed)))]
    file.write_bytes(changed)
    entry = {"sha256": sha256(bytes(changed)), "size": len(changed)}
    seal(folder, lambda manifest: manifest["tables"]["scores"].update(entry))
    try:
        open_evidence(folder).table("scores")
    except EvidenceError as error:
        message = error.message
    else:
        message = ""
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
    assert "\n" not in message
