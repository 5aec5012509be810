"""Replays: every figure by hand, intervals, bad input, the command, the picture."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest

from verticals.cli.main import run
from verticals.contract.model import MISSING_AMOUNT, Amount, DataContract, Decision, Field, Target
from verticals.data import write_table
from verticals.errors import CallError, DataError
from verticals.table import Table
from verticals_fraud_detection.actions import actions
from verticals_fraud_detection.bootstrap import limits, resample
from verticals_fraud_detection.plot import replay_svg
from verticals_fraud_detection.policy import parse_policy, read_policy
from verticals_fraud_detection.replay import BASELINE, replay_table
from verticals_fraud_detection.replay_text import lines, major
from verticals_fraud_detection.rules import parse_rules
from verticals_fraud_detection.simulate import simulate

CONTRACT = DataContract(
    solution="fraud-detection",
    name="payments",
    group="customer",
    time="at",
    label_delay="1d",
    amount=Amount(column="amount", currency="EUR"),
    targets=(Target(name="fraud", column="fraud", kind="binary", positive="1", favourable="0"),),
    decision=Decision(target="fraud", cut=0.5),
    fields=(Field(name="count", kind="numeric", column="count"),),
)
CUTS = """
[policy]
name = "three-cuts"
minutes_per_alert = 30
[cuts]
step_up = 0.4
review = 0.6
decline = 0.8
"""
COSTS = """
[costs]
currency = "EUR"
handling = { step_up = 0.1, review = 4.0 }
genuine = { step_up = 0.5, review = 2.0, decline = 12.0 }
stopped = { step_up = 0.5, review = 0.9, decline = 1.0 }
churn = 1.5
"""
BUDGET = '[policy]\nname = "three-a-day"\n[budget]\nalerts_per_day = 3\n'
START = np.datetime64("2026-01-01T09:00:00", "us")


def table_of(day, label, amount, customer, count=None):
    rows = len(day)
    return Table(
        {
            "@time": START + np.asarray(day).astype("timedelta64[D]"),
            "@group": np.array([str(item) for item in customer], dtype=object),
            "@amount": np.asarray(amount, dtype=np.int64),
            "fraud": np.asarray(label, dtype=float),
            "count": np.zeros(rows) if count is None else np.asarray(count, dtype=float),
        }
    )


def drawn(days=15, a_day=200, rate=0.02, seed=0, customers=80):
    rng = np.random.default_rng(seed)
    rows = days * a_day
    day = rng.permutation(np.repeat(np.arange(days), a_day))
    label = (rng.random(rows) < rate).astype(float)
    score = 1 / (1 + np.exp(-(rng.normal(size=rows) + 3 * label - 3)))
    amount = rng.integers(100, 50_000, rows)
    return table_of(day, label, amount, rng.integers(0, customers, rows)), score


def small():
    """Return seven events on one day after seven quiet ones, with a score for each."""
    quiet = [(n, 0, 100, "q", 0.0) for n in range(7)]
    busy = [
        (7, 1, 10_000, "a", 0.9),  # declined fraud
        (7, 1, 20_001, "a", 0.7),  # reviewed fraud: 18,000.9 stopped
        (7, 1, 5_000, "b", 0.1),  # missed fraud
        (7, 0, 3_000, "b", 0.5),  # genuine, step-up
        (7, 0, 4_000, "c", 0.95),  # genuine, declined
        (7, 0, 4_000, "c", 0.65),  # the same customer again, reviewed
        (7, np.nan, MISSING_AMOUNT, "d", 0.7),  # unlabelled, reviewed
    ]
    day, label, amount, customer, score = zip(*quiet, *busy, strict=True)
    return table_of(day, label, amount, customer), np.array(score)


def policy_of(text, costs=""):
    return parse_policy(text + costs)


# ---- figures ---------------------------------------------------------------------------------


def test_every_figure_by_hand():
    table, score = small()
    found = replay_table(table, score, CONTRACT, [policy_of(CUTS, COSTS)], decision=score >= 0.5)
    assert found["data"] == {
        "rows": 14,
        "events": 7,
        "days": 1,
        "warm_up_days": 7,
        "from": "2026-01-08",
        "to": "2026-01-08",
        "unit": "customer",
        "units": 4,
        "frauds": 3,
        "unlabelled": 1,
        "missing_amounts": 1,
    }
    assert found["money"] == {"currency": "EUR", "digits": 2}
    assert found["costs"]["of"] == "three-cuts"
    baseline, entry = found["policies"]
    assert entry["alerts"]["count"] == 5
    assert entry["alerts"]["most_in_a_day"] == 5
    assert entry["alerts"]["precision"]["estimate"] == 0.5  # of the four that are labelled
    assert entry["analyst_hours"] == {"total": 2.5, "per_day": 2.5}
    assert entry["actions"] == {"step-up": 1, "review": 3, "decline": 2}
    assert (entry["frauds"]["caught"], entry["frauds"]["count"]) == (2, 3)
    assert entry["genuine_events_disturbed"] == {"count": 3, "share": 1.0}
    assert (entry["customers"]["disturbed"], entry["customers"]["genuine"]) == (2, 2)
    stopped = 10_000 + 18_001
    assert entry["value"]["fraud"] == 35_001
    assert entry["value"]["stopped"] == stopped
    assert entry["value"]["missed"] == 35_001 - stopped
    costs = {"handling": 10 + 3 * 400, "genuine": 50 + 1200 + 200, "churn": 300}
    assert entry["costs"] == costs
    assert entry["saved"]["estimate"] == stopped - sum(costs.values())
    # The bundle's own flags, as if each were reviewed.
    assert baseline["name"] == BASELINE
    assert baseline["digest"] is None
    assert baseline["actions"] == {"step-up": 0, "review": 6, "decline": 0}
    saved = round(0.9 * 10_000) + 18_001 - 6 * 400 - 3 * 200 - 2 * 150
    assert baseline["saved"]["estimate"] == saved
    difference = entry["against_first"]["saved"]["estimate"]
    assert difference == entry["saved"]["estimate"] - saved


def test_few_frauds_are_called_insufficient_and_have_no_limits():
    table, score = small()
    found = replay_table(table, score, CONTRACT, [policy_of(CUTS, COSTS)])
    assert found["verdict"] == "insufficient"
    assert any("3 frauds in the counted days, expected 10" in note for note in found["notes"])
    [entry] = found["policies"]
    for share in (entry["frauds"]["share"], entry["customers"]["share"], entry["saved"]):
        assert share["lower"] is None
        assert share["upper"] is None
    assert "insufficient" in "\n".join(lines({"bundle": "b", **found}))


def test_without_costs_only_value_is_reported_and_it_says_so():
    table, score = small()
    found = replay_table(table, score, CONTRACT, [policy_of(CUTS)], decision=score >= 0.5)
    entry = found["policies"][1]
    assert entry["value"]["stopped"] == 30_001
    assert entry["saved"] is None
    assert entry["costs"] is None
    assert entry["against_first"] == {
        "saved": None,
        "stopped": {"estimate": 0, "lower": None, "upper": None},
    }
    assert any("no policy has a cost table" in note for note in found["notes"])
    line = next(line for line in lines(found) if line.startswith("three-cuts"))
    assert line.split().count("–") == 1  # saved


def test_without_amounts_nothing_is_valued():
    table, score = small()
    contract = dataclasses.replace(CONTRACT, amount=None)
    found = replay_table(table.without(["@amount"]), score, contract, [policy_of(CUTS)])
    [entry] = found["policies"]
    assert found["money"] is None
    assert entry["value"] is None
    assert entry["frauds"]["caught"] == 2
    assert found["curve"][-1]["share"] == 1.0
    assert b"frauds caught" in replay_svg(found)


def test_what_has_no_denominator_is_null_never_zero():
    table, score = small()
    never = policy_of(CUTS.replace("0.4", "2").replace("0.6", "2").replace("0.8", "2"))
    found = replay_table(table, score, CONTRACT, [never])
    [entry] = found["policies"]
    assert entry["alerts"]["count"] == 0
    assert entry["alerts"]["precision"]["estimate"] is None
    assert entry["frauds"]["share"]["estimate"] == 0.0
    genuine = dataclasses.replace(CONTRACT)
    quiet = table_of(range(9), [0] * 9, [100] * 9, range(9))
    [entry] = replay_table(quiet, np.zeros(9), genuine, [never])["policies"]
    assert entry["frauds"]["share"]["estimate"] is None
    assert entry["value"]["share"]["estimate"] is None
    json.dumps(found, allow_nan=False)


def test_a_missing_customer_is_a_unit_of_its_own():
    table, score = small()
    groups = table["@group"].copy()
    groups[-6:] = None
    [entry] = replay_table(
        table.with_columns({"@group": groups}), score, CONTRACT, [policy_of(CUTS)]
    )["policies"]
    assert entry["customers"]["disturbed"] == 3


def test_row_order_does_not_matter():
    table, score = drawn()
    policies = [policy_of(BUDGET, COSTS), policy_of(CUTS)]
    order = np.random.default_rng(5).permutation(table.rows)
    first = replay_table(table, score, CONTRACT, policies)
    again = replay_table(table.take(order), score[order], CONTRACT, policies)
    for left, right in zip(first["policies"], again["policies"], strict=True):
        assert left["alerts"] == right["alerts"]
        assert left["value"]["stopped"] == right["value"]["stopped"]
    assert first["curve"] == again["curve"]


def test_all_policies_are_counted_over_the_same_days():
    table, score = drawn()
    long = policy_of(BUDGET.replace("three-a-day", "long") + "reference_days = 11\n")
    found = replay_table(table, score, CONTRACT, [policy_of(BUDGET), long, policy_of(CUTS)])
    assert (found["data"]["warm_up_days"], found["data"]["days"]) == (11, 4)
    assert found["data"]["from"] == "2026-01-12"
    labels = {entry["frauds"]["count"] for entry in found["policies"]}
    assert len(labels) == 1


def test_a_budget_is_kept_on_average_and_money_is_whole():
    table, score = drawn(days=30)
    [entry] = replay_table(table, score, CONTRACT, [policy_of(BUDGET, COSTS)])["policies"]
    assert 2.0 < entry["alerts"]["per_day"] < 4.0
    for number in (*entry["costs"].values(), entry["value"]["stopped"], *entry["saved"].values()):
        assert isinstance(number, int)
    assert entry["saved"]["lower"] < entry["saved"]["estimate"] < entry["saved"]["upper"]
    assert entry["frauds"]["share"]["lower"] < entry["frauds"]["share"]["estimate"]


def test_a_larger_budget_catches_no_less():
    table, score = drawn(days=20)
    caught = []
    for alerts in (1, 3, 10, 40):
        policy = policy_of(BUDGET.replace("= 3", f"= {alerts}"))
        [entry] = replay_table(table, score, CONTRACT, [policy], replicates=10)["policies"]
        caught.append(entry["frauds"]["caught"])
    assert caught == sorted(caught)
    assert caught[-1] > caught[0]


def test_the_curve_rises_and_agrees_with_a_policy_of_reviews():
    table, score = drawn(days=20)
    found = replay_table(table, score, CONTRACT, [policy_of(BUDGET)])
    shares = [item["share"] for item in found["curve"]]
    assert shares == sorted(shares)
    [point] = [item for item in found["curve"] if item["budget"] == 3.0]
    [entry] = found["policies"]
    assert point["alerts_per_day"] == entry["alerts"]["per_day"]
    assert point["share"] == pytest.approx(entry["value"]["share"]["estimate"])


def test_rules_come_after_the_model_and_have_their_table():
    table, score = small()
    count = np.zeros(table.rows)
    count[9] = 5.0  # the missed fraud
    table = table.with_columns({"count": count})
    rules = parse_rules(
        '[[rule]]\nid = "many"\naction = "review"\nwhen = [{ field = "count", min = 5 }]\n'
    )
    found = replay_table(
        table, score, CONTRACT, [policy_of(CUTS)], decision=score >= 0.5, rules=rules
    )
    baseline, entry = found["policies"]
    assert baseline["frauds"]["caught"] == 2  # as decided: without rules
    assert found["rules"]["digest"] == rules.digest
    assert entry["frauds"]["caught"] == 3
    assert entry["overlap"][0]["only_here"]["frauds"] == 1
    text = "\n".join(lines(found))
    assert "many" in text
    assert "1 of 1" in text


# ---- intervals -------------------------------------------------------------------------------


def test_pooled_resampling_is_the_bootstrap_over_customers():
    rng = np.random.default_rng(0)
    sums = rng.integers(0, 3, (400, 2)).astype(float)
    found = resample(sums, seed=1, replicates=4000)
    slow = np.stack([sums[rng.integers(0, 400, 400)].sum(axis=0) for _ in range(4000)])
    assert found.mean(axis=0) == pytest.approx(sums.sum(axis=0), rel=0.01)
    assert found.std(axis=0) == pytest.approx(slow.std(axis=0), rel=0.06)
    assert np.array_equal(found, resample(sums, seed=1, replicates=4000))
    assert not np.array_equal(found, resample(sums, seed=2, replicates=4000))


def test_limits_of_what_does_not_vary_are_not_measurable():
    assert limits(np.ones(5)) == (None, None)
    assert limits(np.array([np.nan, np.nan])) == (None, None)
    assert limits(np.linspace(0, 1, 1001)) == pytest.approx((0.025, 0.975))


def test_the_same_seed_gives_the_same_document():
    table, score = drawn()
    policies = [policy_of(BUDGET, COSTS)]
    first, again = (replay_table(table, score, CONTRACT, policies, seed=3) for _ in range(2))
    assert first == again
    assert replay_svg(first) == replay_svg(again)
    assert first != replay_table(table, score, CONTRACT, policies, seed=4)


# ---- bad input -------------------------------------------------------------------------------


def test_data_that_cannot_be_replayed_are_refused():
    table, score = small()
    policy = policy_of(CUTS)
    with pytest.raises(CallError, match="declares no time"):
        replay_table(table.without(["@time"]), score, CONTRACT, [policy])
    unlabelled = table.with_columns({"fraud": np.full(table.rows, np.nan)})
    with pytest.raises(DataError, match="no row has a label in column 'fraud'"):
        replay_table(unlabelled, score, CONTRACT, [policy])
    contract = dataclasses.replace(CONTRACT, targets=(), decision=None)
    with pytest.raises(CallError, match="has 0 binary targets"):
        replay_table(table, score, contract, [policy])
    with pytest.raises(CallError, match="two policies are named 'three-cuts'"):
        replay_table(table, score, CONTRACT, [policy, policy])
    with pytest.raises(CallError, match="two policies are named 'as decided'"):
        replay_table(table, score, CONTRACT, [policy_of(CUTS.replace("three-cuts", BASELINE))])
    dollars = policy_of(CUTS, COSTS.replace("EUR", "USD"))
    with pytest.raises(CallError, match="counts in 'USD', the contract in 'EUR'"):
        replay_table(table, score, CONTRACT, [dollars])
    bare = dataclasses.replace(CONTRACT, amount=None)
    with pytest.raises(CallError, match="the contract in no amount"):
        replay_table(table, score, bare, [dollars])
    few = table.take(np.arange(5))
    with pytest.raises(CallError, match="span 5 days, expected more than the 7"):
        replay_table(few, score[:5], CONTRACT, [policy_of(BUDGET)])


# ---- text and picture --------------------------------------------------------------------------


def test_money_is_printed_without_floats():
    assert major(-1_234_567, {"digits": 2}) == "-12,345.67"
    assert major(7, {"digits": 3}) == "0.007"
    assert major(1_234, {"digits": 0}) == "1,234"
    assert major(90_071_992_547_409_931, {"digits": 2}) == "900,719,925,474,099.31"


def test_the_picture_is_accessible_and_well_formed():
    table, score = drawn()
    named = policy_of(BUDGET.replace("three-a-day", "a <b> & c"), COSTS)
    data = replay_svg(replay_table(table, score, CONTRACT, [named], decision=score > 0.5))
    root = ElementTree.fromstring(data)
    space = "{http://www.w3.org/2000/svg}"
    assert root.attrib["role"] == "img"
    assert root.find(f"{space}title").text == "Replay: value of fraud stopped against alerts a day"
    told = root.find(f"{space}desc").text
    assert "a <b> & c: " in told
    assert "curve of the model alone" in told
    assert "prefers-color-scheme:dark" in root.find(f"{space}style").text
    labels = [item.text for item in root.iter(f"{space}text")]
    assert {"a <b> & c", BASELINE, "alerts a day", "model alone, reviews only"} <= set(labels)
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    for circle in root.iter(f"{space}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= width
        assert 0 <= float(circle.attrib["cy"]) <= height


# ---- the command -----------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run `verticals replay` on drawn data behind a scorer that needs no model."""
    table, score = drawn()
    scorer = SimpleNamespace(
        contract=CONTRACT,
        digest="sha256:bundle",
        vertical=SimpleNamespace(info=SimpleNamespace(name="fraud-detection")),
        bound=lambda data, targets, encoding: table,
        columns=lambda bound: {"score": score, "decision": (score >= 0.5).astype(float)},
    )
    monkeypatch.setattr("verticals.api.open_scorer", lambda *_, **__: scorer)
    (tmp_path / "budget.toml").write_text(BUDGET + COSTS)
    (tmp_path / "cuts.toml").write_text(CUTS)

    def call(*arguments):
        return run(["replay", "bundle", "--data", "d.csv", *map(str, arguments)])

    return SimpleNamespace(call=call, path=tmp_path, scorer=scorer)


