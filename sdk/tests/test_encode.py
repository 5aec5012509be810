from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from verticals.contract.model import Field
from verticals.encode import Encoder, build_encoder, encoder_from_settings, fit_encoder
from verticals.encode.scales import declared_edges, from_scale, piecewise_linear, to_scale
from verticals.errors import BundleError, CallError, ContractError, DataError
from verticals.table import Table

INCOME = Field(name="income", kind="numeric", bounds=(0.0, 100.0))
JOB = Field(name="job", kind="categorical", categories=("none", "part", "full"))
OWNER = Field(name="owner", kind="boolean")
GRADE = Field(name="grade", kind="ordinal", levels=("low", "mid", "high"))
SEX = Field(name="sex", kind="categorical", role="protected", categories=("f", "m"))
ITEMS = Field(name="items", kind="ordinal", role="item", columns=("q1", "q2"), levels=("0", "1"))
FIELDS = (INCOME, JOB, SEX, OWNER, GRADE, ITEMS)


def bound_table() -> Table:
    return Table(
        {
            "income": np.array([0.0, 37.5, 100.0, -5.0, 250.0, np.nan]),
            "job": np.array([0, 1, 2, 3, -1, 0], dtype=np.int32),
            "owner": np.array([0.0, 1.0, np.nan, 1.0, 0.0, 1.0]),
            "grade": np.array([0, 1, 2, 3, -1, 2], dtype=np.int32),
            "items": np.array([[0, 1], [1, 1], [-1, 0], [2, 0], [0, 0], [1, 0]], dtype=np.int32),
        }
    )


def field_cells(encoder: Encoder, name: str, table: Table) -> np.ndarray:
    block, columns = encoder.inputs.where[name]
    return encoder.encode(table)[block][:, columns]


def test_numbers_fill_bins_between_bounds_and_a_missing_one_is_the_middle_and_a_flag():
    encoder = build_encoder(FIELDS, bins=4)
    expected = [
        [0, 0, 0, 0, 0],
        [1, 0.5, 0, 0, 0],
        [1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0],
        [0.875, 0.625, 0.375, 0.125, 1],
    ]
    assert field_cells(encoder, "income", bound_table()).tolist() == expected
    assert encoder.inputs.edges["income"] == (0.0, 25.0, 50.0, 75.0, 100.0)


def test_categories_are_one_hot_and_what_is_not_declared_is_their_mean_and_a_flag():
    cells = field_cells(build_encoder(FIELDS), "job", bound_table())
    assert cells.argmax(axis=1).tolist() == [0, 1, 2, 3, 4, 0]
    assert cells[:, 3:].sum(axis=1).tolist() == [0, 0, 0, 1, 1, 0]  # other, missing
    np.testing.assert_allclose(cells[3:5, :3], 1 / 3)
    assert (cells[[0, 1, 2, 5]].sum(axis=1) == 1).all()


def test_booleans_and_levels():
    encoder = build_encoder(FIELDS)
    owner = field_cells(encoder, "owner", bound_table())
    assert owner.tolist() == [[0, 0], [1, 0], [0.5, 1], [1, 0], [0, 0], [1, 0]]
    grade = field_cells(encoder, "grade", bound_table())
    unknown = [2 / 3, 1 / 3, 1]
    thermometer = [[0, 0, 0], [1, 0, 0], [1, 1, 0], unknown, unknown, [1, 1, 0]]
    np.testing.assert_allclose(grade, thermometer, rtol=1e-6)


def test_a_block_is_one_field_with_its_columns_side_by_side():
    cells = field_cells(build_encoder(FIELDS), "items", bound_table())
    assert cells.tolist() == [
        [0, 0, 1, 0],
        [1, 0, 1, 0],
        [0.5, 1, 0, 0],
        [0.5, 1, 0, 0],
        [0, 0, 0, 0],
        [1, 0, 0, 0],
    ]


