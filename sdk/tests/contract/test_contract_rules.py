from __future__ import annotations

import dataclasses

import pytest

from verticals.contract import (
    DataContract,
    Decision,
    Field,
    Target,
    unreviewed,
    validate_contract,
)
from verticals.errors import ContractError

AGE = Field(name="age", kind="numeric", column="AGE", bounds=(18, 100))
SEX = Field(name="sex", kind="categorical", column="SEX", categories=("1", "2"), role="protected")
BAD = Target(name="bad", kind="binary", column="BAD", positive="1", favourable="0")
GOOD = DataContract(
    solution="s",
    name="n",
    fields=(AGE, SEX),
    targets=(BAD,),
    decision=Decision(target="bad", cut=0.5),
)


def violations(contract: DataContract) -> list[str]:
    try:
        validate_contract(contract)
    except ContractError as error:
        return list(error.violations) if error.hint and "\n" not in error.message else ["unclear"]
    return []


def with_field(**changes) -> DataContract:
    return dataclasses.replace(GOOD, fields=(dataclasses.replace(AGE, **changes), SEX))


def with_target(**changes) -> DataContract:
    return dataclasses.replace(GOOD, targets=(dataclasses.replace(BAD, **changes),))


def test_a_sound_contract_breaks_no_rule():
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bounds": (5.0, 1.0)}, "fields.age.bounds: is [5, 1], which is upside down"),
        ({"bounds": (1.0, 1.0)}, "upside down"),
        ({"bounds": (0.0, float("inf"))}, "expected two finite numbers"),
        ({"bounds": (float("nan"), 1.0)}, "expected two finite numbers"),
        ({"bounds": None}, "bounds: is missing, expected [lower, upper] or bins"),
        ({"bounds": (0.0, 5.0), "scale": "log"}, "scale: is log, which needs a lower bound"),
        ({"bounds": None, "bins": (-1.0, 5.0), "scale": "log"}, "which needs a lower bound"),
        ({"scale": "cubic"}, "scale: is 'cubic'"),
        ({"bins": (20.0, 20.0, 30.0)}, "bins: is [20, 20, 30], expected increasing"),
        ({"bins": (20.0,)}, "at least 2 edges"),
        ({"bins": (0.0, 50.0)}, "bins: is [0, 50], expected numbers inside the bounds [18, 100]"),
        ({"bins": (20.0, float("inf"))}, "expected finite numbers"),
        ({"bands": (40.0, 25.0)}, "bands: is [40, 25], expected increasing"),
        ({"bands": (18.0, 25.0)}, "bands: is [18, 25], expected numbers inside"),
        ({"kind": "numerical"}, "kind: is numerical, expected one of"),
        ({"kind": ""}, "kind: is missing"),
        ({"role": "key"}, "role: is 'key'"),
        ({"monotone": "up"}, "monotone: is 'up'"),
        ({"kind": "text"}, "bounds: does not apply to kind text"),
        ({"kind": "text", "bounds": None, "monotone": "increasing"}, "monotone: does not apply"),
        ({"size": (2, 2)}, "size: does not apply to kind numeric"),
        ({"kind": "image", "size": (0, 2), "bounds": None}, "one to three positive whole"),
        ({"also_feature": True}, "also_feature: applies to role protected"),
        ({"columns": ("A*",)}, "stands beside column"),
        ({"kind": "text", "bounds": None, "column": "", "columns": ("A*",)}, "of kind text"),
        ({"drafted": ("colour",)}, "drafted: names 'colour'"),
        ({"drafted": ("bounds", "bounds")}, "names a key twice"),
        ({"role": "stratum"}, "bands: is missing"),
        ({"role": "protected"}, "bands: is missing"),
        ({"role": "protected", "kind": "text", "bounds": None}, "kind: is text, which has no"),
        (
            {"role": "stratum", "column": "", "columns": ("A*",), "bands": (25.0,)},
            "groups come from one column",
        ),
        ({"name": "Age"}, "fields.Age: is no name"),
        ({"name": "a" * 65}, "at most 64 characters"),
        ({"name": "table"}, "is a reserved name"),
        ({"name": "sex"}, "is also the name of one of the fields"),
        ({"name": "bad"}, "is also the name of one of the targets"),
        ({"column": "BAD"}, "the column of target bad: a target cannot be a field"),
        ({"column": "SEX"}, "a protected column is a feature only by also_feature"),
    ],
)
def test_a_field_that_breaks_a_rule_is_named(changes, said):
    found = violations(with_field(**changes))
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"categories": ()}, "categories: is missing"),
        ({"categories": ("1", "1")}, "holds '1' twice"),
        ({"categories": ("1", "")}, "holds an empty value"),
        ({"categories": ("1.0", "2")}, "expected canonical text: '1'"),
        ({"categories": ("1", "x" * 201)}, "more than 200 characters"),
        ({"missing": ("2", "9")}, "missing: holds '2', which also stand among the categories"),
        ({"missing": ("9", "9")}, "missing: holds '9' twice"),
        ({"category_labels": ("male",)}, "1 labels, expected one for each of 2"),
        ({"category_labels": ("male", "male")}, "the same label"),
        ({"category_labels": ("male", " ")}, "empty label"),
        ({"kind": "ordinal", "categories": ()}, "levels: is missing"),
        ({"levels": ("1", "2")}, "levels: does not apply to kind categorical"),
    ],
)
def test_values_are_declared_once_and_in_one_form(changes, said):
    sex = dataclasses.replace(SEX, **changes)
    found = violations(dataclasses.replace(GOOD, fields=(AGE, sex)))
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"positive": ""}, "targets.bad.positive: is missing"),
        ({"negative": "1"}, "which is also the positive value"),
        ({"negative": "2"}, "favourable: is '0', expected one of '1', '2'"),
        ({"favourable": ""}, "favourable: is missing: an audited decision needs"),
        ({"column": ""}, "column: is missing"),
        ({"kind": "yesno"}, "kind: is yesno"),
        ({"values": ("1", "2")}, "values: does not apply to a binary target"),
        ({"bounds": (0.0, 1.0)}, "bounds: does not apply to a binary target"),
        ({"positive": "1.0"}, "expected canonical text: '1'"),
    ],
)
def test_a_target_that_breaks_a_rule_is_named(changes, said):
    found = violations(with_target(**changes))
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"kind": "categorical", "values": ("a",)}, "values: is missing, expected two or more"),
        ({"kind": "ordinal", "values": ("a", "a")}, "values: holds 'a' twice"),
        (
            {"kind": "ordinal", "values": ("a", "b"), "favourable": "c"},
            "favourable: is 'c', expected one of 'a', 'b'",
        ),
        ({"kind": "numeric", "bounds": (2.0, 1.0)}, "upside down"),
        ({"kind": "numeric", "favourable": "1"}, "does not apply to a numeric target"),
        ({"kind": "numeric", "positive": "1"}, "positive: does not apply to a numeric target"),
    ],
)
def test_targets_of_other_kinds_have_rules_of_their_own(target, said):
    other = Target(name="bad", column="BAD", **target)
    found = violations(dataclasses.replace(GOOD, targets=(other,), decision=None))
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (None, "decision: is missing, expected such as {target: bad, cut: 0.5}"),
        (Decision(target="good", cut=0.5), "decision.target: is 'good', expected a target: bad"),
        (Decision(target="bad"), "has neither of cut and rate"),
        (Decision(target="bad", cut=0.5, rate=0.5), "has both of cut and rate"),
        (Decision(target="bad", rate=1.0), "rate: is 1.0, expected a share between 0 and 1"),
        (Decision(target="bad", cut=1.5), "cut: is 1.5, expected a probability"),
    ],
)
def test_an_audited_decision_is_declared_whole(decision, said):
    found = violations(dataclasses.replace(GOOD, decision=decision))
    assert len(found) == 1, found
    assert said in found[0]


