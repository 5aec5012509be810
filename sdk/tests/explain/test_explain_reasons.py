"""Reason codes: only what pushed, most first, and never around a protected field."""

from __future__ import annotations

import numpy as np
import pytest

from verticals.contract import DataContract, Decision, Field, Target
from verticals.errors import CallError
from verticals.explain import REFUSED, adverse_sign, checked, principal_reasons, reason_texts


def contract_of(favourable="0", **changes):
    fields = (
        Field(name="debt", kind="numeric", label="Debt", bounds=(0.0, 1.0)),
        Field(name="income", kind="numeric", label="Income", bounds=(0.0, 1.0)),
        Field(name="age", kind="numeric", role="protected", also_feature=True, bounds=(18.0, 99.0)),
    )
    target = Target(name="default", column="y", kind="binary", positive="1", favourable=favourable)
    whole = {"decision": Decision(target="default", cut=0.5), "targets": (target,), **changes}
    return DataContract(solution="s", name="n", fields=fields, **whole)


def attributions_of(rows):
    values = np.array(rows, dtype=float)[:, None, :]
    return checked(
        outputs=("score",),
        fields=("debt", "income", "age"),
        values=values,
        base=np.zeros(1),
        raw=values.sum(axis=2),
        method="test",
    )


def texts_of(rows, contract=None, count=2, adverse=None):
    found = attributions_of(rows)
    mask = np.ones(len(rows), dtype=bool) if adverse is None else np.array(adverse)
    reasons = principal_reasons(found, contract or contract_of(), count=count, adverse=mask)
    return reason_texts(reasons)


def test_the_strongest_push_comes_first():
    assert texts_of([[0.2, 0.9, -1.0]])[0].tolist() == ["Income", "Debt"]


def test_a_field_that_did_not_push_is_no_reason():
    assert texts_of([[0.4, 0.0, -1.0]])[0].tolist() == ["Debt", None]


def test_the_direction_follows_what_is_favourable():
    favourable_positive = contract_of(favourable="1")
    assert adverse_sign(favourable_positive) == -1
    assert texts_of([[0.4, -0.7, 0.1]], favourable_positive)[0].tolist() == ["Income", None]


def test_a_favourable_decision_has_no_reasons():
    texts = texts_of([[0.2, 0.9, 0.0], [0.2, 0.9, 0.0]], adverse=[False, True])
    assert texts[0].tolist() == [None, None]
    assert texts[1].tolist() == ["Income", "Debt"]


def test_a_protected_field_refuses_the_notice_and_is_not_skipped():
    texts = texts_of([[0.2, 0.1, 0.9]])
    assert texts[0].tolist() == [REFUSED, None]


def test_a_protected_field_beyond_the_principal_reasons_does_not_refuse():
    assert texts_of([[0.9, 0.5, 0.1]])[0].tolist() == ["Debt", "Income"]


def test_reasons_need_a_favourable_value():
    with pytest.raises(CallError, match="favourable"):
        adverse_sign(contract_of(favourable=""))


def test_reasons_need_a_positive_count():
    with pytest.raises(CallError, match="0 reasons"):
        texts_of([[0.1, 0.1, 0.1]], count=0)
