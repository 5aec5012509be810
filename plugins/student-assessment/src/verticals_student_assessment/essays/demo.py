"""The demo: composed essays behind a contract written by hand."""

from __future__ import annotations

from importlib.resources import files

from verticals.contract import DataContract, parse_contract
from verticals.table import Table
from verticals_student_assessment.essays.compose import compose

STUDENTS, SEED = 320, 5


def demo() -> tuple[DataContract, Table]:
    """Return the contract and the raw table of 480 composed essays of 320 made-up students."""
    text = files(__package__).joinpath("essays.yaml").read_text(encoding="utf-8")
    return parse_contract(text, source="essays.yaml"), compose(STUDENTS, SEED)
