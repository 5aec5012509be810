"""Derived fields of tracing: only the past, the same in batch and stream, whatever the log."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest

from verticals.contract import bind
from verticals.contract.model import TIME
from verticals.errors import ContractError, DataError
from verticals.metrics import roc_auc
from verticals.table import Table
from verticals_student_assessment.tracing import log as log_module
from verticals_student_assessment.tracing.demo import demo
from verticals_student_assessment.tracing.features import SEQUENCE, tracing_features
from verticals_student_assessment.tracing.looking_back import PRESENT, RIGHT, SAME_ITEM, SHARED
from verticals_student_assessment.tracing.simulate import SKILLS

START = np.datetime64("2024-09-02T08:00:00", "us")


@pytest.fixture(scope="module")
def contract():
    return dataclasses.replace(demo()[0], id="")


def changed(contract, *, cap=None, recent=None, **more):
    history = contract.entity("student").history
    history = dataclasses.replace(history, cap=cap or history.cap, recent=recent or history.recent)
    entities = tuple(
        dataclasses.replace(item, history=history) if item.history else item
        for item in contract.entities
    )
    return dataclasses.replace(contract, entities=entities, **more)


def raw(rows):
    """Return a raw log of (student, interaction, second, item, skills, right)."""
    names = ("student", "answer_id", "at", "item", "skills", "right")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    columns["at"] = START + np.array(columns["at"], dtype=np.int64) * np.timedelta64(1, "s")
    texts = {
        name: np.array(columns.pop(name), dtype=object)
        for name in ("student", "answer_id", "item", "skills")
    }
    right = np.array(columns.pop("right"), dtype=np.float64)
    more = {name: np.array(["female"] * len(rows), dtype=object) for name in ("sex",)}
    tongue = np.array(["another"] * len(rows), dtype=object)
    return Table({**texts, **columns, "right": right, **more, "home_language": tongue})


def bound(contract, rows):
    return bind(contract, raw(rows)).table


def messy_log(seed, rows=260):
    """Return a random log: ties in time, rows of one interaction, missing answers, odd skills."""
    random = np.random.default_rng(seed)
    found = []
    clock = dict.fromkeys(range(5), 0)
    for place in range(rows):
        student = int(random.integers(5))
        clock[student] += int(random.integers(0, 3)) * int(random.integers(0, 4000))
        item = "unheard" if random.random() < 0.1 else f"q{random.integers(1, 9):03d}"
        right = np.nan if random.random() < 0.1 else float(random.integers(2))
        skills = random.choice([*SKILLS[:5], "alchemy"], int(random.integers(0, 4)), replace=False)
        name = f"a{random.integers(10**6)}-{place}"
        row = (f"s{student}", name, clock[student], item)
        if random.random() < 0.3 and len(skills) > 1:  # one row for each skill
            found += [(*row, str(skill), right) for skill in skills]
        else:
            found.append((*row, ";".join(skills), right))
    return found


def pushed(features, table, *, turn=None):
    """Return the derived columns of a table pushed row by row, saved and restored at `turn`."""
    stream = features.stream()
    found = {item.name: [] for item in features.fields}
    for row in range(table.rows):
        if row == turn:
            saved = stream.save()
            stream = features.stream()
            stream.restore(saved)
        values = stream.push({name: table[name][row] for name in table})
        for name, value in values.items():
            found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("cap", "delay"), [(500, ""), (7, ""), (7, "1h")])
def test_the_stream_equals_the_batch_to_the_bit(contract, seed, cap, delay):
    declared = changed(contract, cap=cap, recent=min(cap, 6), label_delay=delay)
    features = tracing_features(declared)
    table = bound(declared, messy_log(seed))
    table = table.take(np.argsort(table[TIME], kind="stable"))
    expected, seen = features.batch(table), pushed(features, table, turn=table.rows // 2)
    for field in features.fields:
        assert np.array_equal(seen[field.name], expected[field.name], equal_nan=True), field.name


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_says_nothing(contract, seed):
    features = tracing_features(changed(contract, cap=9, recent=5))
    table = bound(contract, messy_log(seed))
    order = np.random.default_rng(seed).permutation(table.rows)
    one, other = features.batch(table), features.batch(table.take(order))
    for field in features.fields:
        assert np.array_equal(one[field.name][order], other[field.name], equal_nan=True)


def test_counts_are_of_earlier_answers_of_the_same_student(contract):
    table = bound(
        contract,
        [
            ("s1", "a", 0, "q001", "fractions", 1),
            ("s2", "b", 1, "q001", "fractions", 0),
            ("s1", "c", 10, "q002", "fractions;ratios", 0),
            ("s1", "d", 10, "q001", "ratios", 1),  # at the same time as c
            ("s1", "e", 30, "q001", "fractions;ratios", 1),
        ],
    )
    found = tracing_features(contract).batch(table)
    assert found["student_right"].tolist() == [0, 0, 1, 1, 2]
    assert found["student_wrong"].tolist() == [0, 0, 0, 0, 1]
    assert found["skill_right"].tolist() == [0, 0, 0.5, 0, 1]  # means over the skills asked for
    assert found["skill_wrong"].tolist() == [0, 0, 0, 0, 1]
    assert found["item_right"].tolist() == [0, 0, 0, 1, 2]
    assert found["since_answer"][-1] == 20
    assert np.isnan(found["since_answer"][0])
    assert found["skill_lowest"][-1] == pytest.approx(0.5)
    # of e: d (right) is later than c (wrong), by id, then a (right)
    assert found["student_recent"][-1] == pytest.approx((1 + 0.64) / (1 + 0.8 + 0.64))
    cells = found[SEQUENCE][-1]
    assert cells[:, PRESENT].sum() == 3
    assert cells[-3:, RIGHT].tolist() == [1, 0, 1]
    assert cells[-3:, SAME_ITEM].tolist() == [1, 0, 1]
    assert cells[-3:, SHARED].tolist() == [0.5, 1, 0.5]


def test_one_row_a_skill_is_the_same_answer_as_skills_side_by_side(contract):
    features = tracing_features(contract)
    apart = [
        ("s1", "a", 0, "q001", "fractions", 1),
        ("s1", "a", 0, "q001", "ratios", 1),
        ("s1", "b", 5, "q002", "ratios", 0),
    ]
    one = features.batch(bound(contract, apart))
    joined = [("s1", "a", 0, "q001", "fractions;ratios", 1), apart[2]]
    other = features.batch(bound(contract, joined))
    for field in features.fields:
        assert np.array_equal(one[field.name][2], other[field.name][1], equal_nan=True)
    assert one["student_right"].tolist() == [0, 0, 1]
    assert "1 interaction(s) stand in several rows" in features.notes(bound(contract, apart))[0]


def coin_log(seed=0, students=60, answers=30):
    """Return answers by the toss of a coin, each in one row for each of two skills."""
    random = np.random.default_rng(seed)
    found = []
    for student in range(students):
        for place in range(answers):
            item, right = f"q{random.integers(1, 90):03d}", int(random.integers(2))
            row = (f"s{student}", f"a{student}-{place}", place * 60, item)
            first, second = random.choice(SKILLS, 2, replace=False)
            found += [(*row, str(first), right), (*row, str(second), right)]
    return found


def best_auc(contract, rows):
    """Return the AUC that one derived field reaches on answers nobody could foresee."""
    table = tracing_features(contract).batch(bound(contract, rows))
    last = table[SEQUENCE][:, -1]
    told = last[:, PRESENT] == 1
    return roc_auc(table["right"][told], last[told, RIGHT] * last[told, SAME_ITEM])


def test_rows_of_one_interaction_do_not_see_one_another(contract, monkeypatch):
    """The known leak: the next row of the same interaction has the answer in its history."""
    rows = coin_log()
    assert abs(best_auc(contract, rows) - 0.5) < 0.03
    # The guard off: each row an answer of its own, the later row a second later, as a log has it.
    leaky = [
        (who, f"{name}-{n}", at + n % 2, *rest) for n, (who, name, at, *rest) in enumerate(rows)
    ]
    assert best_auc(contract, leaky) > 0.7
    notes = tracing_features(contract).notes(bound(contract, leaky))
    assert any("1,800 pair(s) of neighbouring answers" in note for note in notes)
    # The other guard: an answer of the row's own time, its own included, is not seen.
    seen_too = partial(np.searchsorted, side="right")
    monkeypatch.setattr(log_module, "strictly_before", seen_too)
    assert best_auc(contract, rows) > 0.9


def test_an_answer_counts_from_when_it_is_known(contract):
    late = changed(contract, label_delay="1h")
    rows = [
        ("s1", "a", 0, "q001", "area", 1),
        ("s1", "b", 3600, "q001", "area", 1),  # a is known now, not before
        ("s1", "c", 3601, "q001", "area", 1),
    ]
    assert tracing_features(late).batch(bound(late, rows))["student_right"].tolist() == [0, 0, 1]
    unknown = [(*row[:5], np.nan) for row in rows]
    features = tracing_features(contract)
    assert features.batch(bound(contract, unknown))["student_right"].tolist() == [0, 0, 0]
    without = bound(contract, rows).without(["right"])
    assert features.batch(without)["student_right"].tolist() == [0, 0, 0]


def test_answers_may_come_after_their_questions(contract):
    features = tracing_features(contract)
    table = bound(contract, messy_log(3, rows=60))
    table = table.take(np.argsort(table[TIME], kind="stable"))
    stream, told = features.stream(), set()
    expected = features.batch(table)
    for row in range(table.rows):
        for before in range(row):
            if before not in told and table[TIME][before] < table[TIME][row]:
                told.add(before)
                if not np.isnan(table["right"][before]):
                    entities = {k: table[k][before] for k in ("@student", "@interaction", TIME)}
                    stream.label(entities, table["right"][before], table[TIME][before])
        seen = stream.push({k: table[k][row] for k in table if k != "right"})
        for field in features.fields:
            assert np.array_equal(seen[field.name], expected[field.name][row], equal_nan=True)
    assert stream.counters["repeated_answers"] > 0  # rows of one interaction: one answer


def test_what_one_interaction_must_share(contract):
    features = tracing_features(contract)
    one = ("s1", "a", 0, "q001", "area", 1)
    for place, value, what in (
        (0, "s2", "student"),
        (2, 9, "time"),
        (3, "q002", "item"),
        (5, 0, "answer"),
    ):
        other = (*one[:place], value, *one[place + 1 :])
        owned = dataclasses.replace(
            contract,
            entities=tuple(dataclasses.replace(e, owned=False) for e in contract.entities),
        )
        with pytest.raises(DataError, match=rf"1 row\(s\) \(row 2\) have another {what}"):
            features.batch(bound(owned, [one, other]))


def test_bad_events_are_refused_and_change_nothing(contract):
    features = tracing_features(contract)
    table = bound(
        contract, [("s1", "a", 50, "q001", "area", 1), ("s1", "b", 10, "q001", "area", 1)]
    )
    first, early = ({k: table[k][row] for k in table} for row in range(2))
    stream = features.stream()
    stream.push(first)
    before = stream.save()
    with pytest.raises(DataError, match="clock: a question is 40 s older"):
        stream.push(early)
    with pytest.raises(DataError, match="not remembered"):
        stream.label(early, 1, early[TIME])
    with pytest.raises(DataError, match="another answer is known"):
        stream.label(first, 0, first[TIME])
    with pytest.raises(DataError, match="neither 0 nor 1"):
        stream.label(first, "1", first[TIME])
    with pytest.raises(DataError, match="no @interaction"):
        stream.push({k: v for k, v in first.items() if k != "@interaction"})
    after = stream.save()
    assert before.settings == after.settings
    assert all(np.array_equal(before.tensors[k], after.tensors[k]) for k in before.tensors)
    late = tracing_features(changed(contract, late_events="now")).stream()
    late.push(first)
    assert late.push(early)["student_right"] == 0  # taken at 50, where a is not yet seen
    assert late.counters["late_events"] == 1


def test_questions_that_are_forgotten_without_an_answer_are_counted(contract):
    stream = tracing_features(changed(contract, cap=2, recent=1)).stream()
    asked = [("s1", f"i{n}", n, "q001", "area", np.nan) for n in range(5)]
    events = bound(contract, asked)
    rows = [{k: events[k][row] for k in events if k != "right"} for row in range(events.rows)]
    for event in rows:
        stream.push(event)
    assert stream.counters["forgotten_questions"] == 2  # the last one is asked at this very time
    with pytest.raises(DataError, match="not remembered"):
        stream.label(rows[0], 1, rows[4][TIME])
    stream.label(rows[3], 1, rows[4][TIME])


def test_a_damaged_or_foreign_state_is_refused(contract):
    stream = tracing_features(contract).stream()
    table = bound(contract, [("s1", "a", 50, "q001", "area", 1)])
    stream.push({k: table[k][0] for k in table})
    saved = stream.save()
    with pytest.raises(DataError, match="other definitions"):
        tracing_features(changed(contract, cap=77)).stream().restore(saved)
    for name, value in (("right", 3), ("item", 4000), ("known", 0)):
        tensors = {**saved.tensors, name: np.array([value])}
        with pytest.raises(DataError, match="damaged"):
            stream.restore(dataclasses.replace(saved, tensors=tensors))
    cut = {**saved.tensors, "time": np.zeros(0, dtype=np.int64)}
    with pytest.raises(DataError, match="damaged"):
        stream.restore(dataclasses.replace(saved, tensors=cut))


def test_what_is_odd_is_counted(contract):
    rows = [
        ("s1", "a", 0, "q001", ";".join(SKILLS[:5]), 1),
        ("s2", "b", 0, "q001", "alchemy", 1),
        ("s3", "c", 0, "q001", "", 1),
        ("s4", "d", 10**9, "q001", "area", 0),
        ("s4", "e", 10**9 + 1, "q002", "area", 0),
        ("s4", "e", 10**9 + 1, "q002", "area", 0),
        ("s4", "f", 10**9 + 2, "q002", "area", 0),
    ]
    declared = changed(contract, cap=1, recent=1)
    notes = " | ".join(tracing_features(declared).notes(bound(declared, rows)))
    for text in (
        "1 row(s) repeat an interaction",
        "1 interaction(s) need more than 4 skills",
        "1 row(s) name a skill that is not declared",
        "1 row(s) name no skill",
        "3 student(s) have a single answer",
        "4 row(s) are of a time after today",
        "1 row(s) had more than the cap of 1",
    ):
        assert text in notes


def test_a_contract_that_lacks_a_role_is_refused(contract):
    for change, what in (
        ({"group": ""}, "group"),
        ({"time": ""}, "time"),
        ({"entities": contract.entities[:1]}, "an entity `interaction`"),
        ({"entities": contract.entities[1:]}, "an entity of the group's column"),
        ({"targets": ()}, "exactly one binary target"),
        ({"fields": contract.fields[1:]}, "a field `item`"),
    ):
        with pytest.raises(ContractError, match=what):
            tracing_features(dataclasses.replace(contract, **change))
    skills = contract.field("skills")
    for settings in ({}, {"skills": ["a", "a"]}, {"skills": ["a;b"]}, {"skills": [], "x": 1}):
        fields = tuple(
            dataclasses.replace(item, settings=settings) if item is skills else item
            for item in contract.fields
        )
        with pytest.raises(ContractError):
            tracing_features(dataclasses.replace(contract, fields=fields))


def test_every_derived_field_stays_within_the_student(contract):
    features = tracing_features(contract)
    assert all(item.reads == ("@group",) for item in features.fields)
    assert features.within(contract.unit_keys).fields == features.fields
    assert features.within(frozenset()).fields == ()
