"""Human decisions: what may be entered and when, what stands, and what of it may be shown."""

from __future__ import annotations

import hmac
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from itertools import permutations

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from verticals.chain import Record
from verticals.contract.model import DataContract, Decision, Field, Target
from verticals.errors import CallError, DataError, EvidenceError
from verticals.oversight import (
    Standing,
    Subject,
    appeal,
    apply_to,
    history,
    machine_said,
    override,
    read,
    resolve,
    standings,
    summarise,
)
from verticals.oversight.summary import _summary, _suppressed
from verticals.oversight.values import DIRECTIONS, checked_value, direction, directions_of
from verticals.strictjson import canonical_json, sha256
from verticals.table import Table

AT = "2026-01-31T12:00:00+00:00"
LATER = "2026-02-10T00:00:00+00:00"
BUNDLE = "sha256:" + "ab" * 32
KEY = b"sixteen bytes or more"
OTHER = b"another secret, as long"
PASS = Target(name="pass", column="g3", kind="binary", positive="1", negative="0", favourable="1")
LEVEL = Target(name="level", column="l", kind="ordinal", values=("low", "mid", "high"))
TRACK = Target(name="track", column="t", kind="categorical", values=("a", "b", "c"))
GRADE = Target(name="grade", column="g", kind="numeric", bounds=(0.0, 20.0))
CONTRACT = DataContract(
    solution="student-risk",
    name="school",
    id="student",
    fields=(Field(name="hours", column="hours", kind="numeric", bounds=(0.0, 50.0)),),
    targets=(PASS,),
    decision=Decision(target="pass", cut=0.5),
)
SEVERAL = replace(CONTRACT, targets=(PASS, LEVEL, TRACK, GRADE))


def subject(person="maria-77", key=KEY, contract=CONTRACT, target="", bundle=BUNDLE):
    return Subject.of(bundle=bundle, contract=contract, person=person, key=key, target=target)


WORDS = {"reason": "was ill in May", "by": "year head"}


@pytest.fixture
def record(tmp_path):
    return tmp_path / "decisions.jsonl"


def states(path, person="maria-77"):
    found = standings(read(path), BUNDLE)
    return found.get(("pass", subject(person).person))


# ---- what is entered -------------------------------------------------------------------------

GOLDEN = (
    '{"at":"2026-01-31T12:00:00+00:00","digest":"@DIGEST","entry":{"bundle":"@BUNDLE",'
    '"by":"year head","human":"1","key":"@MARK","machine":"0","person":"@PERSON",'
    '"reason":"was ill in May","target":"pass"},"format":1,"index":0,"kind":"override",'
    '"previous":null}\n'
)
DIGEST = "sha256:3b48342eaf08923d7939d23c282aa6c217e276991a3e30344be1145fec26e8a5"
MARK = "74493ee9bc8c2130"


def test_a_line_is_as_it_has_always_been(record):
    override(record, subject(), machine="0", human="1", at=AT, **WORDS)
    line = GOLDEN.replace("@DIGEST", DIGEST).replace("@BUNDLE", BUNDLE).replace("@MARK", MARK)
    person = hmac.new(KEY, b"maria-77", "sha256").hexdigest()
    assert record.read_text() == line.replace("@PERSON", person)


def test_the_file_holds_no_id_and_is_its_owners_alone(record):
    override(record, subject(), machine="0", human="1", **WORDS)
    appeal(record, subject(), machine="0", **WORDS)
    resolve(record, subject(), human=None, **WORDS)
    for hidden in (b"maria", b"maria-77".hex().encode(), sha256(b"maria-77")[7:].encode()):
        assert hidden not in record.read_bytes()
    assert KEY not in record.read_bytes()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600


