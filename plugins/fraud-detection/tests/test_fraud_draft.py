"""Drafts of contracts for payments, from a stranger's columns."""

import numpy as np
import pytest

from verticals.cli.main import run
from verticals.contract import Field, bind, draft_contract, parse_contract, resolve, unreviewed
from verticals.data import write_table
from verticals.errors import ContractError
from verticals.history import history_features
from verticals.table import Table
from verticals_fraud_detection.draft import refine
from verticals_fraud_detection.draft_amount import guess_amount
from verticals_fraud_detection.draft_names import named
from verticals_fraud_detection.plugin import verticals_solutions


def objects(values):
    return np.array(list(values), dtype=object)


def payments(rows=500):
    """Return a log of payments, as a processor of cards might keep it."""
    random = np.random.default_rng(5)
    cards = 5_100_000_000_000_000 + random.integers(0, 40, rows)
    start = np.datetime64("2025-03-01T08:00:00", "s")
    online = random.random(rows) < 0.3
    return Table(
        {
            "TransactionID": objects(f"t{n:06d}" for n in range(rows)),
            "booked_at": objects(str(start + 3600 * n) for n in range(rows)),
            "CardNumber": cards,
            "Client_No": objects(f"C{card % 30:02d}" for card in cards),
            "shop_id": random.integers(1000, 1060, rows),
            "TransactionAmt": np.round(np.exp(random.normal(3, 1, rows)), 2),
            "balance_amt": np.round(np.exp(random.normal(6, 1, rows)), 2),
            "entry": objects("web" if flag else "chip" for flag in online),
            "isFraud": (random.random(rows) < np.where(online, 0.2, 0.02)).astype(np.int64),
        }
    )


def drafted(raw, solution="fraud-detection"):
    draft = draft_contract(raw, solution=solution, refine=refine)
    return draft, parse_contract(draft.text)


def fits(contract, raw):
    try:
        bind(resolve(contract, list(raw)), raw)
    except ContractError:
        return False
    return True


def said(draft, text):
    return any(text in finding for finding in draft.findings)


def test_entities_group_and_amount_are_found():
    draft, contract = drafted(payments())
    card, client, shop = contract.entities
    # A person owns events before a card does; the owner is an entity too, its history comes first.
    assert contract.group == "Client_No"
    assert {item.name: item.column for item in contract.entities} == {
        "client": "Client_No",
        "card": "CardNumber",
        "shop": "shop_id",
    }
    owned = {item.name: item.owned for item in contract.entities}
    assert owned == {"client": True, "card": False, "shop": False}
    for item in (card, client):
        assert item.history.windows == ("24h", "7d", "30d")
        assert item.history.measures == ("count", "mean", "max", "since", "ratio")
        assert (item.history.recent, item.history.cap) == (8, 500)
    assert (shop.history.measures, shop.history.cap) == (("count",), 2000)
    assert (contract.amount.column, contract.amount.currency) == ("TransactionAmt", "EUR")
    amounts = payments()["TransactionAmt"]
    assert contract.amount.bounds == (amounts.min(), amounts.max())
    assert (contract.time, contract.id) == ("booked_at", "TransactionID")
    assert {item.column for item in contract.inputs} == {"balance_amt", "entry"}
    assert "client:  # a guess: check it" in draft.text
    assert "# a guess: check it; the bounds are read from the data" in draft.text
    assert said(draft, "'CardNumber' is taken as an entity, the card: its history is summed up")
    assert said(draft, "such as label_delay: 7d; then add risk to the measures of shop")
    assert said(draft, "'isFraud' is taken as the target")
    assert said(draft, "rate: 0.01")
    assert fits(contract, payments())


def test_bounds_read_from_the_data_never_reach_private_training_unmarked():
    _, contract = drafted(payments())
    assert "amount.bounds" in unreviewed(contract)
    names = [item.name for item in history_features(contract).fields]
    assert {"amount", "client_ratio_30d"} <= set(names)
    assert contract.decision.cut == 0.5  # a share would be read from the data


def test_the_label_is_taken_by_a_name_of_this_domain():
    raw = payments()
    renamed = {"chargeback" if name == "isFraud" else name: raw[name] for name in raw}
    draft, contract = drafted(Table(renamed))
    (target,) = contract.targets
    assert (target.column, target.positive, target.favourable) == ("chargeback", "1", "0")
    assert contract.decision.target == target.name
    assert "chargeback" not in {item.column for item in contract.fields}
    assert said(draft, "'chargeback' is taken as the target")


def test_novelty_has_no_target_and_does_not_read_the_label():
    raw = payments()
    raw = raw.with_columns({"chargeback": raw["isFraud"]})
    draft, contract = drafted(raw, "fraud-novelty")
    assert (contract.targets, contract.decision) == ((), None)
    labels = {item.column: item.role for item in contract.fields}
    assert (labels["isFraud"], labels["chargeback"]) == ("ignore", "ignore")
    assert not said(draft, "label_delay")
    assert not said(draft, "is taken as the target")
    assert not said(draft, "declare the target")


