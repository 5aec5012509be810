"""What a draft must not do to whoever trains on it unread: invert, forget, drop without a word."""

from __future__ import annotations

import numpy as np
import pytest

from verticals.contract import draft_contract, parse_contract, unreviewed
from verticals.contract.guess import epoch_unit, ties_persons
from verticals.contract.guess_target import thin_target
from verticals.contract.hints import target_rank, words
from verticals.contract.notation import notation_of
from verticals.contract.profile import profile
from verticals.table import Table

DRAWS = np.random.default_rng(3)


def texts(values) -> np.ndarray:
    return np.array(list(values), dtype=object)


def drafted(columns, **more):
    draft = draft_contract(Table(columns), **more)
    return parse_contract(draft.text), " | ".join(draft.findings)


@pytest.mark.parametrize(
    ("values", "positive", "open_mark"),
    [
        ([1, 2], "2", True),
        ([2, 3], "3", True),
        ([0, 1], "1", False),
        ([1, 0], "1", False),
        (["no", "yes"], "yes", False),
        (["no", "1"], "1", True),
        ([-1, 1], "1", False),
        (["good", "bad"], "bad", False),
    ],
)
def test_one_of_a_pair_is_true_only_beside_its_opposite(values, positive, open_mark):
    column = np.array(values)[[0] * 240 + [1] * 60]  # the second one is rarer
    contract, said = drafted({"income": DRAWS.normal(size=300), "default": column})
    target = contract.targets[0]
    assert target.positive == positive
    assert target.favourable == target.negative  # to default is bad, whatever its code
    assert ("default.positive" in unreviewed(contract)) is open_mark
    rows = 240 if positive == str(values[0]) else 60
    assert f"{positive!r} is positive ({rows / 300:.1%} of 300 rows)" in said
    assert ("nothing but its rarity" in said) is open_mark


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("late_payments", [0, 1, 2, 3, 4], "numeric"),
        ("rooms", [1, 2, 3], "numeric"),
        ("visits", [0, 1, 2, 7], "numeric"),
        ("job", [0, 1, 2, 3], "categorical"),
        ("vehicle_type", [1, 2, 3, 4], "categorical"),
        ("term", [12, 24, 36], "categorical"),
        ("marriage", [0, 1, 2, 3], "categorical"),
        ("late", [0, 1], "boolean"),
        ("x", [0, 2, 4], "categorical"),
    ],
)
def test_few_whole_numbers_are_counts_unless_named_like_codes(name, values, kind):
    contract, said = drafted({"income": DRAWS.normal(size=300), name: DRAWS.choice(values, 300)})
    field = next(item for item in contract.fields if item.column == name)
    assert field.kind == kind
    assert ("taken as numeric" in said) is (kind == "numeric")
    if kind == "numeric":
        assert field.bounds == (min(values), max(values))
        assert "bounds" in field.drafted


def panel(rows_of_each: int = 5, persons: int = 60):
    """Return rows of persons with one outcome each."""
    outcome = DRAWS.random(persons) < 0.4
    whose = np.repeat(np.arange(persons), rows_of_each)
    return whose, outcome[whose].astype(np.int64), DRAWS.normal(size=len(whose))


@pytest.mark.parametrize("written", ["text", "integer"])
@pytest.mark.parametrize("name", ["student", "Schülernummer", "Kunde", "pat"])
def test_a_repeated_person_of_one_outcome_is_the_group_and_no_leak(name, written):
    whose, outcome, score = panel()
    column = whose + 4711 if written == "integer" else texts(f"s{n}" for n in whose)
    contract, said = drafted({name: column, "score": score, "default": outcome})
    assert contract.group == name
    assert "leak" not in said


def test_a_repeated_key_of_no_named_person_is_left_out_and_a_group_proposed():
    whose, outcome, score = panel()
    columns = {"dossier": whose * 7 + 4711, "score": score, "default": outcome}
    contract, said = drafted(columns)
    assert contract.group == ""
    assert contract.field("dossier").role == "ignore"
    assert "declare group: dossier" in said