def test_no_decision_is_needed_without_audited_fields_or_without_a_binary_target():
    plain = dataclasses.replace(GOOD, fields=(AGE,), decision=None)
    assert violations(plain) == []
    latent = dataclasses.replace(GOOD, targets=(), decision=None)
    assert violations(latent) == []
    bare = dataclasses.replace(plain, targets=(dataclasses.replace(BAD, favourable=""),))
    assert violations(bare) == []


def test_a_categorical_target_cannot_be_decided_by_a_cut():
    classes = Target(name="bad", kind="categorical", column="BAD", values=("a", "b", "c"))
    found = violations(dataclasses.replace(GOOD, targets=(classes,)))
    assert found == ["decision.target: is 'bad', a categorical target, which no cut can decide"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"solution": " "}, "solution: is missing"),
        ({"name": ""}, "name: is missing"),
        ({"fields": ()}, "fields: is empty"),
        ({"id": "AGE"}, "fields.age.column: is 'AGE', which is the id"),
        ({"group": "AGE"}, "fields.age.column: is 'AGE', which is the group"),
        ({"group": "BAD"}, "group: is 'BAD', which is the column of target bad"),
        ({"time": "BAD"}, "time: is 'BAD', which is the column of target bad"),
    ],
)
def test_the_contract_as_a_whole_has_rules(changes, said):
    found = violations(dataclasses.replace(GOOD, **changes))
    assert len(found) == 1, found
    assert said in found[0]


def test_the_group_may_be_audited_and_the_time_may_be_a_field():
    assert violations(dataclasses.replace(GOOD, group="SEX", time="AGE")) == []


def test_one_column_is_read_by_one_field():
    twin = dataclasses.replace(AGE, name="age_again")
    found = violations(dataclasses.replace(GOOD, fields=(AGE, SEX, twin)))
    assert found == [
        "fields.age_again.column: is 'AGE', which field age reads too: one column, one field"
    ]
    second = dataclasses.replace(BAD, name="worse")
    found = violations(dataclasses.replace(GOOD, targets=(BAD, second)))
    assert found == ["targets.worse.column: is 'BAD', which is also target bad"]


def test_a_protected_field_is_a_feature_by_declaration_only():
    also = dataclasses.replace(SEX, also_feature=True)
    assert violations(dataclasses.replace(GOOD, fields=(AGE, also))) == []
    smuggled = dataclasses.replace(SEX, name="sex_in", role="feature")
    found = violations(dataclasses.replace(GOOD, fields=(AGE, smuggled, SEX)))
    assert len(found) == 1
    assert "only by also_feature: true on the one protected field" in found[0]


def test_all_violations_are_listed_at_once():
    broken = dataclasses.replace(with_field(bounds=(2.0, 1.0), monotone="up"), decision=None)
    assert len(violations(broken)) == 3


def test_unreviewed_lists_what_was_read_from_data():
    contract = with_field(drafted=("bounds", "bands"))
    assert unreviewed(contract) == ("age.bounds", "age.bands")
    assert unreviewed(GOOD) == ()
