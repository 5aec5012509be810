from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract import (
    GROUP,
    ID,
    MISSING,
    ROW,
    TIME,
    DataContract,
    Decision,
    Field,
    Target,
    bind,
    resolve,
)
from verticals.errors import ContractError
from verticals.table import Table


def contract(*fields: Field, **given) -> DataContract:
    return DataContract(solution="s", name="cards", fields=fields, **given)


def objects(*cells) -> np.ndarray:
    column = np.empty(len(cells), dtype=object)
    for n, cell in enumerate(cells):
        column[n] = cell
    return column


def numeric(**given) -> Field:
    return Field(**{"name": "x", "kind": "numeric", "column": "X", "bounds": (0, 10)} | given)


def refusal(declared: DataContract, raw: Table, **given) -> ContractError:
    with pytest.raises(ContractError) as caught:
        bind(declared, raw, **given)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


def bound(field: Field, column, **given) -> np.ndarray:
    return bind(contract(field), Table({"X": column}), **given).table["x"]


def violation(field: Field, column) -> str:
    found = refusal(contract(field), Table({"X": column})).violations
    assert len(found) == 1
    return found[0]


# Numbers


@pytest.mark.parametrize(
    "column",
    [
        np.array([1, 2, 9]),
        np.array([1.0, 2.0, np.nan]),
        np.array([1, 2, 9], dtype=np.uint8),
        objects("1", " 2.0 ", "?"),
        objects(1, 2.0, None),
        objects("1", "2e0", ""),
        np.array(["1", "2", "nan"]),
    ],
)
def test_numbers_arrive_in_many_types_and_leave_in_one(column):
    values = bound(numeric(missing=("9", "?")), column)
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, [1.0, 2.0, np.nan])


def test_truth_values_are_numbers_too():
    np.testing.assert_array_equal(bound(numeric(), np.array([True, False])), [1.0, 0.0])


def test_text_among_numbers_is_a_violation_with_rows_and_values():
    said = violation(numeric(), objects("1", "abc", "2", "1_000", "abc"))
    assert said.startswith("column 'X', rows 2, 4, 5: 'abc', '1_000', expected a number")
    many = violation(numeric(), objects(*["abc"] * 40))
    assert "rows 1, 2, 3, 4, 5 and 35 more: 'abc'," in many


@pytest.mark.parametrize(
    "column", [np.array([1.0, np.inf]), objects("1", "-Inf"), objects("1", "1e999")]
)
def test_numbers_that_are_not_finite_are_a_violation(column):
    assert "row 2: 'infinite', expected a finite number" in violation(numeric(), column)


def test_numbers_beyond_the_bounds_are_counted_and_kept():
    result = bind(contract(numeric()), Table({"X": np.array([-1.0, 5.0, 11.0, np.nan])}))
    assert result.table["x"].tolist()[:3] == [-1.0, 5.0, 11.0]
    (note,) = result.notes
    assert (note.kind, note.column, note.count, note.rows) == ("outside", "X", 2, (1, 3))
    assert "[0, 10]" in note.message


def test_bins_are_bounds_where_none_are_declared():
    field = numeric(bounds=None, bins=(0.0, 1.0, 5.0))
    (note,) = bind(contract(field), Table({"X": np.array([6.0, 0.0])})).notes
    assert note.count == 1


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (np.array(["2024-01-01"], dtype="datetime64[D]"), "holds times, expected numbers"),
        (np.array([1j]), "has the type complex128"),
        (np.zeros((1, 2)), "has the shape (1, 2), expected one value a row"),
        (np.zeros(1, dtype="timedelta64[s]"), "has the type timedelta64[s]"),
    ],
)
def test_columns_of_another_kind_are_refused_whole(column, said):
    assert said in violation(numeric(), column)


# Codes and truth values