def test_values_that_repeat_by_chance_tie_nobody():
    truth = (DRAWS.random(400) < 0.4).astype(np.int64)
    amounts = profile("amount", DRAWS.integers(0, 150, 400))
    assert not ties_persons(amounts, truth)
    rare = np.zeros(400, dtype=np.int64)
    rare[:3] = 1  # nearly every value has one class, whatever it is
    assert not ties_persons(profile("amount", np.arange(400) // 2), rare)


def test_whole_numbers_named_after_persons_and_all_different_are_the_id():
    rows = 80
    columns = {"student": DRAWS.permutation(rows * 9)[:rows], "x": DRAWS.normal(size=rows)}
    contract, _ = drafted({**columns, "default": np.arange(rows) % 2})
    assert contract.id == "student"


def test_a_strong_measurement_is_kept_and_a_leak_left_out_with_the_line_that_keeps_it():
    rows = 1000
    bad = (np.arange(rows) % 3 == 0).astype(np.int64)
    columns = {
        "radius": bad * 2.6 + DRAWS.normal(size=rows),
        "collected": bad * 9 + DRAWS.normal(size=rows),
        "default": bad,
    }
    contract, said = drafted(columns)
    assert contract.field("radius").role == "feature"
    assert "'radius' alone tells the target with AUC 0.9" in said
    assert contract.field("collected").role == "ignore"
    line = said.split("keep it: ")[1].split(" | ")[0]
    assert line.startswith("collected: {column: collected, kind: numeric, bounds: [")
    kept = draft_contract(Table(columns)).text.split("  collected:")[0] + f"  {line}\n"
    assert parse_contract(kept).field("collected").is_input


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (["1.234,5", "12,0", "3"], "with a decimal comma and points between thousands"),
        (["7,5", "8,25"], "with a decimal comma"),
        (["1,234.5", "12"], "with commas between thousands"),
        (["1,234", "2,345"], "which may stand between thousands or before decimals"),
        (["1'234.50", "12.00"], "with apostrophes between thousands"),
        (["1 234,5", "7"], "with spaces between thousands"),
        (["12 %", "3.5 %"], "with a percent sign"),
        (["€ 12", "€ 1.200,50"], "with a sign of currency"),
        (["12 EUR", "3.5 EUR"], "with a sign of currency"),
        (["31.12.2023", "01.02.2024"], "with the day first"),
        (["12/31/2024", "01/02/2024"], "with the month first"),
        (["01.02.2024"], "nothing tells whether day or month comes first"),
    ],
)
def test_numbers_and_dates_of_another_notation_are_known(values, what):
    assert what in notation_of(values).text


@pytest.mark.parametrize(
    "values",
    [["a", "b"], ["12", "1.5"], ["1-2"], ["0.5,1"], ["A12"], ["12:30"], ["ABC1"], ["1.2.3"]],
)
def test_what_is_no_number_of_another_notation_is_left_alone(values):
    assert notation_of(values) is None


def test_a_column_in_another_notation_is_named_for_what_it_is():
    rows = 400
    income = texts(f"{n / 7:,.2f}".translate(str.maketrans(",.", ".,")) for n in range(rows))
    dates = texts(f"{n % 28 + 1:02d}.{n % 12 + 1:02d}.2023" for n in range(rows))
    columns = {"income": income, "opened": dates, "default": np.arange(rows) % 3 == 0}
    contract, said = drafted(columns)
    assert contract.id == ""
    assert "'income' holds numbers with a decimal comma" in said
    assert "'opened' holds dates with the day first" in said
    assert "identifier" not in said
    assert "too many" not in said


def test_seconds_since_1970_are_times_and_no_amounts():
    seconds = 1_717_201_241 + np.arange(50) * 977
    assert epoch_unit(profile("BookedAt", seconds)) == "seconds"
    assert epoch_unit(profile("BookedAt", seconds * 1000)) == "milliseconds"
    assert epoch_unit(profile("phone", seconds)) == ""
    assert epoch_unit(profile("x", np.arange(50) * 977)) == ""
    rows = {"BookedAt": seconds, "x": DRAWS.normal(size=50), "default": np.arange(50) % 2}
    contract, said = drafted(rows)
    assert next(item for item in contract.fields if item.column == "BookedAt").role == "ignore"
    assert "holds times in seconds since 1970" in said


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"y06": np.arange(300) % 2}, "no column is named like a target"),
        (
            {"default": np.full(300, "no")},
            "'default' is named like a target, and has the same value",
        ),
        ({"1": np.arange(300), "2.5": np.arange(300) % 7}, "seems to have no header"),
        ({"id|income|default": texts("1|2|0" for _ in range(300))}, "seem to be parted by it"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(columns, said):
    raw = (
        columns
        if len(columns) > 1 or "|" in next(iter(columns))
        else {**columns, "x": np.arange(300) / 7}
    )
    contract, found = drafted(raw)
    assert contract.targets == ()
    assert said in found


def test_a_target_of_another_kind_than_a_solution_takes_is_not_drafted():
    columns = {"x": DRAWS.normal(size=300), "outcome": DRAWS.normal(size=300)}
    contract, said = drafted(columns, solution="credit-scoring", target_kinds={"binary"})
    assert contract.targets == ()
    assert "'outcome' is named like a target, and is numeric: credit-scoring takes a binary" in said
    columns["defaulted"] = np.zeros(300)
    two = {**columns, "default": np.arange(300) % 2}
    contract, _ = drafted(two, solution="credit-scoring", target_kinds={"binary"})
    assert contract.targets[0].column == "default"
    contract, said = drafted(two, solution="item-response", target_kinds={"none"})
    assert contract.targets == ()
    assert "declare it under targets" not in said


def test_few_rows_and_few_positives_are_said():
    assert "2 of 1,000 rows have the value '1'" in thin_target(
        ("0", "1"), np.array([0] * 998 + [1] * 2), "default", "binary"
    )
    assert "60 rows" in thin_target(("0", "1"), np.arange(60) % 2, "default", "binary")
    assert thin_target(("0", "1"), np.arange(600) % 2, "default", "binary") == ""


def test_words_are_without_accents_and_a_numbered_letter_is_no_target():
    assert words("SchülerNr") == ("schuler", "nr")
    assert target_rank("y") > 0
    assert target_rank("y06") == 0
