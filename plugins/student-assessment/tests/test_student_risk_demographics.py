"""The second model, with the demographics: what it may read, and that it breaks nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import verticals
from verticals.contract import DataContract, Decision, Field, Target
from verticals.errors import DataError
from verticals.evidence import open_evidence
from verticals.table import Table
from verticals_student_assessment.risk import demographics
from verticals_student_assessment.risk.demographics import protected_inputs


def age(*bands, **more):
    return Field(name="age", column="age", kind="numeric", role="protected", bands=bands, **more)


def aid(**settings):
    """Return a protected field that is known from a week on."""
    return Field(name="aid", column="aid", kind="boolean", role="protected", settings=settings)


def contract(*protected):
    return DataContract(
        solution="student-risk",
        name="made",
        id="id",
        fields=(
            Field(
                name="entry", column="entry", kind="numeric", bounds=(-4, 4), settings={"week": 2}
            ),
            *protected,
        ),
        targets=(
            Target(name="fails", column="fails", kind="binary", positive="1", favourable="0"),
        ),
        decision=Decision(target="fails", cut=0.5),
    )


def students(n=400):
    """Return raw rows in which failing depends on nothing but age, and aid is the outcome."""
    random = np.random.default_rng(0)
    years = random.integers(16, 60, n).astype(float)
    fails = (random.random(n) < 1 / (1 + np.exp(-(years - 38) / 4))).astype(int)
    return Table(
        {
            "id": np.array([f"s{i}" for i in range(n)], dtype=object),
            "entry": random.normal(size=n).clip(-4, 4),
            "age": years,
            "aid": fails,
            "fails": fails,
        }
    )


def demographics_of(path, given):
    result = verticals.train(
        "student-risk",
        out=path,
        contract=given,
        data=students(),
        no_privacy=True,
        device="cpu",
        options={"least_steps": 60, "epochs": 3},
    )
    table = open_evidence(result.evidence).tables["risk.demographics"]
    return {name: table[name][0] for name in table}


@pytest.mark.parametrize("bands", [(20,), (20, 30), (20, 30, 45)])
def test_bands_alone_become_bins_that_clip_nothing(bands):
    (plain,) = protected_inputs(contract(age(*bands)))
    assert len(plain.bins) == len(bands) + 2
    assert plain.bins[0] < bands[0]
    assert plain.bins[-1] > bands[-1]
    (wide,) = protected_inputs(contract(age(*bands)), students())
    assert wide.bins[0] <= 16
    assert wide.bins[-1] >= 59
    assert list(wide.bins) == sorted(set(wide.bins))
    (bounded,) = protected_inputs(contract(age(*bands, bounds=(10, 90))))
    assert (bounded.bounds, bounded.bins) == ((10, 90), ())


@pytest.mark.parametrize("bands", [(20,), (20, 30)])
def test_one_or_two_bands_train_and_reach_beyond_them(tmp_path, bands):
    found = demographics_of(tmp_path / "bundle", contract(age(*bands)))
    assert found["gain"] > 0.25  # clipped at 30, age would tell next to nothing
    assert found["fields"] == "age"


def test_what_is_known_later_is_not_given_to_the_second_model(tmp_path):
    late, early = aid(week=8), aid(week=1)
    assert protected_inputs(contract(late)) == ()
    assert [item.name for item in protected_inputs(contract(early))] == ["aid"]
    found = demographics_of(tmp_path / "bundle", contract(age(20, 30), late))
    assert found["fields"] == "age"
    assert "known later: aid" in found["method"]
    alone = demographics_of(tmp_path / "alone", contract(late))
    assert np.isnan(alone["gain"])
    assert alone["method"].startswith("not measured: no protected field")


def test_in_a_panel_what_is_known_later_than_enrolment_is_not_given():
    at = Field(name="at", column="at", kind="numeric", role="ignore", settings={"panel_week": True})
    given = dataclasses.replace(contract(aid(week=1), at), group="student", id="")
    assert protected_inputs(given) == ()


def test_a_second_training_that_fails_is_said_and_leaves_the_first(tmp_path, monkeypatch):
    def fails(*_):
        raise DataError("no step can be made")

    monkeypatch.setattr(demographics, "_again", fails)
    found = demographics_of(tmp_path / "bundle", contract(age(20)))
    assert np.isnan(found["gain"])
    assert found["method"] == "not measured: the second training failed: no step can be made"