def test_ids_are_compared_by_their_text():
    assert subject(7).person == subject("7.0").person != subject("07").person
    assert subject("7", key=OTHER).person != subject("7").person
    with pytest.raises(CallError, match="id is empty"):
        subject(" ")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reason": " \n"}, "reason that is empty"),
        ({"reason": "x" * 2001}, "reason that has 2001 characters, expected at most 2000"),
        ({"reason": "red \x1b[31m"}, "control characters"),
        ({"by": ""}, "by that is empty"),
        ({"by": "y" * 201}, "by that has 201 characters"),
        ({"by": "dean\u202e"}, "control characters"),
        ({"human": "2"}, "the human decision is no value of target 'pass', expected one of 1, 0"),
        ({"human": ""}, "the human decision is no value"),
        ({"machine": "yes"}, "what the machine said is no value of target 'pass'"),
    ],
)
def test_what_cannot_be_entered_is_refused_and_makes_no_file(record, changes, says):
    with pytest.raises(CallError, match=says) as refused:
        override(record, subject(), **{"machine": "0", "human": "1", **WORDS, **changes})
    assert refused.value.hint
    assert not record.exists()


def test_no_message_shows_a_reason_or_what_was_given_for_a_value(record):
    for changes in ({"reason": "Maria's mother\x07"}, {"human": "Maria's mother"}):
        with pytest.raises(CallError) as refused:
            override(record, subject(), **{"machine": "0", "human": "1", **WORDS, **changes})
        assert "mother" not in refused.value.message + refused.value.hint


def test_another_key_is_noticed_before_it_splits_the_record(record):
    override(record, subject(), machine="0", human="1", **WORDS)
    before = record.read_bytes()
    for call in (
        lambda: override(record, subject(key=OTHER), machine="0", human="1", **WORDS),
        lambda: appeal(record, subject(key=OTHER), machine="0", **WORDS),
        lambda: resolve(record, subject(key=OTHER), human=None, **WORDS),
        lambda: history(read(record), subject(key=OTHER)),
    ):
        with pytest.raises(CallError, match="another key"):
            call()
    assert record.read_bytes() == before


# ---- in which order --------------------------------------------------------------------------


def test_an_appeal_is_resolved_once_and_needs_to_be_made(record):
    with pytest.raises(CallError, match="no appeal of this person is open"):
        resolve(record, subject(), human=None, **WORDS)
    assert not record.exists()
    appeal(record, subject(), machine="0", at=AT, **WORDS)
    with pytest.raises(CallError, match=f"open since {AT}".replace("+", r"\+")):
        appeal(record, subject(), machine="0", **WORDS)
    with pytest.raises(CallError, match="no appeal of this person is open"):
        resolve(record, subject("someone else"), human=None, **WORDS)
    with pytest.raises(CallError, match="the one that stands"):
        resolve(record, subject(), human="0", **WORDS)
    with pytest.raises(CallError, match="resolution has a reason that is empty") as refused_one:
        resolve(record, subject(), human="1", reason=" ", by="dean")
    assert refused_one.value.hint == "verticals decision resolve --help"
    done = resolve(record, subject(), human="1", at=LATER, **WORDS)
    assert done.entry["outcome"] == "changed"
    assert done.entry["appeal"] == read(record)[0].digest
    with pytest.raises(CallError, match="no appeal of this person is open"):
        resolve(record, subject(), human=None, **WORDS)
    found = states(record)
    assert (found.decision, found.appeal, found.days) == ("1", "changed", 9.5)
    assert [line.kind for line in history(read(record), subject())] == ["appeal", "resolution"]
    appeal(record, subject(), machine="0", at=LATER, **WORDS)
    found = states(record)
    assert (found.decision, found.appeal, found.appealed_at, found.days) == (
        "1",
        "open",
        LATER,
        None,
    )


def test_an_answer_is_not_older_than_its_appeal(record):
    appeal(record, subject(), machine="0", at=LATER, **WORDS)
    with pytest.raises(CallError, match="before it was made"):
        resolve(record, subject(), human=None, at=AT, **WORDS)
    assert len(read(record)) == 1


def test_a_decision_that_was_upheld_stays_as_it_was(record):
    override(record, subject(), machine="0", human="1", reason="first", by="dean", at=AT)
    appeal(record, subject(), machine="0", **WORDS)
    done = resolve(record, subject(), human=None, reason="second", by="board")
    assert done.entry["human"] == "1"
    found = states(record)
    assert (found.human, found.reason, found.by, found.at) == ("1", "first", "dean", AT)