def test_a_numeric_block_shares_its_edges():
    block = Field(name="lags", kind="numeric", columns=("a", "b"), bounds=(0.0, 2.0))
    table = Table({"lags": np.array([[0.0, 1.0], [2.0, np.nan]])})
    cells = build_encoder([block], bins=2).encode(table)["table"]
    assert cells.tolist() == [[0, 0, 0, 1, 0, 0], [1, 1, 0, 0.75, 0.25, 1]]


def test_every_field_has_its_place_and_protected_fields_have_none():
    inputs = build_encoder(FIELDS, bins=4).inputs
    assert list(inputs.where) == ["income", "job", "owner", "grade", "items"]
    places = [columns for _, columns in inputs.where.values()]
    assert [place.start for place in places[1:]] == [place.stop for place in places[:-1]]
    assert inputs.shapes == {"table": (places[-1].stop,)}
    declared = build_encoder([*FIELDS[:2], replace(SEX, also_feature=True)]).inputs
    assert "sex" in declared.where


def test_counts_say_what_did_not_fit():
    counts = build_encoder(FIELDS).counts(bound_table())
    found = {
        name: [int(counts[key][row]) for key in ("rows", "missing", "below", "above", "other")]
        for row, name in enumerate(counts["field"])
    }
    assert found == {
        "income": [6, 1, 1, 1, 0],
        "job": [6, 1, 0, 0, 1],
        "owner": [6, 1, 0, 0, 0],
        "grade": [6, 1, 0, 0, 1],
        "items": [12, 1, 0, 0, 1],
    }


def test_a_row_is_encoded_like_its_batch_and_order_does_not_matter():
    encoder, table = build_encoder(FIELDS), bound_table()
    batch = encoder.encode(table)["table"]
    single = [encoder.encode(table.take([row]))["table"][0] for row in range(table.rows)]
    assert np.array_equal(batch, np.stack(single))
    order = np.array([3, 1, 5, 0, 2, 4])
    assert np.array_equal(encoder.encode(table.take(order))["table"], batch[order])
    assert encoder.encode(table.take([]))["table"].shape == (0, batch.shape[1])


def test_the_input_is_not_changed():
    table = bound_table()
    before = {name: table[name].copy() for name in table}
    build_encoder(FIELDS).encode(table)
    assert all(
        np.array_equal(before[k], table[k], equal_nan=k in ("income", "owner")) for k in before
    )


def test_one_changed_row_leaves_a_declared_encoder_as_it_is_and_moves_a_fitted_one():
    random = np.random.default_rng(0)
    first = Table({"income": random.uniform(0, 100, 50)})
    values = first["income"].copy()
    values[7] = 99.9
    second = Table({"income": values})
    assert build_encoder([INCOME]).settings() == build_encoder([INCOME]).settings()
    # `build_encoder` takes no table at all: what it made cannot depend on one.
    encoder = build_encoder([INCOME])
    before = json.dumps(encoder.settings())
    encoder.encode(first), encoder.counts(second)
    assert json.dumps(encoder.settings()) == before
    fitted = [fit_encoder([INCOME], table).settings()["edges"] for table in (first, second)]
    assert fitted[0] != fitted[1]


def test_fitted_bins_are_quantiles_within_the_declared_bounds_and_say_so():
    values = np.concatenate([np.arange(101.0), [np.nan, 1e6, -1e6]])
    encoder = fit_encoder([INCOME], Table({"income": values}), bins=4)
    assert encoder.inputs.edges["income"] == pytest.approx((0.0, 24.5, 50.0, 75.5, 100.0), abs=1.5)
    assert (encoder.origin, build_encoder([INCOME]).origin) == ("training rows", "declarations")
    shares = encoder.encode(Table({"income": np.arange(101.0)}))["table"][:, :4]
    assert shares.mean(axis=0) == pytest.approx([0.875, 0.625, 0.375, 0.125], abs=0.02)