@pytest.mark.parametrize(
    "column",
    [
        np.array([2, 1, 0, 7]),
        np.array([2.0, 1.0, np.nan, 7.0]),
        objects("2", "1.0", None, "7"),
        objects(2, 1.0, "", 7),
        np.array(["2", "1", "0", "7"]),
    ],
)
@pytest.mark.parametrize("kind", ["categorical", "ordinal"])
def test_values_become_codes_whatever_their_type(column, kind):
    key = "levels" if kind == "ordinal" else "categories"
    field = Field(name="x", column="X", kind=kind, missing=("0",), **{key: ("1", "2")})
    result = bind(contract(field), Table({"X": column}))
    assert result.table["x"].dtype == np.int32
    assert result.table["x"].tolist() == [1, 0, MISSING, 2]
    (note,) = result.notes
    assert (note.kind, note.count, note.rows, note.seen) == ("undeclared", 1, (4,), ("7",))
    assert note.text == "column 'X': 1 × not among the declared values (row 4)"


@pytest.mark.parametrize(
    "column",
    [
        np.array([True, False]),
        np.array([1, 0]),
        np.array([1.0, 0.0]),
        objects("Yes", "no"),
        objects("T", "f"),
        objects("y", "N"),
        objects("TRUE", "false"),
        objects(True, 0),
    ],
)
def test_truth_values_are_read_in_every_usual_spelling(column):
    values = bound(Field(name="x", kind="boolean", column="X"), column)
    assert values.dtype == np.float64
    assert values.tolist() == [1.0, 0.0]


def test_a_truth_value_may_be_missing_and_may_not_be_two():
    field = Field(name="x", kind="boolean", column="X", missing=("9",))
    np.testing.assert_array_equal(bound(field, objects(None, "9", "1")), [np.nan, np.nan, 1.0])
    assert "row 1: '2', expected true or false" in violation(field, np.array([2, 1]))


# Times


def test_times_are_utc_and_what_was_odd_about_them_is_noted():
    field = Field(name="x", kind="time", column="X", missing=("never",))
    column = objects(
        "2024-01-01T12:00:00+02:00", "2024-01-01", "never", "2024-01-01T00:00:00Z", None
    )
    result = bind(contract(field), Table({"X": column}))
    times = result.table["x"]
    assert times.dtype == np.dtype("datetime64[us]")
    assert times[0] == np.datetime64("2024-01-01T10:00:00")
    assert times[1] == times[3] == np.datetime64("2024-01-01T00:00:00")
    assert np.isnat(times[[2, 4]]).all()
    notes = {note.kind: note for note in result.notes}
    assert notes["naive-time"].rows == (2,)
    assert notes["mixed-zones"].count == 3


def test_native_times_pass_and_numbers_are_not_guessed_to_be_times():
    field = Field(name="x", kind="time", column="X")
    native = bind(contract(field), Table({"X": np.array(["2024-01-01", "NaT"], dtype="M8[ns]")}))
    assert native.table["x"].dtype == np.dtype("datetime64[us]")
    assert native.notes == ()
    aware = objects(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC).date())
    assert bound(field, aware)[1] == np.datetime64("2024-01-02")
    assert "row 1: '20240101', expected an ISO 8601" in violation(field, np.array([20240101]))
    assert "row 2: 'soon', expected an ISO 8601" in violation(field, objects("2024-01-01", "soon"))
    assert "expected an ISO 8601" in violation(field, objects("0001-01-01T00:00:00+10:00"))


# Text, images, sequences


def test_text_stays_as_it_came():
    field = Field(name="x", kind="text", column="X", missing=("n/a",))
    column = objects(" two  words\n", "n/a", None, "", 5)
    assert bound(field, column).tolist() == [" two  words\n", None, None, None, "5"]


def test_images_are_paths_or_pixels():
    field = Field(name="x", kind="image", column="X", size=(2, 2))
    assert bound(field, objects("a.png", None)).tolist() == ["a.png", None]
    pixels = np.zeros((3, 2, 2), dtype=np.uint8)
    assert bound(field, pixels).dtype == np.uint8
    assert "row 2: expected the path of an image" in violation(field, objects("a", 5))
    assert "has the shape (4,)" in violation(field, np.zeros(4))
    broken = np.zeros((2, 2, 2))
    broken[1, 0, 0] = np.nan
    assert "row 2: expected finite pixels" in violation(field, broken)