def test_bundles_and_targets_are_kept_apart(record):
    first = subject(contract=SEVERAL, target="level")
    override(record, first, machine="low", human="high", **WORDS)
    override(record, subject(bundle="sha256:" + "0" * 64), machine="0", human="1", **WORDS)
    assert list(standings(read(record), BUNDLE)) == [("level", first.person)]
    with pytest.raises(CallError, match="no target 'rank', expected one of pass, level"):
        subject(contract=SEVERAL, target="rank")
    with pytest.raises(CallError, match="declares no target"):
        subject(contract=replace(CONTRACT, targets=(), decision=None))


steps = st.lists(
    st.tuples(
        st.sampled_from(["override", "appeal", "upheld", "changed"]),
        st.sampled_from(["ann", "bo"]),
        st.sampled_from("01"),
        st.sampled_from("01"),
    ),
    max_size=14,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
def test_whatever_is_tried_the_record_holds_what_the_rules_allow(tmp_path_factory, tried):
    path = tmp_path_factory.mktemp("tried") / "decisions.jsonl"
    known: dict[str, dict] = {}
    entered = 0
    for kind, who, machine, human in tried:
        of = known.setdefault(who, {"machine": None, "human": None, "appeal": ""})
        standing = of["human"] or of["machine"]
        allowed = {
            "override": True,
            "appeal": of["appeal"] != "open",
            "upheld": of["appeal"] == "open",
            "changed": of["appeal"] == "open" and human != standing,
        }[kind]
        try:
            if kind == "override":
                override(path, subject(who), machine=machine, human=human, **WORDS)
            elif kind == "appeal":
                appeal(path, subject(who), machine=machine, **WORDS)
            else:
                given_human = human if kind == "changed" else None
                resolve(path, subject(who), human=given_human, **WORDS)
        except CallError:
            assert not allowed
            continue
        assert allowed
        entered += 1
        if kind in ("override", "appeal"):
            of["machine"] = machine
        if kind in ("override", "changed"):
            of["human"] = human
        if kind != "override":
            of["appeal"] = "open" if kind == "appeal" else kind
    lines = read(path) if path.exists() else ()
    assert len(lines) == entered
    found = standings(lines, BUNDLE)
    for who, of in known.items():
        got = found.get(("pass", subject(who).person))
        if of["machine"] is None:
            assert got is None
        else:
            assert (got.machine, got.human, got.appeal) == (
                of["machine"],
                of["human"],
                of["appeal"],
            )


@pytest.fixture
def whole(record):
    appeal(record, subject(), machine="0", at=AT, **WORDS)
    resolve(record, subject(), human="1", at=LATER, **WORDS)
    override(record, subject("bo"), machine="1", human="1", at=AT, **WORDS)
    return record


def chained(path, records):
    """Write records as a chain that is whole, as whoever has no key at all can."""
    previous, lines = None, []
    for index, (kind, at, entry) in enumerate(records):
        body = {"format": 1, "index": index, "kind": kind, "at": at, "entry": entry}
        body["previous"] = previous
        previous = sha256(canonical_json(body))
        lines.append(canonical_json({**body, "digest": previous}) + b"\n")
    path.write_bytes(b"".join(lines))


def parts(path):
    return [(line.kind, line.at, dict(line.entry)) for line in read(path)]


def test_every_byte_counts(whole):
    data = whole.read_bytes()
    for place in range(0, len(data), 3):
        changed = bytearray(data)
        changed[place] ^= 0x01
        whole.write_bytes(changed)
        with pytest.raises(EvidenceError):
            read(whole)


def test_lines_that_were_moved_or_taken_out_are_noticed(whole):
    lines = whole.read_bytes().splitlines(keepends=True)
    for some in (*permutations(lines), *permutations(lines, 2)):
        if list(some) == lines[: len(some)]:
            continue
        whole.write_bytes(b"".join(some))
        with pytest.raises(EvidenceError):
            read(whole)


def test_a_cut_end_is_noticed_by_who_kept_the_last_digest(whole):
    head = read(whole)[-1].digest
    whole.write_bytes(b"".join(whole.read_bytes().splitlines(keepends=True)[:2]))
    assert len(read(whole)) == 2
    with pytest.raises(EvidenceError, match="its end was cut off"):
        read(whole, head=head)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[1:], "resolves an appeal that is not open"),
        (lambda lines: [lines[0], *lines], "record 2 is a second appeal while one is open"),
        (lambda lines: [*lines[:2], lines[1]], "record 3 resolves an appeal that is not open"),
        (lambda lines: put(lines, 1, at="2026-01-01T00:00:00+00:00"), "before it was made"),
        (lambda lines: put(lines, 1, outcome="upheld"), "was upheld that changed"),
        (lambda lines: put(lines, 1, machine="1"), "of another machine decision"),
        (lambda lines: put(lines, 1, appeal="sha256:" + "0" * 64), "an appeal that is not open"),
        (lambda lines: put(lines, 2, key="0" * 16), "record 3 was made with another key"),
        (lambda lines: put(lines, 2, person="maria-77"), "has no keyed hash as person"),
        (lambda lines: put(lines, 2, reason=""), "has a reason that is empty"),
        (lambda lines: put(lines, 2, reason=["x"]), "has a reason that is no text"),
        (lambda lines: put(lines, 2, more="x"), "has other keys than"),
        (lambda lines: put(lines, 1, outcome=[]), "has an outcome other than"),
        (lambda lines: put(lines, 2, bundle="b"), "names no bundle"),
    ],
)
def test_a_whole_chain_that_tells_what_cannot_be_is_refused(whole, change, says):
    chained(whole, change(parts(whole)))
    with pytest.raises(EvidenceError, match=says):
        read(whole)
    before = whole.read_bytes()
    with pytest.raises(EvidenceError, match=says):
        override(whole, subject(), machine="0", human="1", **WORDS)
    assert whole.read_bytes() == before


