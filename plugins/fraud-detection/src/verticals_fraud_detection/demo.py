"""The demo: simulated payments, small enough to train on in seconds, behind a written contract."""

from __future__ import annotations

from importlib.resources import files

from verticals.contract import DataContract, parse_contract
from verticals.table import Table
from verticals_fraud_detection.simulate import simulate


def demo() -> tuple[DataContract, Table]:
    """Return the contract and the raw table of about 47,000 simulated payments on 75 days.

    The simulation's own name for each planted pattern is left out: nobody knows it in practice.
    """
    text = files(__package__).joinpath("payments.yaml").read_text(encoding="utf-8")
    contract = parse_contract(text, source="payments.yaml")
    table = simulate(customers=4000, terminals=1000, days=75, seed=7, rate=0.17)
    return contract, table.without(["pattern"])