def test_a_card_that_its_owner_alone_uses_may_be_owned():
    raw = payments()
    draft, _ = drafted(raw.with_columns({"CardNumber": raw["CardNumber"]}))
    assert said(draft, "each 'CardNumber' stands with one 'Client_No'")
    mixed = np.roll(raw["CardNumber"], 1)
    draft, _ = drafted(raw.with_columns({"CardNumber": mixed}))
    assert not said(draft, "each 'CardNumber' stands with one")


def test_without_an_amount_nothing_is_asked_of_amounts():
    raw = payments().without(["TransactionAmt", "balance_amt"])
    draft, contract = drafted(raw)
    assert contract.amount is None
    assert contract.entities[0].history.measures == ("count", "since")
    assert said(draft, "amount: {column: …, currency: EUR")


def test_without_a_time_the_draft_asks_for_it():
    raw = payments()
    other = raw.with_columns({"sent_at": raw["booked_at"]})
    draft, contract = drafted(other)  # of two times of which nothing tells the first none is taken
    assert not contract.time
    assert all(item.history is None for item in contract.entities)
    assert said(draft, "declare the time of the event, such as time: booked_at")
    assert said(drafted(raw.without(["booked_at"]))[0], "such as time: COLUMN")


def test_where_all_columns_are_used_a_field_is_left():
    raw = payments().without(["TransactionAmt", "balance_amt", "entry", "Client_No"])
    _, contract = drafted(raw)
    assert [item.role for item in contract.fields] == ["ignore"]
    assert contract.group == "CardNumber"
    assert contract.entities[0].owned
    assert fits(contract, raw)


def test_identifiers_that_are_no_entity_are_no_numbers_either():
    raw = payments()
    random = np.random.default_rng(6)
    more = {
        "card2": random.integers(100, 600, raw.rows),  # there is a card already
        "device_id": 10_000 + 3 * np.arange(raw.rows),  # hardly ever the same
        "card_type": objects(random.choice(["visa", "amex"], raw.rows)),
        "card": objects(random.choice(["debit", "credit"], raw.rows)),  # a type, no card
        "account_age": random.integers(1, 900, raw.rows),
        "merchant_lat": random.normal(size=raw.rows),
    }
    draft, contract = drafted(raw.with_columns(more))
    assert len(contract.entities) == 3
    inputs = {item.column for item in contract.inputs}
    assert inputs >= {"card_type", "card", "account_age", "merchant_lat"}
    assert not inputs & {"card2", "device_id"}
    assert said(draft, "'card2' looks like an identifier of something: left out of the model")


def test_a_group_takes_no_rows_without_a_value():
    raw = payments().without(["Client_No"])
    holes = objects(None if n % 50 == 0 else f"K{c}" for n, c in enumerate(raw["CardNumber"]))
    draft, contract = drafted(raw.with_columns({"CardNumber": holes}))
    assert (contract.group, contract.entities[0].column) == ("", "CardNumber")
    assert not contract.entities[0].owned
    assert said(draft, "declare the unit of privacy")
    assert fits(contract, raw.with_columns({"CardNumber": holes}))


def test_a_field_that_has_a_derived_name_gets_another():
    raw = payments()
    raw = raw.with_columns(
        {
            "Amount": objects(f"{n} Euro" for n in raw["TransactionAmt"]),
            "shop_count_7d": raw["entry"],
        }
    )
    _, contract = drafted(raw)
    assert contract.amount.column == "TransactionAmt"
    names = {item.column: item.name for item in contract.fields}
    assert (names["Amount"], names["shop_count_7d"]) == ("amount_2", "shop_count_7d_2")
    assert "amount" in [item.name for item in history_features(contract).fields]


@pytest.mark.parametrize(
    ("column", "entity"),
    [
        *[(name, "card") for name in ("cc_num", "ccnum", "card_id", "PAN", "customer_card_no")],
        *[(name, "account") for name in ("acct", "IBAN", "accountNumber", "from_account")],
        *[(name, "payee") for name in ("to_account", "payee_iban", "iban_recipient")],
        *[("CUSTOMER_ID", "customer"), ("userid", "user"), ("TERMINAL_ID", "terminal")],
        *[("merchant_name", "merchant"), ("ip_address", "ip"), ("beneficiaryId", "beneficiary")],
        *[(name, "") for name in ("customer_name", "account_age", "card_type", "merchant_city")],
        *[(name, "") for name in ("user_agent", "device_score", "is_card_present", "zip", "42")],
    ],
)
def test_names_of_entities(column, entity):
    found = named(column)
    assert (found.entity if found else "") == entity