def put(lines, place, at=None, **changes):
    kind, old, entry = lines[place]
    return [*lines[:place], (kind, at or old, {**entry, **changes}), *lines[place + 1 :]]


def test_a_ledger_is_no_record_of_decisions(record):
    from verticals import ledger

    ledger.append(record, "audit", {})
    with pytest.raises(EvidenceError, match="of kind 'audit', expected one of"):
        read(record)


# ---- values and directions -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "value", "text"),
    [
        (PASS, 1.0, "1"),
        (replace(PASS, negative=""), "not 1", "not 1"),
        (LEVEL, " mid ", "mid"),
        (GRADE, "12.50", "12.5"),
        (GRADE, 20, "20"),
    ],
)
def test_a_value_is_known_by_its_text(target, value, text):
    assert checked_value(target, value, "it") == text


@pytest.mark.parametrize("value", ["21", "-1", "nan", "inf", "", "much", None])
def test_a_number_beyond_its_bounds_is_refused(value):
    with pytest.raises(CallError, match="expected a number from 0 to 20"):
        checked_value(GRADE, value, "it")


@pytest.mark.parametrize(
    ("target", "machine", "human", "way"),
    [
        (PASS, "0", "1", "to-favourable"),
        (PASS, "1", "0", "from-favourable"),
        (PASS, "1", "1", "unchanged"),
        (replace(PASS, favourable=""), "1", "0", "other-change"),
        (LEVEL, "low", "high", "raised"),
        (LEVEL, "high", "mid", "lowered"),
        (replace(LEVEL, favourable="mid"), "high", "mid", "to-favourable"),
        (TRACK, "a", "b", "other-change"),
        (GRADE, "9.5", "10", "raised"),
        (GRADE, "9.5", "9", "lowered"),
    ],
)
def test_a_direction_is_seen_from_the_person(target, machine, human, way):
    assert direction(target, machine, human) == way
    assert way in directions_of(target)
    assert set(directions_of(target)) <= set(DIRECTIONS)


# ---- scored rows -----------------------------------------------------------------------------

SCORED = Table(
    {
        "student": np.array(["a", "b", "b", "c", "c"], dtype=object),
        "score": np.array([0.2, 0.7, 0.8, 0.4, 0.6]),
        "decision": np.array(["0", "1", "1", "0", "1"], dtype=object),
        "level_step": np.array([1.4, 1.6, 2.2, np.nan, 0.2]),
        "track_a": np.array([0.2, 0.3, 0.3, np.nan, 0.1]),
        "track_b": np.array([0.5, 0.3, 0.3, 0.1, 0.1]),
        "track_c": np.array([0.3, 0.4, 0.4, 0.1, 0.8]),
        "grade": np.array([9.5, 12.0, 12.0, 3.0, 4.0]),
    }
)


