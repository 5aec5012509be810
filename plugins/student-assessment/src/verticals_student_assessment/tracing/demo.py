"""The demo: a simulated log of practice, small enough to train on in seconds."""

from __future__ import annotations

from importlib.resources import files

from verticals.contract import DataContract, parse_contract
from verticals.table import Table
from verticals_student_assessment.tracing.simulate import simulate


def demo() -> tuple[DataContract, Table]:
    """Return the contract and the raw log of 400 simulated pupils, about 24,000 answers."""
    text = files(__package__).joinpath("log.yaml").read_text(encoding="utf-8")
    return parse_contract(text, source="log.yaml"), simulate().log