@pytest.mark.parametrize(
    ("column", "numbers", "expected"),
    [
        ("amount", [1.5, 20.25], ("EUR", 2, (1.5, 20.25))),
        ("amount_usd", [1, 20, 20], ("USD", 2, (1, 20))),
        ("price_jpy", [100, 2500], ("JPY", 0, (100, 2500))),
        ("AmountKWD", [1.125, 3.5], ("KWD", 3, (1.125, 3.5))),
        ("tx_value", [0.1235, 5], ("EUR", 4, (0.1235, 5))),
        ("amt", [1 / 3, 5], ("EUR", 2, (1 / 3, 5))),
        ("amount_euro", [-3, 0, 2, 7.5], ("EUR", 2, (2, 7.5))),
        ("balance_amount", [1, 2], None),
        ("avg_amount_7d", [1, 2], None),
        ("vehicle_price", [1, 2], None),
        ("amount", [-1, 0, 5], None),  # no range above 0
        ("amount", [1, 2e15], None),  # more than whole cents can hold
    ],
)
def test_amounts(column, numbers, expected):
    from verticals.contract.profile import profile

    field = Field(name="amount", column=column, kind="numeric", bounds=(0, 1))
    values = np.array(numbers, dtype=np.float64)
    amount, findings = guess_amount([field], {column: profile(column, values)})
    assert (amount and (amount.currency, amount.digits, amount.bounds)) == expected
    assert findings


def test_a_currency_column_tells_the_currency():
    raw = payments()
    _, contract = drafted(raw.with_columns({"ccy": objects(["GBP"] * raw.rows)}))
    assert contract.amount.currency == "GBP"
    codes = objects("GBP" if n % 2 else "SEK" for n in range(raw.rows))
    draft, _ = drafted(raw.with_columns({"ccy": codes}))
    assert said(draft, "currency_column: ccy and rates: {GBP: …, SEK: …}")


def test_where_nothing_fits_the_draft_says_what_to_declare():
    random = np.random.default_rng(2)
    raw = Table(
        {"height": random.normal(size=60), "colour": objects("rgb"[n % 3] for n in range(60))}
    )
    draft, contract = drafted(raw)
    assert (contract.entities, contract.amount, contract.group) == ((), None, "")
    for what in ("under entities", "amount:", "time:", "targets:", "group:"):
        assert said(draft, what)


@pytest.mark.parametrize("solution", ["fraud-detection", "fraud-novelty"])
def test_odd_tables_are_drafted_too(solution):
    random = np.random.default_rng(9)
    names = ["card_id", "customer", "amount", "merchant", "is_fraud", "at", "chargeback", "amt"]
    cells = (
        lambda rows: objects(random.choice(["a", "b", "", None], rows)),
        lambda rows: objects(f"x{n}" for n in range(rows)),
        lambda rows: random.integers(0, 3, rows),
        lambda rows: random.choice([np.nan, np.inf, -1.5, 1e200], rows),
        lambda rows: objects(random.choice(["1", "2.5", "NA", "007"], rows)),
        lambda rows: np.full(rows, 7),
        lambda rows: random.random(rows) < 0.5,
        lambda rows: np.datetime64("2025-01-01", "s") + random.integers(0, 9**6, rows),
        lambda rows: objects([[1, 2]] * rows),
        lambda rows: random.normal(size=(rows, 3)),
    )
    for rows in (1, 2, 11, 60):
        for _ in range(40):
            picked = random.choice(names, random.integers(1, len(names)), replace=False)
            raw = Table({name: cells[random.integers(len(cells))](rows) for name in picked})
            draft, contract = drafted(raw, solution)
            assert draft.findings
            if fits(parse_contract(draft_contract(raw).text), raw):
                assert fits(contract, raw)


@pytest.mark.parametrize("solution", ["fraud-detection", "fraud-novelty"])
def test_a_drafted_log_trains_as_it_is(solution, tmp_path, capsys):
    data = tmp_path / "log.csv"
    write_table(data, payments())
    call = ["contract", "draft", data, "--solution", solution, "--out", tmp_path / "c.yaml"]
    assert run([str(part) for part in call]) == 0
    assert "is taken as an entity" in capsys.readouterr().err
    call = ["train", solution, "--contract", tmp_path / "c.yaml", "--data", data]
    bundle = tmp_path / "bundle"
    assert run([str(part) for part in [*call, "--no-privacy", "--out", bundle]]) == 0
    assert (bundle / "bundle.json").is_file()
    capsys.readouterr()
    assert run([str(part) for part in [*call, "--epsilon", 3, "--out", tmp_path / "p"]]) != 0
    assert "amount.bounds" in capsys.readouterr().err


def test_both_solutions_name_the_drafter():
    drafters = {item.drafter for item in verticals_solutions()}
    assert drafters == {"verticals_fraud_detection.draft:refine"}


def test_what_speaks_of_fraud_is_the_target_or_nothing():
    raw = payments()
    label = raw["isFraud"]
    more = {"label": 1 - label, "fraud_score": np.arange(raw.rows) % 7 / 3}
    draft, contract = drafted(raw.with_columns(more))
    assert contract.targets[0].column == "isFraud"
    roles = {item.column: item.role for item in contract.fields}
    assert roles["fraud_score"] == "ignore"
    assert roles.get("label", "ignore") == "ignore"
    assert said(draft, "'fraud_score' speaks of fraud")