@pytest.mark.parametrize(
    ("person", "target", "said"),
    [
        ("a", "", "0"),
        ("b", "pass", "1"),
        ("a", "level", "mid"),
        ("b", "level", "high"),
        ("c", "level", "low"),
        ("a", "track", "b"),
        ("b", "track", "c"),
        ("c", "track", "c"),
        ("a", "grade", "9.5"),
    ],
)
def test_what_the_machine_said_is_read_from_the_scored_rows(person, target, said):
    assert machine_said(SCORED, SEVERAL, person, target) == said
    assert machine_said(SCORED, SEVERAL, person, target, given=said) == said


@pytest.mark.parametrize(
    ("person", "target", "given_value", "says"),
    [
        ("zoe", "", None, "no row of the scored file has this id in column 'student'"),
        ("zoe", "", "0", "no row of the scored file has this id"),
        ("c", "", None, "2 scored row.* hold 2 different decisions"),
        ("a", "", "1", "another decision about target 'pass' than --machine"),
    ],
)
def test_rows_that_do_not_say_it_are_refused(person, target, given_value, says):
    with pytest.raises(DataError, match=says) as refused:
        machine_said(SCORED, SEVERAL, person, target, given=given_value)
    assert "zoe" not in refused.value.message
    assert machine_said(SCORED, SEVERAL, "c", given="1") == "1"


def test_rows_without_a_decision_leave_it_to_the_caller():
    bare = SCORED.select(["student", "score"])
    with pytest.raises(DataError, match="hold no decision"):
        machine_said(bare, CONTRACT, "a")
    assert machine_said(bare, CONTRACT, "a", given="0") == "0"
    with pytest.raises(DataError, match="no column 'student'"):
        machine_said(SCORED.select(["score"]), CONTRACT, "a")
    with pytest.raises(DataError, match="names no id column"):
        machine_said(SCORED, replace(CONTRACT, id=""), "a")


def test_human_decisions_stand_beside_the_machines(record):
    override(record, subject("a"), machine="0", human="1", **WORDS)
    appeal(record, subject("b"), machine="1", **WORDS)
    found = apply_to(SCORED, CONTRACT, standings(read(record), BUNDLE), KEY)
    for name in SCORED:
        np.testing.assert_array_equal(found[name], SCORED[name])
    assert found["human_decision"].tolist() == ["1", None, None, None, None]
    assert found["human_reason"].tolist() == ["was ill in May", None, None, None, None]
    assert found["human_by"].tolist() == ["year head", None, None, None, None]
    assert found["appeal_state"].tolist() == [None, "open", "open", None, None]
    with pytest.raises(DataError, match="has a column 'appeal_state' already"):
        apply_to(found, CONTRACT, {}, KEY)


def test_of_several_targets_each_has_columns_of_its_own():
    found = apply_to(SCORED, SEVERAL, {}, KEY)
    assert [name for name in found if name.startswith("human_decision")] == [
        f"human_decision_{target.name}" for target in SEVERAL.targets
    ]


# ---- counts ----------------------------------------------------------------------------------


def decided(changes):
    """Return records of persons as (how many, machine, human)."""
    found, at = [], 0
    for how_many, machine, human in changes:
        for _ in range(how_many):
            at += 1
            entry = {
                "bundle": BUNDLE,
                "target": "pass",
                "person": f"{at:064x}",
                "key": "0" * 16,
                "machine": machine,
                "human": human,
                "reason": "r",
                "by": "b",
            }
            found.append(
                Record(index=at, kind="override", at=AT, entry=entry, previous=None, digest="")
            )
    return found


def test_few_persons_are_not_shown():
    one = summarise(decided([(9, "0", "1")]), CONTRACT, BUNDLE)[0]
    assert one.decided is None
    assert {cell.persons for cell in one.directions} == {None}
    assert one.appealed == 0
    none = summarise((), CONTRACT, BUNDLE)[0]
    assert (none.decided, none.appealed, none.median_days) == (0, 0, None)


