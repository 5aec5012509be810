from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract import Field, bind, group_labels, group_of, value_labels
from verticals.contract.model import DataContract
from verticals.errors import ContractError
from verticals.table import Table


def field(**given) -> Field:
    return Field(name="a", column="A", role="protected", **given)


@pytest.mark.parametrize(
    ("bands", "labels"),
    [
        ((25.0, 40.0, 62.0), ("<25", "25–39", "40–61", ">=62")),
        ((2.0, 3.0), ("<2", "2", ">=3")),
        ((0.5, 1.5), ("<0.5", "[0.5, 1.5)", ">=1.5")),
        ((10.0,), ("<10", ">=10")),
    ],
)
def test_bands_are_named_as_people_write_them(bands, labels):
    assert group_labels(field(kind="numeric", bands=bands)) == labels


def test_each_kind_has_its_groups_in_order():
    sex = field(kind="categorical", categories=("1", "2"), category_labels=("male", "female"))
    assert value_labels(sex) == ("male", "female")
    assert group_labels(sex) == ("male", "female", "other")
    assert group_labels(field(kind="categorical", categories=("b", "a"))) == ("b", "a", "other")
    assert group_labels(field(kind="categorical", categories=("other", "a"))) == ("other", "a")
    assert group_labels(field(kind="ordinal", levels=("low", "high"))) == ("low", "high", "other")
    assert group_labels(field(kind="boolean")) == ("no", "yes")


def test_everybody_is_in_the_group_that_the_contract_says():
    contract = DataContract(
        solution="s",
        name="n",
        fields=(
            Field(
                name="sex",
                kind="categorical",
                column="SEX",
                role="protected",
                categories=("1", "2"),
                category_labels=("male", "female"),
                missing=("9",),
            ),
            Field(name="age", kind="numeric", column="AGE", role="protected", bands=(25, 40)),
            Field(name="ill", kind="boolean", column="ILL", role="stratum"),
            Field(name="rank", kind="ordinal", column="RANK", role="stratum", levels=("a", "b")),
        ),
    )
    raw = Table(
        {
            "SEX": np.array([1, 2, 9, 3]),
            "AGE": np.array([24.9, 25.0, np.nan, 70.0]),
            "ILL": np.array(["yes", "no", None, "Y"], dtype=object),
            "RANK": np.array(["b", "a", "", "c"], dtype=object),
        }
    )
    table = bind(contract, raw).table
    groups = {f.name: group_of(f, table[f.name]).tolist() for f in contract.audited}
    assert groups == {
        "sex": ["male", "female", "", "other"],
        "age": ["<25", "25–39", "", ">=40"],
        "ill": ["yes", "no", "", "yes"],
        "rank": ["b", "a", "", "other"],
    }
    assert group_of(contract.field("sex"), table["sex"]).dtype == object


def test_values_that_nobody_declared_join_a_declared_other():
    declared = field(kind="categorical", categories=("other", "a"))
    assert group_of(declared, np.array([0, 1, 2, -1])).tolist() == ["other", "a", "other", ""]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(-50, 50), min_size=1, max_size=5, unique=True).map(sorted),
    st.lists(st.integers(-60, 60), min_size=1, max_size=30),
)
def test_whole_numbers_are_in_the_band_whose_name_holds_them(bands, ages):
    banded = field(kind="numeric", bands=tuple(map(float, bands)))
    groups = group_of(banded, np.array(ages, dtype=float))
    for age, group in zip(ages, groups, strict=True):
        if group.startswith("<"):
            assert age < int(group[1:])
        elif group.startswith(">="):
            assert age >= int(group[2:])
        else:
            first, _, last = group.partition("–")
            assert int(first) <= age <= int(last or first)


@pytest.mark.parametrize("kind", ["numeric", "text", "time", "image"])
def test_what_has_no_groups_is_refused(kind):
    with pytest.raises(ContractError, match="has no groups") as caught:
        group_labels(field(kind=kind))
    assert caught.value.hint