def test_fitted_bins_need_no_bounds_and_take_few_values_as_they_are():
    free = replace(INCOME, bounds=None)
    table = Table({"income": np.array([3.0, 1.0, 3.0, 2.0, np.nan])})
    assert fit_encoder([free], table).inputs.edges["income"] == (1.0, 2.0, 3.0)
    counted = fit_encoder([free], table).counts(Table({"income": np.array([0.0, 9.0, 2.0])}))
    assert (counted["below"][0], counted["above"][0]) == (1, 1)


@pytest.mark.parametrize("values", [[], [np.nan], [5.0, 5.0]])
@pytest.mark.parametrize("bounds", [None, (0.0, 10.0)])
def test_fitting_survives_columns_that_say_nothing(values, bounds):
    table = Table({"income": np.array(values, dtype=float)})
    encoder = fit_encoder([replace(INCOME, bounds=bounds)], table)
    assert np.isfinite(encoder.encode(table)["table"]).all()


def test_declared_bins_are_kept_by_both():
    field = replace(INCOME, bins=(0.0, 10.0, 50.0), bounds=None)
    wide = replace(INCOME, bins=(10.0, 50.0))
    table = Table({"income": np.arange(50.0)})
    assert build_encoder([field]).inputs.edges["income"] == (0.0, 10.0, 50.0)
    assert fit_encoder([field], table).inputs.edges["income"] == (0.0, 10.0, 50.0)
    assert build_encoder([wide]).inputs.edges["income"] == (0.0, 10.0, 50.0, 100.0)


def test_log_bins_are_equal_ratios():
    field = replace(INCOME, bounds=(1.0, 10_000.0), scale="log")
    assert declared_edges(field, 4) == pytest.approx((1, 10, 100, 1000, 10_000))
    cells = piecewise_linear(field, np.array([math.sqrt(1000.0)]), declared_edges(field, 4))
    assert cells[0] == pytest.approx([1, 0.5, 0, 0])


def test_signed_log_bins_mirror_at_zero_and_the_knee_sets_their_unit():
    field = replace(INCOME, bounds=(-999.0, 999.0), scale="signed-log")
    assert declared_edges(field, 6) == pytest.approx((-999, -99, -9, 0, 9, 99, 999))
    coarse = replace(field, bounds=(-99_900.0, 99_900.0), settings={"knee": 100})
    assert declared_edges(coarse, 6) == pytest.approx(
        tuple(100 * edge for edge in declared_edges(field, 6))
    )


@given(
    st.sampled_from(["linear", "log", "signed-log"]),
    st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)),
    st.integers(1, 20),
    st.lists(st.floats(0, 1), min_size=2, max_size=20),
)
@settings(deadline=None, max_examples=80)
def test_encoding_is_monotone_and_invertible_inside_the_bounds(scale, span, bins, places):
    lower = abs(span[0]) + 1e-3 if scale == "log" else span[0]
    upper = lower + span[1]
    assume(upper - lower > 1e-6 * max(abs(lower), abs(upper)))
    field = Field(name="x", kind="numeric", bounds=(lower, upper), scale=scale)
    edges = declared_edges(field, bins)
    marks = to_scale(field, np.array(edges))
    values = np.sort(lower + (upper - lower) * np.array(places)).clip(lower, upper)
    cells = piecewise_linear(field, values, edges)
    assert ((cells >= 0) & (cells <= 1)).all()
    assert (np.diff(cells, axis=0) >= 0).all()
    back = from_scale(field, marks[0] + cells @ np.diff(marks))
    assert back == pytest.approx(values, rel=1e-6, abs=1e-6 * (upper - lower))