def test_where_a_person_may_have_several_ids_nothing_is_shown():
    records = decided([(40, "0", "1"), (12, "1", "0")])
    found = summarise(records, replace(CONTRACT, group="class"), BUNDLE)[0]
    assert (found.decided, found.min_cell) == (None, 10)
    assert {cell.persons for cell in found.directions} == {None}
    assert summarise(records, replace(CONTRACT, group="student"), BUNDLE)[0].decided == 52


def test_a_total_gives_no_small_count_away():
    found = summarise(decided([(40, "0", "1"), (12, "1", "0"), (3, "1", "1")]), CONTRACT, BUNDLE)[0]
    assert found.decided == 55
    shown = {cell.name: cell.persons for cell in found.directions}
    assert shown == {"to-favourable": 40, "from-favourable": None, "unchanged": None}


def test_a_person_counts_once(record):
    for _ in range(12):
        override(record, subject(), machine="0", human="1", **WORDS)
    assert summarise(read(record), CONTRACT, BUNDLE)[0].decided is None


def test_the_median_is_of_answers_that_are_known_to_be_enough(record):
    for person in range(12):
        appeal(record, subject(person), machine="0", at=AT, **WORDS)
    for person in range(10):
        resolve(record, subject(person), human="1", at=LATER, **WORDS)
    found = summarise(read(record), CONTRACT, BUNDLE)[0]
    assert found.appealed == 12
    assert [cell.persons for cell in found.appeals] == [None, None, None]
    assert found.median_days is None
    for person in range(10, 20):
        if person >= 12:
            appeal(record, subject(person), machine="0", at=AT, **WORDS)
        resolve(record, subject(person), human=None, at=LATER, **WORDS)
    found = summarise(read(record), CONTRACT, BUNDLE)[0]
    assert [(cell.name, cell.persons) for cell in found.appeals] == [
        ("open", 0),
        ("upheld", 10),
        ("changed", 10),
    ]
    assert found.median_days == 9.5


@given(st.lists(st.integers(0, 30), min_size=2, max_size=6))
@example([30, 3, 0])
@example([9, 9])
@example([0, 0, 10])
def test_no_count_that_is_shown_is_small_or_tells_a_small_one(counts):
    names = [f"c{place}" for place in range(len(counts))]
    total, cells = _suppressed(dict(zip(names, counts, strict=True)), 10)
    shown = [cell.persons for cell in cells if cell.persons is not None]
    if not sum(counts):
        assert total == 0
        return
    assert all(count >= 10 for count in shown)
    hidden = [count for count, cell in zip(counts, cells, strict=True) if cell.persons is None]
    if total is None:
        assert sum(counts) < 10
        assert not shown
    elif hidden:
        assert total == sum(counts)
        assert sum(hidden) >= 10
        assert len(hidden) >= 2


# ---- writers that race and die ---------------------------------------------------------------

SUBJECT = f"""
import sys
from verticals.contract.model import DataContract, Target
from verticals.oversight import Subject, override

target = Target(name="pass", column="g3", kind="binary", positive="1", negative="0")
contract = DataContract(solution="s", name="n", fields=(), targets=(target,))
subject = Subject.of(bundle={BUNDLE!r}, contract=contract, person="maria-77", key={KEY!r})
"""