def test_the_command_prints_a_table_and_writes_files(command, capsys):
    path = command.path
    arguments = ["--policy", path / "budget.toml", "--policy", path / "cuts.toml"]
    outputs = ["--out", path / "replay.json", "--plot", path / "replay.svg"]
    assert command.call(*arguments, *outputs) == 0
    told = capsys.readouterr()
    assert "three-a-day" in told.out
    assert "customers disturbed" in told.out
    assert f"against {BASELINE}" in told.out
    assert "wrote" in told.err
    document = json.loads((path / "replay.json").read_text())
    assert document["bundle"] == "sha256:bundle"
    assert [entry["name"] for entry in document["policies"]] == [
        BASELINE,
        "three-a-day",
        "three-cuts",
    ]
    assert (path / "replay.svg").read_bytes() == replay_svg(document)
    assert command.call(*arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out) == document


def test_cuts_that_were_written_decide_online(command, capsys):
    fixed = command.path / "fixed.toml"
    arguments = ["--policy", command.path / "budget.toml", "--write-cuts", fixed]
    assert command.call(*arguments) == 0
    policy = read_policy(fixed)
    assert policy.by == "cuts"
    assert policy.costs is not None
    online = actions(CONTRACT, {"policy": fixed})
    told = online.decide({"score": policy.cuts.review}, {})
    assert told == {"action": "review", "rules": [], "cut": policy.cuts.review}
    just_below = np.nextafter(policy.cuts.review, 0)
    assert online.decide({"score": just_below}, {})["action"] == "approve"


