from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract import canonical
from verticals.contract.canonical import coded, factorise


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        ("1", "1"),
        ("1.0", "1"),
        (" 1.50 ", "1.5"),
        (1.5, "1.5"),
        (-0.0, "0"),
        ("-0.0", "0"),
        ("01", "01"),
        ("1e5", "1e5"),
        (1e5, "100000"),
        (1e16, "10000000000000000"),
        (0.00001, "0.00001"),
        (np.float32(0.1), "0.1"),
        (np.int8(3), "3"),
        (True, "true"),
        (np.False_, "false"),
        ("TRUE", "true"),
        ("NO", "NO"),
        (None, ""),
        (float("nan"), ""),
        (float("inf"), "inf"),
        ("  ", ""),
    ],
)
def test_values_that_mean_the_same_have_one_text(value, text):
    assert canonical(value) == text


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none()))
def test_canonical_text_is_its_own_canonical_text(value):
    assert canonical(canonical(value)) == canonical(value)


@settings(deadline=None, max_examples=100)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_and_its_text_agree_and_lose_nothing(value):
    assert float(canonical(value)) == value
    assert canonical(str(canonical(value))) == canonical(value)


@pytest.mark.parametrize(
    "column",
    [
        np.array([1, 0, 1]),
        np.array([1.0, 0.0, np.nan]),
        np.array(["1", "0", None], dtype=object),
        np.array([1, "0", 1.0], dtype=object),
        np.array(["1", "0", "1"]),
    ],
)
def test_columns_of_any_type_give_the_same_texts(column):
    codes, texts = coded(column)
    assert [texts[code] for code in codes][:2] == ["1", "0"]
    assert [texts[code] for code in codes][2] in ("1", "")


def test_true_and_one_in_one_column_stay_apart():
    codes, texts = coded(np.array([True, 1, 0, False, None], dtype=object))
    assert [texts[code] for code in codes] == ["true", "1", "0", "false", ""]


def test_narrow_floats_keep_their_short_text():
    codes, texts = coded(np.array([0.1, 0.25], dtype=np.float32))
    assert [texts[code] for code in codes] == ["0.1", "0.25"]


def test_values_without_a_hash_and_times_are_read_too():
    column = np.empty(2, dtype=object)
    column[0], column[1] = [1, 2], [1, 2]
    codes, values = factorise(column)
    assert values == ["[1, 2]"]
    assert codes.tolist() == [0, 0]
    _, times = factorise(np.array(["2024-01-02", "NaT"], dtype="datetime64[ns]"))
    assert set(times) == {datetime(2024, 1, 2), None}