def together(calls):
    """Make calls at the same moment, each in a thread; return the messages of those refused."""
    refusals, gate = [], threading.Barrier(len(calls))

    def run(call_one):
        gate.wait()
        try:
            call_one()
        except CallError as error:
            refusals.append(error.message)

    threads = [threading.Thread(target=run, args=(one,)) for one in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refusals


def test_of_some_who_answer_at_once_one_is_heard(record):
    for person in range(6):
        one = subject(person)
        appeal(record, one, machine="0", **WORDS)
        calls = [partial(resolve, record, one, human=None, **WORDS) for _ in range(4)]
        refusals = together(calls)
        assert len(refusals) == 3
        assert all("no appeal of this person is open" in text for text in refusals)
        assert len(read(record)) == 2 * person + 2


def test_nothing_is_lost_where_many_write_at_once(record):
    calls = [
        partial(override, record, subject(person), machine="0", human="1", **WORDS)
        for person in range(8)
    ]
    assert together(calls) == []
    assert len(standings(read(record), BUNDLE)) == 8


WRITER = (
    SUBJECT
    + """
while True:
    done = override(sys.argv[1], subject, machine="0", human="1", reason="x" * 1900, by="b")
    print(done.index, flush=True)
"""
)


def test_a_kill_loses_no_decision_that_was_confirmed(record):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(record)], stdout=subprocess.PIPE)
    confirmed = [int(writer.stdout.readline())]
    time.sleep(0.05)
    writer.send_signal(signal.SIGKILL)
    confirmed += [int(line) for line in writer.communicate()[0].splitlines()]
    override(record, subject("q"), machine="0", human="1", **WORDS)
    assert len(read(record)) > max(confirmed) + 1
    assert stat.S_IMODE(os.stat(record).st_mode) == 0o600


# ---- the command -----------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path):
    """Return a folder with a bundle, a key and a scored file."""
    from verticals.bundle import INFINITE, BundleContents, write_bundle
    from verticals.plugin import State

    solution = {
        "name": "student-risk",
        "distribution": "acme-school",
        "version": "1.0",
        "state_version": 1,
        "summary": "who passes",
        "domain": "education",
        "intended_use": "talks",
        "not_for": "marks",
        "offers": [],
    }
    shows = dict.fromkeys(("contract.yaml", "settings.json"), ("declarations", 0))
    contents = BundleContents(
        solution=solution,
        contract=CONTRACT,
        state=State(tensors={"w": np.zeros(2, np.float32)}, settings={}),
        settings={"options": {}, "finish": {"cut": 0.5}, "seed": 0},
        shows={**shows, "weights.safetensors": ("training rows", INFINITE)},
        outputs=[{"name": "score", "kind": "probability", "target": "pass", "value": "1"}],
        split={"seed": 0, "rows": {"train": 6, "test": 4}},
        training={},
        privacy=None,
    )
    write_bundle(tmp_path / "model", contents, trained_at=AT)
    (tmp_path / "ids.key").write_bytes(KEY)
    (tmp_path / "other.key").write_bytes(OTHER)
    (tmp_path / "scored.csv").write_text(
        "student,score,decision\n0071,0.30,0\n0072,0.9000,1\n0073,0.5,1\n"
    )
    return tmp_path