def test_the_commands_bad_input_is_one_line_and_a_hint(command, capsys):
    path = command.path
    budget = ["--policy", path / "budget.toml"]
    cases = [
        ([*budget, "--policy", path / "cuts.toml", "--write-cuts", path / "x"], "expected one"),
        (["--policy", path / "cuts.toml", "--write-cuts", path / "x"], "decides by cuts"),
        (["--policy", path / "none.toml"], "no such file"),
        ([*budget, "--rules", path / "budget.toml"], "unknown key 'policy'"),
        ([], "Missing option '--policy'"),
    ]
    for arguments, said in cases:
        assert command.call(*arguments) == 2
        told = capsys.readouterr().err.splitlines()
        assert told[0].startswith("error: ")
        assert said in told[0]
        assert len(told) <= 2
    command.scorer.contract = dataclasses.replace(CONTRACT, time="")
    assert command.call(*budget) == 2
    assert "declares no time" in capsys.readouterr().err
    assert not (path / "x").exists()


def test_a_trained_bundle_is_replayed_in_a_process_of_its_own(tmp_path):
    contract = files("verticals_fraud_detection").joinpath("payments.yaml").read_text("utf-8")
    (tmp_path / "contract.yaml").write_text(contract, encoding="utf-8")
    table = simulate(customers=60, terminals=20, days=32, seed=1, rate=0.3)
    write_table(tmp_path / "data.csv", table.without(["pattern"]))
    (tmp_path / "budget.toml").write_text(BUDGET + COSTS)
    (tmp_path / "rules.toml").write_text(
        '[[rule]]\nid = "many"\naction = "review"\n'
        'when = [{ field = "card_count_10min", min = 3 }]\n'
    )
    data = ["--data", str(tmp_path / "data.csv")]
    model = str(tmp_path / "model")
    train = ["--contract", str(tmp_path / "contract.yaml"), "--option", "epochs=1"]
    assert run(["train", "fraud-detection", "--no-privacy", "--out", model, *data, *train]) == 0
    policy = ["--policy", "budget.toml", "--rules", "rules.toml", "--plot", "replay.svg"]
    code = "import sys; from verticals.cli.main import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, "replay", model, *data, *policy, "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [entry["name"] for entry in document["policies"]] == [BASELINE, "three-a-day"]
    assert document["policies"][1]["overlap"][0]["rule"] == "many"
    assert (tmp_path / "replay.svg").read_bytes().startswith(b"<svg")


def test_the_command_is_described_without_heavy_imports():
    code = (
        "import sys, verticals_fraud_detection.replay_command as m; "
        "heavy = {'torch', 'sklearn', 'pandas', 'scipy', 'numpy', 'pyarrow'} & set(sys.modules); "
        "print(m.replay.name, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "replay []"
