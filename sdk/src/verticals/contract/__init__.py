"""The data contract: what every column means, declared by a human and held against the data.

`read_contract` reads one, `bind` holds data against it, `draft_contract` proposes one.
"""

from __future__ import annotations

from verticals.contract.canonical import canonical
from verticals.contract.check import Bound, bind, resolve
from verticals.contract.columns import Note, merged_notes
from verticals.contract.draft import Draft, Drafter, Refined, draft_contract
from verticals.contract.dump import contract_digest, dump_contract
from verticals.contract.durations import is_duration, microseconds
from verticals.contract.groups import group_labels, group_of, value_labels
from verticals.contract.model import (
    AMOUNT,
    GROUP,
    ID,
    KINDS,
    LABEL_TIME,
    LATE,
    MEASURES,
    MISSING,
    MISSING_AMOUNT,
    ROLES,
    ROW,
    SCALES,
    TARGET_KINDS,
    TIME,
    Amount,
    DataContract,
    Decision,
    Entity,
    Field,
    History,
    Target,
)
from verticals.contract.parse import parse_contract, read_contract
from verticals.contract.profile import Profile
from verticals.contract.rules import RESERVED, unreviewed, validate_contract

__all__ = [
    "AMOUNT",
    "GROUP",
    "ID",
    "KINDS",
    "LABEL_TIME",
    "LATE",
    "MEASURES",
    "MISSING",
    "MISSING_AMOUNT",
    "RESERVED",
    "ROLES",
    "ROW",
    "SCALES",
    "TARGET_KINDS",
    "TIME",
    "Amount",
    "Bound",
    "DataContract",
    "Decision",
    "Draft",
    "Drafter",
    "Entity",
    "Field",
    "History",
    "Note",
    "Profile",
    "Refined",
    "Target",
    "bind",
    "canonical",
    "contract_digest",
    "draft_contract",
    "dump_contract",
    "group_labels",
    "group_of",
    "is_duration",
    "merged_notes",
    "microseconds",
    "parse_contract",
    "read_contract",
    "resolve",
    "unreviewed",
    "validate_contract",
    "value_labels",
]