def test_sequences_are_numbers_or_lists_of_numbers():
    field = Field(name="x", kind="sequence", column="X")
    assert bound(field, np.zeros((2, 5), dtype=np.float32)).dtype == np.float64
    ragged = bound(field, objects([1, 2], np.zeros((3, 2)), None, float("nan")))
    assert [None if cell is None else cell.shape for cell in ragged] == [(2,), (3, 2), None, None]
    assert "row 2: expected numbers of" in violation(field, objects([1], ["a"]))
    assert "row 2: expected finite" in violation(field, objects([1], [np.inf]))
    assert "row 1: expected finite" in violation(field, np.full((1, 2), np.inf))
    assert "expected a list of numbers a row" in violation(field, np.array(["a", "b"]))
    assert "has the shape (4,)" in violation(field, np.zeros(4))


# Blocks


ITEMS = Field(name="items", kind="ordinal", columns=("Q*",), role="item", levels=("0", "1"))


def test_a_block_is_one_array_in_the_order_of_the_data():
    raw = Table({"Q2": np.array([1, 0]), "Q10": np.array([0, 3]), "other": np.zeros(2)})
    result = bind(contract(ITEMS), raw)
    assert result.table["items"].dtype == np.int32
    assert result.table["items"].tolist() == [[1, 0], [0, 2]]
    assert result.notes[0].column == "Q10"
    numbers = numeric(name="x", column="", columns=("Q*",))
    assert bind(contract(numbers), raw).table["x"].dtype == np.float64
    series = Field(name="x", kind="sequence", columns=("Q10", "Q2"))
    assert bind(contract(series), raw).table["x"].tolist() == [[0.0, 1.0], [3.0, 0.0]]


def test_resolving_writes_the_names_of_a_block_down():
    resolved = resolve(contract(ITEMS), ["Q2", "id", "Q[1]", "Q10"])
    assert resolved.field("items").columns == ("Q2", "Q[1]", "Q10")
    assert resolve(resolved, ["Q1", "Q2", "Q[1]", "Q10"]) == resolved
    raw = Table({"Q2": np.array([1]), "Q[1]": np.array([1])})
    error = refusal(resolved, raw)
    assert error.violations == ("column 'Q10' (for items) is missing",)


def test_a_block_takes_no_column_that_something_else_reads():
    target = Target(name="y", column="Quit", kind="binary", positive="1")
    declared = contract(ITEMS, targets=(target,), id="Qid")
    said = [
        "column 'Quit' is matched by block items and read by target y: write a narrower pattern",
        "column 'Qid' is matched by block items and read by the id: write a narrower pattern",
    ]
    with pytest.raises(ContractError) as caught:
        resolve(declared, ["Q1", "Quit", "Qid"])
    assert list(caught.value.violations) == said
    raw = Table({name: np.array([1, 0]) for name in ("Q1", "Quit", "Qid")})
    assert set(said) <= set(refusal(declared, raw).violations)


def test_a_pattern_without_columns_is_a_violation():
    with pytest.raises(ContractError, match="no column matches 'Q\\*' \\(for the block items\\)"):
        resolve(contract(ITEMS), ["A"])
    assert "no column matches 'Q*'" in refusal(contract(ITEMS), Table({"A": np.zeros(1)})).message
    spare = dataclasses.replace(ITEMS, role="ignore")
    assert resolve(contract(spare), ["A"]).field("items").columns == ("Q*",)


# Targets


def labels(column, **given) -> Target:
    return Target(**{"name": "y", "column": "Y", "kind": "binary"} | given)


def bound_target(column, **given):
    target = Target(**{"name": "y", "column": "Y", "kind": "binary"} | given)
    raw = Table({"X": np.zeros(len(column)), "Y": column})
    return bind(contract(numeric(), targets=(target,)), raw)


def test_a_binary_target_is_one_for_the_positive_value():
    for column in (np.array([1, 0, 5]), objects("1.0", "0", 5)):
        result = bound_target(column, positive="1")
        assert result.table["y"].tolist() == [1.0, 0.0, 0.0]
        assert result.table["y"].dtype == np.float64


def test_a_missing_label_is_noted_and_the_row_kept():
    result = bound_target(objects("1", None, "0"), positive="1", negative="0")
    np.testing.assert_array_equal(result.table["y"], [1.0, np.nan, 0.0])
    assert [(note.kind, note.rows) for note in result.notes] == [("missing-label", (2,))]


