"""A rule that cannot speak of a model is set aside with its reason, and no other rule is."""

from __future__ import annotations

import pytest

from verticals.contract.model import DataContract, Field, Target
from verticals_compliance.applicability import set_aside, told
from verticals_compliance.policy import default_policy

FIELD = Field(name="x", kind="numeric", column="x", bounds=(0.0, 1.0))
BINARY = {"better-than-chance", "calibration-slope", "calibration-across-groups"}
FAVOURABLE = {"four-fifths", "equal-opportunity", "equal-false-favourable"}


def contract(**target: object) -> DataContract:
    declared = (Target(name="y", column="y", **target),) if target else ()
    return DataContract(solution="s", name="c", fields=(FIELD,), targets=declared)


def apart(declared: DataContract) -> set[str]:
    return set(set_aside(default_policy(), declared))


def test_every_rule_can_speak_of_a_binary_target() -> None:
    assert apart(contract(kind="binary", positive="1", negative="0")) == set()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"kind": "numeric"}, BINARY | FAVOURABLE | {"enough-outcomes"}),
        (
            {"kind": "ordinal", "values": ("a", "b", "c")},
            BINARY | FAVOURABLE | {"enough-outcomes"},
        ),
        (
            {"kind": "ordinal", "values": ("a", "b", "c"), "favourable": "c"},
            BINARY | {"enough-outcomes"},
        ),
        ({"kind": "categorical", "values": ("a", "b", "c")}, BINARY | FAVOURABLE),
        ({}, BINARY | FAVOURABLE | {"enough-outcomes"}),
    ],
)
def test_what_a_target_cannot_have_is_set_aside(target: dict, expected: set[str]) -> None:
    assert apart(contract(**target)) == expected


def test_a_second_target_of_the_right_kind_keeps_a_rule() -> None:
    both = (
        Target(name="grade", column="g", kind="numeric"),
        Target(name="passed", column="p", kind="binary", positive="1", negative="0"),
    )
    declared = DataContract(solution="s", name="c", fields=(FIELD,), targets=both)
    assert apart(declared) == set()


def test_reasons_are_told_in_the_order_of_the_policy() -> None:
    policy = default_policy()
    found = told(set_aside(policy, contract(kind="numeric")), policy)
    assert [item["rule"] for item in found][:2] == ["enough-outcomes", "better-than-chance"]
    assert found[1]["reason"] == "no target is binary"
    assert found[1]["title"]
