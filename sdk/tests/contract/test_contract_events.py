"""Entities, amount and label times: declared, written, and held against the data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from verticals.contract import (
    MISSING_AMOUNT,
    bind,
    dump_contract,
    microseconds,
    parse_contract,
)
from verticals.errors import ContractError
from verticals.table import Table

TEXT = """
solution: fraud-detection
name: payments
id: payment
group: customer
time: at
entities:
  card:
    column: card
    label: Card
    owned: true
    retired: true
    history: {windows: [10min, 24h], measures: [count, sum, since], distinct: [shop], cap: 50}
  shop: {column: shop, history: {windows: [7d], measures: [risk]}}
amount:
  {column: sum, currency: EUR, currency_column: cur, rates: {EUR: 1, USD: 0.5}, bounds: [1, 900]}
label_delay: 7d
targets:
  fraud: {column: fraud, kind: binary, positive: 1, negative: 0, favourable: 0}
fields:
  night: {column: night, kind: boolean}
"""


def raw(**changes):
    columns = {
        "payment": np.arange(4),
        "customer": np.array(["a", "a", "b", "b"], object),
        "card": np.array([11, 11, 22, 22]),
        "shop": np.array(["x", "y", "x", "y"], object),
        "at": np.array(["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"], "datetime64[s]"),
        "sum": np.array([1.5, 2.0, 3.25, 4.0]),
        "cur": np.array(["EUR", "USD", "EUR", "EUR"], object),
        "fraud": np.array([0, 1, 0, 0]),
        "night": np.array([0, 1, 0, 1]),
    }
    return Table({**columns, **changes})


def contract(**changes):
    return dataclasses.replace(parse_contract(TEXT), **changes)


def violations(text):
    with pytest.raises(ContractError) as caught:
        parse_contract(text)
    return " | ".join(caught.value.violations)


def refused(table, of=None, **settings):
    with pytest.raises(ContractError) as caught:
        bind(of or contract(), table, **settings)
    return " | ".join(caught.value.violations)


def notes(table, of=None):
    return {note.kind: note for note in bind(of or contract(), table).notes}


def test_what_is_written_is_read_again():
    found = contract()
    assert parse_contract(dump_contract(found)) == found
    card, shop = found.entities
    assert (card.key, card.title, shop.title) == ("@card", "Card", "shop")
    assert card.history.windows == ("10min", "24h")
    assert found.amount.rates == {"EUR": 1.0, "USD": 0.5}
    assert found.unit_keys == {"@group", "@card"}  # a shop's history reads other customers' rows


def test_an_entity_of_the_group_s_own_column_stays_within_the_unit():
    text = TEXT.replace("column: card\n", "column: customer\n").replace("    owned: true\n", "")
    assert parse_contract(text).unit_keys == {"@group", "@card"}
    assert contract(group="").unit_keys == frozenset()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("10min, 24h", "10m, 24h", "is 10m, expected such as 30s, 10min"),
        ("10min, 24h", "24h, 10min", "shortest first"),
        ("[count, sum, since]", "[count, summ]", "is summ, the nearest is 'sum'"),
        ("distinct: [shop]", "distinct: [till]", "names 'till', expected another entity: shop"),
        ("cap: 50", "cap: 0", "cap: is 0, expected 1"),
        ("label_delay: 7d\n", "", "names risk, which needs `label_time:` or `label_delay:`"),
        ("label_delay: 7d", "label_delay: 7d\nlabel_time: known", "expected one of the two"),
        ("currency: EUR,", "currency: euro,", "is 'euro', expected an ISO 4217 code"),
        ("rates: {EUR: 1, USD: 0.5}, ", "", "rates: and currency_column stand together"),
        ("EUR: 1, ", "EUR: 2, ", "gives EUR no rate of 1"),
        ("bounds: [1, 900]", "bounds: [0, 900]", "expected 0 < lower < upper"),
        ("  shop: {column: shop,", "  shop: {column: card,", "is the column of another entity"),
        ("  shop: {", "  time: {", "is a reserved name"),
        ("time: at\n", "", "needs `time:`"),
        ("group: customer\n", "", "needs `group:`, the owner"),
        ("column: night", "column: shop", "an entity's name is no input"),
        ("label_delay: 7d", "label_delay: 7d\nlate_events: later", "expected one of refuse, now"),
    ],
)
def test_a_declaration_that_cannot_hold_is_refused(old, new, said):
    assert old in TEXT
    assert said in violations(TEXT.replace(old, new))


def test_amounts_are_whole_minor_units_of_the_base_currency():
    bound = bind(contract(), raw()).table
    assert bound["@amount"].dtype == np.int64
    assert bound["@amount"].tolist() == [150, 100, 325, 400]  # 2 USD at 0.5
    assert bound["@card"].tolist() == ["11", "11", "22", "22"]


def test_a_missing_amount_is_counted_and_has_a_value_of_its_own():
    found = bind(contract(), raw(sum=np.array([1.5, np.nan, 3.0, 4.0])))
    assert found.table["@amount"][1] == MISSING_AMOUNT
    assert [note.count for note in found.notes if note.kind == "missing-amount"] == [1]


def test_digits_beyond_the_minor_unit_are_rounded_and_counted():
    amount = dataclasses.replace(contract().amount, currency_column="", rates={})
    found = bind(contract(amount=amount), raw(sum=np.array([1.005, 0.1 + 0.2, 3.0, 4.0])))
    assert found.table["@amount"].tolist() == [100, 30, 300, 400]
    (note,) = [note for note in found.notes if note.kind == "rounded"]
    assert note.rows == (1,)  # 0.1 + 0.2 is 0.30 up to rounding of floats


def test_a_currency_never_seen_is_refused_or_counted_as_declared():
    strange = raw(cur=np.array(["EUR", "XXX", "EUR", "EUR"], object))
    assert "row 2: 'XXX', expected one of EUR, USD" in refused(strange)
    lenient = dataclasses.replace(contract().amount, unknown="missing")
    found = bind(contract(amount=lenient), strange)
    assert found.table["@amount"].tolist() == [150, MISSING_AMOUNT, 325, 400]
    assert [n.count for n in found.notes if n.kind == "unknown-currency"] == [1]


def test_an_amount_beyond_exact_numbers_is_refused():
    assert "expected an amount below" in refused(raw(sum=np.array([1.0, 1e15, 3.0, 4.0])))


def test_events_out_of_order_are_counted():
    table = raw().take([1, 0, 2, 3])
    note = notes(table)["out-of-order"]
    assert (note.count, note.rows) == (1, (2,))


def test_duplicated_event_ids_are_refused_in_training():
    assert "an id that an earlier row has" in refused(raw(payment=np.array([1, 2, 2, 3])))


def test_a_label_known_before_its_event_is_refused():
    known = np.array(["2026-01-03", "2026-01-01", "2026-02-01", "NaT"], "datetime64[s]")
    of = contract(label_delay="", label_time="known")
    said = refused(raw(known=known), of)
    assert "column 'known', row 2: a label known before its event" in said


def test_labels_that_no_event_could_see_are_counted():
    known = np.array(["2026-01-03", "2026-01-03", "2026-02-01", "NaT"], "datetime64[s]")
    of = contract(label_delay="", label_time="known")
    found = notes(raw(known=known), of)
    assert found["future-label"].rows == (3,)
    assert found["unknown-label-time"].rows == (4,)


def test_a_card_of_two_customers_is_refused_where_it_is_declared_owned():
    table = raw(card=np.array([11, 22, 22, 22]))
    assert "column 'card', rows 3, 4: a value that stands with another customer" in refused(table)


def test_scoring_needs_what_histories_read_and_no_more():
    few = raw().without(["payment", "fraud", "customer"])
    bound = bind(contract(), few, targets=False, audited=False).table
    assert {"@card", "@shop", "@amount", "@time"} <= set(bound)
    for column in ("card", "at", "sum", "cur"):
        said = refused(few.without([column]), targets=False, audited=False)
        assert f"column {column!r}" in said, column


def test_an_event_without_an_entity_is_kept_and_counted():
    shop = np.array(["x", None, "", "y"], object)
    found = bind(contract(), raw(shop=shop))
    assert found.table["@shop"].tolist() == ["x", None, None, "y"]
    assert [n.count for n in found.notes if n.kind == "missing-entity"] == [2]


def test_durations():
    assert microseconds("30s") == 30_000_000
    assert microseconds("24h") == microseconds("1d")
    for text in ("0h", "1.5h", "-1d", "1 h", "1w"):
        with pytest.raises(ContractError):
            microseconds(text)


def test_an_entity_that_another_s_history_counts_is_needed_too():
    text = TEXT.replace(", history: {windows: [7d], measures: [risk]}", "")
    few = raw().without(["fraud", "customer", "payment", "shop"])
    assert "column 'shop'" in refused(few, parse_contract(text), targets=False, audited=False)
