from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verticals_compliance.report import numerals

FINITE = st.floats(-1e9, 1e9, allow_nan=False)


@pytest.mark.parametrize("value", [None, math.nan, "0.5", True, [], {}])
@pytest.mark.parametrize("style", ["percent", "decimal", "count", "significant"])
def test_what_is_no_number_is_not_measurable_and_never_zero(value, style):
    assert numerals.show(value, style) == "not measurable"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (3, "3"),
        (3.0, "3"),
        (1989, "1,989"),
        (1234.5678, "1,235"),
        (0.2575, "0.258"),
        (0.00001, "0.00001"),
        (2.4e-7, "2.4 × 10⁻⁷"),
        (-0.25, "\u22120.25"),
        (math.inf, "no limit"),
        (1e15, "1 × 10¹⁵"),
    ],
)
def test_significant_digits(value, expected):
    assert numerals.significant(value) == expected


def test_styles():
    assert numerals.percent(0.6214) == "62.1%"
    assert numerals.decimal(0.87444) == "0.874"
    assert numerals.decimal(-0.08) == "\u22120.080"
    assert numerals.count(1989.0) == "1,989"


def test_a_negative_number_that_rounds_to_zero_has_no_sign():
    assert numerals.decimal(-0.0001) == "0.000"
    assert numerals.percent(-1e-9) == "0.0%"


@given(value=st.floats(1e-9, 1e6), digits=st.integers(1, 5))
def test_a_promise_is_rounded_up(value, digits):
    text = numerals.at_most(value, digits).replace(",", "")
    if "×" not in text:
        assert float(text) >= value * (1 - 1e-8)
        assert float(text) <= value * (1 + 10 ** (1 - digits)) + 1e-12


def test_p_values():
    assert numerals.p_value(0.0004) == "p < 0.001"
    assert numerals.p_value(0.0341) == "p = 0.034"
    assert numerals.p_value(None) == "p not measurable"


def test_intervals():
    assert numerals.interval(0.55, 0.84) == "0.550 to 0.840"
    assert numerals.interval(0.55, 0.84, "percent") == "55.0% to 84.0%"
    assert numerals.interval(0.55, None) == "no interval"
    assert numerals.interval(3.0, 3.0) == "no interval"


def test_rounding_never_hides_the_side_of_a_limit():
    assert numerals.beside(0.79996, 0.8) == "0.79996"
    assert numerals.beside(0.8, 0.8) == "0.800"
    assert numerals.beside(0.644, 0.8) == "0.644"
    assert numerals.beside(0.09996, 0.1, "percent") == "10.00%".replace("10.00", "9.996")


@given(value=st.floats(0, 2), limit=st.sampled_from([0.1, 0.8, 1.25]))
def test_a_value_beside_its_limit_reads_on_its_own_side(value, limit):
    shown = float(numerals.beside(value, limit).replace(",", ""))
    if abs(value - limit) > 1e-9:
        assert (shown < limit) == (value < limit)


@given(FINITE)
def test_significant_keeps_the_size(value):
    text = numerals.significant(value).replace(",", "").replace("\u2212", "-")
    if "×" not in text:
        assert float(text) == pytest.approx(value, rel=5.1e-3, abs=1e-9)
