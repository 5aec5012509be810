"""Human decisions about persons whom a model scored: made, contested, resolved, and kept.

The record of decisions is a chain of lines (`verticals.chain`) that holds no id, but its keyed
hash. `override`, `appeal` and `resolve` add to it, `standings` says what holds now, `apply_to`
writes it beside scores, and `summarise` counts it so that no person can be told.
"""

from verticals.oversight.record import (
    KINDS,
    Standing,
    Subject,
    appeal,
    history,
    override,
    read,
    resolve,
    standings,
)
from verticals.oversight.scored import COLUMNS, apply_to, machine_said
from verticals.oversight.summary import MIN_CELL, Cell, TargetSummary, summarise
from verticals.oversight.values import checked_value, direction, target_of, values_of

__all__ = [
    "COLUMNS",
    "KINDS",
    "MIN_CELL",
    "Cell",
    "Standing",
    "Subject",
    "TargetSummary",
    "appeal",
    "apply_to",
    "checked_value",
    "direction",
    "history",
    "machine_said",
    "override",
    "read",
    "resolve",
    "standings",
    "summarise",
    "target_of",
    "values_of",
]