def test_targets_of_other_kinds():
    classes = bound_target(objects("b", "a", None), kind="categorical", values=("a", "b"))
    np.testing.assert_array_equal(classes.table["y"], [1.0, 0.0, np.nan])
    grades = bound_target(np.array([1, 3]), kind="ordinal", values=("1", "2", "3"))
    assert grades.table["y"].tolist() == [0.0, 2.0]
    number = bound_target(np.array([1.0, 30.0]), kind="numeric", bounds=(0, 20))
    assert number.table["y"].tolist() == [1.0, 30.0]
    assert number.notes[0].kind == "outside"


@pytest.mark.parametrize(
    ("column", "given", "said"),
    [
        (np.array([1, 2]), {"positive": "1", "negative": "0"}, "row 2: '2', expected '0' or '1'"),
        (objects("a", "c"), {"kind": "categorical", "values": ("a", "b")}, "row 2: 'c', expected"),
        (np.array([1.0, np.inf]), {"kind": "numeric"}, "row 2: 'infinite', expected a finite"),
        (np.array([True, False]), {"positive": "1"}, "never holds the positive value '1', but"),
    ],
)
def test_labels_outside_the_declared_ones_are_violations(column, given, said):
    with pytest.raises(ContractError) as caught:
        bound_target(column, **given)
    assert said in caught.value.violations[0]


def test_a_positive_value_that_nobody_has_is_noted():
    assert bound_target(np.array([0, 0]), positive="1").notes[0].kind == "unseen"


# Id, group, time, row


def test_keys_are_bound_beside_the_fields():
    declared = contract(numeric(), id="ID", group="G", time="T")
    raw = Table(
        {
            "X": np.zeros(2),
            "ID": np.array([7.0, 8.0]),
            "G": objects("a ", "a"),
            "T": np.array(["2024-01-01", "2024-01-02"], dtype="M8[D]"),
        }
    )
    table = bind(declared, raw).table
    assert table[ID].tolist() == ["7", "8"]
    assert table[GROUP].tolist() == ["a", "a"]
    assert table[TIME].dtype == np.dtype("datetime64[us]")
    assert table[ROW].tolist() == [1, 2]
    assert list(table) == ["x", ID, GROUP, TIME, ROW]


def test_rows_are_numbered_as_in_the_source_when_it_says_so():
    raw = Table({"X": objects("1", "abc"), ROW: np.array([65537, 65538])})
    assert "row 65538" in refusal(contract(numeric()), raw).message
    sound = raw.with_columns({"X": np.zeros(2)})
    assert bind(contract(numeric()), sound).table[ROW].tolist() == [65537, 65538]


def test_keys_that_do_not_hold_are_violations_in_training():
    declared = contract(numeric(), id="ID", group="G", time="T")
    raw = Table(
        {
            "X": np.zeros(4),
            "ID": objects("a", None, None, "a"),
            "G": objects("g", None, "g", "g"),
            "T": np.array(["2024-01-01", "2024-01-01", "NaT", "2024-01-01"], dtype="M8[D]"),
        }
    )
    found = refusal(declared, raw).violations
    assert len(found) == 3
    assert found[0].startswith("column 'ID', row 4: an id that an earlier row has")
    assert found[1].startswith("column 'G', row 2: no value")
    assert found[2].startswith("column 'T', row 3: no value")
    scored = bind(declared, raw, targets=False, audited=False)
    assert {note.kind for note in scored.notes} == {"missing-id", "duplicated-id"}
    assert scored.table[ID].tolist() == ["a", None, None, "a"]


def test_ids_that_differ_by_type_only_are_one_id():
    declared = contract(numeric(), id="ID")
    raw = Table({"X": np.zeros(2), "ID": objects(1, "1")})
    assert "row 2: an id that an earlier row has" in refusal(declared, raw).message


# What is required


WHOLE = contract(
    numeric(),
    Field(name="sex", kind="categorical", column="SEX", role="protected", categories=("1", "2")),
    Field(name="memo", kind="text", column="MEMO", role="ignore"),
    Field(name="speed", kind="numeric", bounds=(0, 1), reads=(GROUP,)),
    targets=(Target(name="y", column="Y", kind="binary", positive="1", favourable="0"),),
    decision=Decision(target="y", cut=0.5),
    id="ID",
)