def call(house, *arguments, expect=0, stdin=""):
    """Run `verticals decision …` as a person does, in a process of its own."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from verticals.cli import main; main()",
            *("decision", arguments[0], "model", "--record", "house/decisions.jsonl"),
            *arguments[1:],
        ],
        cwd=house,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stderr
    assert "0071" not in done.stdout + done.stderr
    return done


MARIA = ("--key", "ids.key", "--id", "0071")


def test_from_decision_to_answer_on_the_command_line(house):
    record = house / "house" / "decisions.jsonl"
    words = ("--reason", "was ill in May")
    call(
        house, "override", *MARIA, *words, "--human", "1", "--by", "dean", "--scored", "scored.csv"
    )
    piped = ("--key", "ids.key", "--id", "-", "--scored", "scored.csv", *words, "--json")
    told = json.loads(call(house, "appeal", *piped, stdin="0071\n").stdout)
    assert (told["kind"], told["machine"], told["by"]) == ("appeal", "0", "the person")
    assert not {"person", "key"} & set(told)
    call(house, "resolve", *MARIA, *words, "--by", "board", "--changed", "0")
    assert "0071" not in record.read_text()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    shown = call(house, "list", *MARIA).stdout.splitlines()
    assert [line.split()[1] for line in shown] == ["override", "appeal", "resolution"]
    assert "by dean: was ill in May" in shown[0]
    counted = json.loads(call(house, "list", "--json").stdout)["targets"][0]
    assert (counted["decided"], counted["appealed"], counted["median_days"]) == (None, None, None)
    call(house, "apply", "--key", "ids.key", "--data", "scored.csv", "--out", "decided.csv")
    assert (house / "decided.csv").read_text() == (
        "student,score,decision,human_decision,human_reason,human_by,appeal_state\n"
        "0071,0.30,0,0,was ill in May,board,changed\n"
        "0072,0.9000,1,,,,\n0073,0.5,1,,,,\n"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("override", "--human", "1", "--by", "dean"), "neither --scored nor --machine"),
        (("override", "--human", "7", "--by", "dean", "--machine", "0"), "expected one of 1, 0"),
        (("resolve", "--by", "dean"), "neither of --upheld and --changed"),
        (("resolve", "--by", "dean", "--upheld", "--changed", "1"), "both of --upheld"),
        (("resolve", "--by", "dean", "--upheld"), "no appeal of this person is open"),
        (("appeal", "--machine", "0", "--target", "rank"), "no target 'rank'"),
    ],
)
def test_a_wrong_call_is_one_line_with_a_hint_and_writes_nothing(house, capsys, arguments, says):
    refused(house, capsys, (*arguments, *MARIA, "--reason", "was ill"), says)
    assert not (house / "house").exists()


def refused(house, capsys, arguments, says):
    from verticals.cli.main import run

    os.chdir(house)
    given_now = ("decision", arguments[0], "model", "--record", "house/decisions.jsonl")
    capsys.readouterr()
    assert run([*given_now, *arguments[1:]]) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert [line.split(":")[0] for line in lines] == ["error", "hint"]
    assert says in lines[0]
    assert "0071" not in err
    assert "was ill" not in err


@pytest.fixture(autouse=True)
def _back(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_an_unknown_person_and_another_key_are_refused(house, capsys):
    words = ("--reason", "was ill", "--by", "dean", "--human", "1", "--scored", "scored.csv")
    unknown = ("override", "--key", "ids.key", "--id", "0099", *words)
    refused(house, capsys, unknown, "no row of the scored file has this id")
    assert not (house / "house").exists()
    call(house, "override", *MARIA, *words)
    wrong = ("--key", "other.key")
    apply = ("apply", *wrong, "--data", "scored.csv", "--out", "decided.csv")
    refused(house, capsys, ("list", *wrong, "--id", "0071"), "made with another key")
    refused(house, capsys, apply, "made with another key")
    assert not (house / "decided.csv").exists()
    refused(house, capsys, ("list", "--id", "0071"), "one of --id and --key is given")


def test_the_command_imports_neither_torch_nor_compliance(house):
    code = (
        "import sys; from verticals.cli.main import run; "
        "assert run(['decision', 'list', 'model', '--record', 'r.jsonl']) == 0; "
        "print([n for n in ('torch', 'sklearn', 'verticals_compliance') if n in sys.modules])"
    )
    (house / "r.jsonl").touch()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=house, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_stands_without_a_human_is_what_the_machine_said():
    assert Standing(machine="0").decision == "0"
    assert Standing(machine="0", human="1").decision == "1"


def test_names_are_one_line_and_ids_are_text(record):
    for by in ("year head\n2026-01-01  override", "year\thead", "year\u200bhead"):
        with pytest.raises(CallError, match=r"line break|control characters"):
            override(record, subject(), machine="0", human="1", at=AT, reason="was ill", by=by)
    with pytest.raises(CallError, match="the id is no Unicode text"):
        subject("\udcff")
    assert not record.exists()


def test_further_lines_of_a_reason_pass_for_no_line_of_the_history(record):
    from verticals.cli.oversight import _line

    forged = f"was ill\n{AT}  resolution  changed, decision 0  by board: repaid"
    entry = override(
        record, subject(), machine="0", human="1", at=AT, reason=forged, by="year head"
    )
    first, second = _line(entry).splitlines()
    assert first.startswith(AT)
    assert second.startswith("    | ")


def test_those_decided_without_an_appeal_do_not_follow_from_those_with_one():
    changed = [Standing(machine="0", human="1", appeal="changed", days=1.0)] * 12
    upheld = [Standing(machine="0", appeal="upheld", days=1.0)] * 10
    alone = [Standing(machine="0", human="1")] * 2
    whole = _summary(PASS, [*changed, *upheld, *alone], 10, persons=True)
    assert next(cell.persons for cell in whole.appeals if cell.name == "changed") == 12
    assert whole.decided is None
    assert all(cell.persons is None for cell in whole.directions)
