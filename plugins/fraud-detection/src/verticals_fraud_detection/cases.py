"""Cases: what the model saw and decided, kept so that a case can be examined again later.

One JSON line for each case, appended in one write. The file holds personal data: it is readable
by its owner only (mode 0600), and holds an id as a keyed hash or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from verticals.contract.model import ID, MISSING, TIME, DataContract, Field
from verticals.data import hash_ids
from verticals.errors import DataError
from verticals.finish import score_name
from verticals.jsonlines import LineWriter, read_lines
from verticals.strictjson import canonical_json, plain
from verticals.table import Array, Table
from verticals_fraud_detection.events import target_of

if TYPE_CHECKING:
    from verticals.api.scorer import Scorer

FORMAT = 1
TOLERANCE = 1e-5

_UNDECLARED = {"undeclared": True}  # a category's own text is not kept by a bound table
_WHAT = "case file"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Hold one decision: the features in natural units, and what was made of them.

    `features` has a number, text, list (a sequence) or None (missing) for each input of the model.
    """

    time: str  # of the event, ISO 8601 in UTC; empty where the contract has none
    bundle: str  # digest
    features: Mapping[str, Any]
    score: float
    action: str
    decision: str | float | None = None
    reasons: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()  # ids of those that fired
    policy: str | None = None  # digests
    rules_file: str | None = None
    id: str | None = None  # HMAC-SHA256
    format: int = FORMAT


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Hold the cases of a file. `torn` is the size in bytes of a last line cut off by a kill."""

    cases: tuple[Case, ...]
    torn: int = 0


@dataclass(frozen=True, kw_only=True)
class Examined:
    """Compare a case's score with what a bundle gives for the same features now."""

    then: float
    now: float
    same_bundle: bool

    @property
    def agrees(self) -> bool:
        """Tell whether the two scores differ by no more than rounding."""
        return abs(self.then - self.now) <= TOLERANCE


def case_of(
    row: Mapping[str, Any],
    contract: DataContract,
    told: Mapping[str, Any],
    *,
    bundle: str,
    policy: str | None = None,
    rules_file: str | None = None,
    key: bytes | None = None,
) -> Case:
    """Return the case of one event, right after it was scored: `OnlineScorer.row` is its `row`.

    `told` is what the online scorer returned: score, decision, action, rules, reasons. `contract`
    has the derived fields. Without a key no id is kept.
    """
    lacking = [item.name for item in contract.inputs if item.name not in row]
    if lacking:
        names = ", ".join(map(repr, lacking[:5]))
        raise DataError(f"the row lacks {names}, expected every input of the model")
    return Case(
        time=f"{np.datetime_as_string(row[TIME], unit='us')}Z" if TIME in row else "",
        bundle=bundle,
        features={item.name: _natural(item, row[item.name]) for item in contract.inputs},
        score=float(told["score"]),
        action=str(told["action"]),
        decision=told.get("decision"),
        reasons=tuple(told.get("reasons", ())),
        rules=tuple(told.get("rules", ())),
        policy=policy,
        rules_file=rules_file,
        id=hash_ids(np.array([row[ID]], dtype=object), key)[0] if key and ID in row else None,
    )


def case_line(case: Case) -> bytes:
    """Return a case as one line of canonical JSON, with its end of line."""
    return canonical_json(plain(asdict(case), "case")) + b"\n"


class CaseWriter(LineWriter[Case]):
    """Append cases to a file, whole lines only; a context manager."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, what=_WHAT, to_json=asdict)


def read_cases(path: str | Path) -> Cases:
    """Read a file of cases; a last line without its end was torn by a kill and is left out.

    Raises `DataError`, naming the line, for any other line that is no case.
    """
    found = read_lines(path, what=_WHAT)
    where = f"{_WHAT} {str(path)!r}, line"
    cases = tuple(_case(value, f"{where} {n}") for n, value in enumerate(found.values, start=1))
    return Cases(cases=cases, torn=found.torn)


def re_examine(case: Case, scorer: Scorer) -> Examined:
    """Score the stored features again; raise `DataError` if the bundle reads others.

    Another bundle than the one that decided is named by `same_bundle`, and may well disagree.
    """
    columns = scorer.columns(features_table(case, scorer.contract))
    name = score_name(scorer.contract, target_of(scorer.contract).name)
    return Examined(
        then=case.score,
        now=float(np.asarray(columns[name])[0]),
        same_bundle=case.bundle == scorer.digest,
    )


def features_table(case: Case, contract: DataContract) -> Table:
    """Return the bound table of one row that a case's features came from."""
    lacking = [item.name for item in contract.inputs if item.name not in case.features]
    if lacking:
        raise DataError(
            f"the case lacks {', '.join(map(repr, lacking[:5]))}, which the bundle reads",
            hint="examine it with the bundle that decided",
        )
    return Table(
        {item.name: _bound(item, case.features[item.name]) for item in contract.inputs}, rows=1
    )


# ---- one value -------------------------------------------------------------------------------


def _natural(field: Field, value: Any) -> Any:
    if field.kind in ("categorical", "ordinal") and not field.columns:
        code = int(value)
        if code == MISSING:
            return None
        return field.values[code] if code < len(field.values) else dict(_UNDECLARED)
    if field.kind == "time":
        return None if np.isnat(value) else str(np.datetime_as_string(value, unit="us"))
    if value is None or isinstance(value, str):
        return value
    return _numbers(np.asarray(value, dtype=np.float64).tolist())


def _numbers(value: Any) -> Any:
    """Return nested lists of numbers with None for NaN."""
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return None if value != value else value


def _bound(field: Field, value: Any) -> Array:
    if field.kind in ("categorical", "ordinal") and not field.columns:
        return np.array([_code(field, value)], dtype=np.int32)
    if field.kind == "time":
        return np.array([value or "NaT"], dtype="datetime64[us]")
    if isinstance(value, str) or (value is None and field.kind in ("text", "image")):
        return np.array([value], dtype=object)
    try:
        return np.array([value], dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError) as error:
        raise DataError(f"the case's {field.name!r} holds no numbers") from error


def _code(field: Field, value: Any) -> int:
    if value is None:
        return MISSING
    return field.values.index(value) if value in field.values else len(field.values)


# ---- the file --------------------------------------------------------------------------------


def _case(found: Any, where: str) -> Case:
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError(f"{where} is no case of format {FORMAT}")
    lists: Sequence[str] = ("reasons", "rules")
    try:
        told = {**found, **{name: tuple(found[name]) for name in lists}}
        case = Case(**told)
    except (KeyError, TypeError) as error:
        raise DataError(f"{where} is no case: it lacks a part, or has another") from error
    score = case.score
    number = isinstance(score, int | float) and not isinstance(score, bool)
    if not (number and isinstance(case.features, dict) and isinstance(case.bundle, str)):
        raise DataError(f"{where} is no case: score, features or bundle are of another kind")
    return case