def test_settings_bring_the_encoder_back_without_data():
    table = Table({**bound_table(), "income": np.array([1.0, 2, 4, 8, 16, 32])})
    for encoder in (build_encoder(FIELDS), fit_encoder(FIELDS, table)):
        stored = json.loads(json.dumps(encoder.settings()))
        again = encoder_from_settings(stored, FIELDS)
        assert again.settings() == encoder.settings()
        assert np.array_equal(again.encode(table)["table"], encoder.encode(table)["table"])


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"origin": "elsewhere"},
        {"edges": {}},
        {"edges": None},
        {"edges": {"income": ["a"]}},
        {"widths": {"income": 3}},
    ],
)
def test_settings_that_do_not_fit_are_refused(change):
    settings = {**build_encoder([INCOME]).settings(), **change}
    with pytest.raises(BundleError, match="encoder's settings"):
        encoder_from_settings(settings, [INCOME])


def test_settings_with_falling_edges_are_refused():
    settings = build_encoder([INCOME], bins=2).settings()
    settings["edges"]["income"] = [0.0, 60.0, 50.0]
    with pytest.raises(ContractError, match="rising"):
        encoder_from_settings(settings, [INCOME])


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (replace(INCOME, bounds=None), "neither bounds nor bins"),
        (replace(INCOME, bounds=(5.0, 5.0)), "rising"),
        (replace(INCOME, bounds=(0.0, math.inf)), "finite"),
        (replace(INCOME, bounds=None, bins=(3.0,)), "rising|one bin edge"),
        (replace(INCOME, scale="log"), "above 0"),
        (replace(INCOME, scale="signed-log", settings={"knee": 0}), "positive number"),
        (replace(JOB, categories=("one",)), "expected 2 or more"),
        (replace(ITEMS, columns=("q*",)), "pattern"),
        (SEX, "no field is an input"),
        (Field(name="due", kind="time"), "needs a FieldEncoder"),
        (Field(name="essay", kind="text"), "needs a FieldEncoder"),
    ],
)
def test_declarations_that_do_not_suffice_are_refused(field, message):
    with pytest.raises(ContractError, match=message):
        build_encoder([field])


def test_bins_must_be_positive():
    with pytest.raises(CallError, match="at least 1"):
        build_encoder([INCOME], bins=0)


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("income", np.array(["a"], dtype=object), "expected numbers"),
        ("income", np.zeros((1, 2)), "shape"),
        ("job", np.array([0.5]), "integer codes"),
        ("job", np.array([4]), "codes 4 to 4"),
        ("job", np.array([-2]), "codes -2"),
        ("items", np.zeros((1, 3), dtype=np.int32), "shape"),
    ],
)
def test_columns_that_were_not_bound_are_refused(name, column, message):
    table = bound_table().take([0])
    with pytest.raises(DataError, match=message):
        build_encoder(FIELDS).encode(table.with_columns({name: column}))


def test_an_absent_column_is_named():
    with pytest.raises(DataError, match="'grade' is not a column"):
        build_encoder(FIELDS).encode(bound_table().without(["grade"]))


@given(
    st.lists(st.floats(-5, 2_000) | st.just(math.nan), min_size=1, max_size=30),
    st.integers(1, 6),
)
def test_all_numeric_fields_at_once_equal_each_field_alone(values, bins):
    fields = (
        Field(name="a", kind="numeric", bounds=(0.5, 900.0), scale="log"),
        Field(name="b", kind="boolean"),
        Field(name="c", kind="numeric", bounds=(0.0, 900.0), scale="signed-log"),
        Field(name="d", kind="numeric", bins=(0.0, 1.0, 7.0, 50.0)),
        Field(name="e", kind="numeric", bounds=(-3.0, 3.0), columns=("e1", "e2")),
    )
    column = np.array(values)
    table = Table(
        {
            "a": column,
            "b": np.where(np.isnan(column), np.nan, (column > 3).astype(float)),
            "c": column * 0.3,
            "d": column,
            "e": np.stack([column, column / 7], axis=1),
        }
    )
    encoder = build_encoder(fields, bins=bins)
    whole = encoder.encode(table)["table"]
    for field in fields:
        _, where = encoder.inputs.where[field.name]
        alone = encoder.encode_field(field.name, table[field.name])
        assert (whole[:, where] == alone).all(), field.name
