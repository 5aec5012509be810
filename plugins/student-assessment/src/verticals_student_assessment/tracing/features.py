"""The derived fields of knowledge tracing, as the plugin interface has them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from verticals.contract.model import GROUP, DataContract, Field
from verticals.errors import ContractError
from verticals.table import Array, Table
from verticals_student_assessment.tracing.log import NEVER, NOBODY, Log, read_log, seen
from verticals_student_assessment.tracing.looking_back import RECENT_WIDTH, look_back
from verticals_student_assessment.tracing.roles import MOST_SKILLS, NOTHING, Roles, roles_of
from verticals_student_assessment.tracing.stream import TracingStream

SEQUENCE = "recent_answers"
_LONGEST = 365 * 86_400.0  # s: a longer rest counts as this one
_NEAR = 1_000_000  # µs: neighbours this close that share an item look like one interaction


@dataclass(frozen=True, kw_only=True)
class TracingFeatures:
    """Derive what a student's earlier answers say of the next one; satisfies `Features`.

    One definition for a whole log (`batch`) and for one question after the other (`stream`), with
    the same values, bit for bit:

    * A question sees its own student's answers that were known strictly before its time, the
      `cap` latest of them. Without `label_time` and `label_delay` an answer is known at its
      question's time. Answers of one time do not see one another, so the order of the log's rows
      says nothing; where it matters which of them came last, the interaction's id decides.
    * All rows of one interaction (one a skill) are one answer with all its skills; none of them
      sees another (see `log`).
    * An answer that is not in the table, or not known yet, counts as nothing.
    """

    contract: DataContract
    roles: Roles
    fields: tuple[Field, ...]

    def batch(self, table: Table) -> Table:
        """Return the bound table with the derived fields added, rows in the same order.

        Raises `DataError` as `read_log`.
        """
        answers, asked = seen(read_log(self.roles, table), self.roles.cap)
        items = len(self.roles.items)
        found = look_back(answers, asked, items=items, recent=self.roles.recent)
        return table.with_columns({item.name: found[item.name] for item in self.fields})

    def stream(self) -> TracingStream:
        """Return an empty stream, for online scoring."""
        return TracingStream(self.roles, tuple(item.name for item in self.fields))

    def within(self, entities: frozenset[str]) -> TracingFeatures:
        """Return the features: all of them read their own student only."""
        if GROUP in entities:
            return self
        return TracingFeatures(contract=self.contract, roles=self.roles, fields=())

    def notes(self, table: Table) -> tuple[str, ...]:
        """Say in counts what was odd in the log, and what was made of it."""
        return log_notes(self.roles, table)


def tracing_features(contract: DataContract) -> TracingFeatures:
    """Return the derived fields of a contract; raise `ContractError` if it lacks what they need."""
    roles = roles_of(contract)
    fields = derived_fields(roles)
    taken = {item.name for item in contract.fields if item.column or item.columns}
    for field in fields:
        if field.name in taken:
            raise ContractError(
                f"field {field.name!r} has the name of a derived field",
                hint="rename the field in the contract",
            )
    return TracingFeatures(contract=contract, roles=roles, fields=fields)


def derived_fields(roles: Roles) -> tuple[Field, ...]:
    """Return the declarations of the derived fields, from the contract alone."""
    texts = {
        "student_right": "Right answers so far",
        "student_wrong": "Wrong answers so far",
        "skill_right": "Right answers on these skills so far",
        "skill_wrong": "Wrong answers on these skills so far",
        "item_right": "Right answers on this item so far",
        "item_wrong": "Wrong answers on this item so far",
    }
    counts = [_count(roles, name, label) for name, label in texts.items()]
    shares = [
        _share("student_recent", "Share right of the latest answers"),
        _share("skill_recent", "Share right of the latest answers on these skills"),
        _share("skill_lowest", "Share right on the weakest of these skills (add one, of add two)"),
    ]
    rests = [
        _rest("since_answer", "Time since the latest answer"),
        _rest("since_skill", "Time since the latest answer on these skills"),
    ]
    largest = max(len(roles.items), len(roles.skills)) + 1.0
    sequence = Field(
        name=SEQUENCE,
        kind="sequence",
        size=(roles.recent, RECENT_WIDTH),
        bounds=(0.0, max(largest, math.log1p(_LONGEST))),
        label=f"The latest {roles.recent} answers, in order",
        reads=(GROUP,),
    )
    return (*counts, *shares, *rests, sequence)


def log_notes(roles: Roles, table: Table) -> tuple[str, ...]:
    """Return counted notes on a bound log, one line each."""
    log = read_log(roles, table)
    counted = {
        "interaction(s) stand in several rows, one a skill: each is one answer, and its rows do "
        "not see one another": int((np.bincount(log.interaction) > 1).sum()),
        "row(s) repeat an interaction with the same skill, and add nothing": _repeated(log),
        f"interaction(s) need more than {MOST_SKILLS} skills: counts keep the first "
        f"{MOST_SKILLS} as declared": log.too_many,
        "row(s) name no skill": int((log.skills == NOTHING).all(axis=1).sum()),
        "row(s) name a skill that is not declared, and count as 'other'": int(
            (log.skills == len(roles.skills)).any(axis=1).sum()
        ),
        "student(s) have a single answer, of which no history is known": _single(log),
        "row(s) are of a time after today": int((log.time > _tomorrow()).sum()),
        f"row(s) had more than the cap of {roles.cap:,} earlier answers, and see the latest": (
            _capped(roles, log)
        ),
        "pair(s) of neighbouring answers within a second are of one item with other skills: if "
        "these are one interaction, give them one id": _suspects(log),
    }
    return tuple(f"{count:,} {text}" for text, count in counted.items() if count)


def _repeated(log: Log) -> int:
    rows = np.column_stack([log.interaction, log.skills])
    return len(rows) - len(np.unique(rows, axis=0))


def _single(log: Log) -> int:
    owners = log.student[log.first]
    return int((np.bincount(owners[owners != NOBODY]) == 1).sum())


def _tomorrow() -> int:
    day = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(days=1)
    return int(np.datetime64(day, "us").astype(np.int64))


def _capped(roles: Roles, log: Log) -> int:
    _, every = seen(log, int(NEVER))
    return int((every.high - every.low > roles.cap).sum())


def _suspects(log: Log) -> int:
    order = np.lexsort((log.time, log.student))
    one, two = order[:-1], order[1:]
    same: Array = (log.student[one] == log.student[two]) & (log.item[one] == log.item[two])
    same &= (log.item[one] != NOTHING) & (log.interaction[one] != log.interaction[two])
    near = log.time[two] - log.time[one] <= _NEAR
    return int((same & near & (log.skills[one] != log.skills[two]).any(axis=1)).sum())


def _count(roles: Roles, name: str, label: str) -> Field:
    return _numeric(name, label, bounds=(0.0, float(roles.cap)), scale="signed-log")


def _share(name: str, label: str) -> Field:
    return _numeric(name, label, bounds=(0.0, 1.0))


def _rest(name: str, label: str) -> Field:
    return _numeric(name, label, bounds=(1.0, _LONGEST), scale="log", unit="s")


def _numeric(name: str, label: str, **more: object) -> Field:
    declared: Mapping[str, object] = {"name": name, "kind": "numeric", "label": label, **more}
    return Field(reads=(GROUP,), **declared)  # type: ignore[arg-type]