def test_scoring_needs_the_columns_of_the_inputs_only():
    raw = Table({"X": np.array([1.0])})
    assert list(bind(WHOLE, raw, targets=False, audited=False).table) == ["x", ROW]
    found = refusal(WHOLE, raw).violations
    assert found == (
        "column 'SEX' (for sex) is missing",
        "column 'Y' (for y) is missing",
        "column 'ID' (for @id) is missing",
    )
    assert refusal(WHOLE, raw, targets=False).violations == found[:1]


def test_what_is_not_needed_is_bound_where_it_fits_and_noted_where_not():
    raw = Table(
        {
            "X": np.ones(2),
            "SEX": np.array([1, 2]),
            "Y": np.zeros((2, 2)),
            "MEMO": objects("a", None),
        }
    )
    result = bind(WHOLE, raw, targets=False, audited=False)
    assert result.table["sex"].tolist() == [0, 1]
    assert result.table["memo"].tolist() == ["a", None]
    assert "y" not in result.table
    assert [(note.kind, note.column) for note in result.notes] == [("unused", "Y")]


def test_a_protected_field_that_is_a_feature_is_needed_for_scoring():
    sex = dataclasses.replace(WHOLE.field("sex"), also_feature=True)
    declared = contract(numeric(), sex)
    error = refusal(declared, Table({"X": np.ones(1)}), targets=False, audited=False)
    assert error.violations == ("column 'SEX' (for sex) is missing",)


def test_a_missing_column_names_the_nearest_one():
    error = refusal(contract(numeric(column="LIMIT_BAL")), Table({"LIMITBAL": np.ones(1)}))
    assert error.violations == ("column 'LIMIT_BAL' (for x) is missing; the nearest is 'LIMITBAL'",)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (Table({}), "the data are empty"),
        (Table({"X": np.empty(0)}), "a header but no rows"),
    ],
)
def test_data_without_rows_are_one_violation(raw, said):
    assert said in refusal(contract(numeric()), raw).message


def test_all_violations_are_listed_and_the_first_is_shown():
    raw = Table({"X": objects("a", "1"), "SEX": np.zeros((2, 2)), "Y": np.array([1, 0])})
    error = refusal(WHOLE, raw)
    assert len(error.violations) == 3
    assert error.message == (
        f"the data do not fit contract 'cards': {error.violations[0]} (and 2 more)"
    )


def test_the_raw_table_is_left_as_it_was():
    column = np.array([1.0, 99.0])
    raw = Table({"X": column})
    bind(contract(numeric(missing=("99",))), raw)
    assert column.tolist() == [1.0, 99.0]


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, UTC])),
    st.lists(st.one_of(st.floats(), st.text(max_size=2)), max_size=2),
    st.binary(max_size=2),
)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(
        ["numeric", "categorical", "ordinal", "boolean", "time", "text", "image", "sequence"]
    ),
    st.lists(cells, min_size=1, max_size=5),
)
def test_no_cell_ends_in_anything_but_a_table_or_a_contract_error(kind, column):
    field = Field(name="x", kind=kind, column="X", categories=("1", "a"), levels=("1", "a"))
    target = Target(name="y", kind="numeric", column="Y")
    declared = contract(field, targets=(target,), id="I", time="T", group="G")
    raw = Table({name: objects(*column) for name in ("X", "Y", "I", "T", "G")})
    try:
        rows = bind(declared, raw).table.rows
    except ContractError as error:
        rows = len(column) if error.violations else None
    assert rows == len(column)


def test_thirty_thousand_rows_are_checked_in_half_a_second_and_a_million_in_seconds():
    draws = np.random.default_rng(0)
    fields = [numeric(name=f"n{n}", column=f"N{n}", bounds=(0, 1)) for n in range(15)]
    fields += [
        Field(name=f"c{n}", column=f"C{n}", kind="categorical", categories=tuple("abcd"))
        for n in range(10)
    ]
    rows = 30_000
    raw = {f"N{n}": draws.random(rows) for n in range(15)}
    raw |= {f"C{n}": draws.choice(list("abcd"), rows).astype(object) for n in range(10)}
    begin = time.process_time()
    bind(contract(*fields), Table(raw))
    assert time.process_time() - begin < 0.5
    few = [*fields[:5], *fields[-5:]]
    tiled = Table({field.column: np.tile(raw[field.column], 34) for field in few})
    assert tiled.rows > 1_000_000
    begin = time.process_time()
    bind(contract(*few), tiled)
    assert time.process_time() - begin < 5
