"""The record of human decisions: what may be entered, in which order, and what holds now.

Three kinds of line: an `override` (a person decides in place of the machine, or confirms it), an
`appeal` (somebody contests the decision that stands) and a `resolution` (the answer to it). Of one
person, target and bundle at most one appeal is open; a resolution answers an open one, so each is
resolved once. Persons are named by HMAC-SHA256 of their id under a key that stays outside. Reasons
are free text: the file is readable by its owner only, and no message, count or report shows them.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from verticals.chain import Chain, Record
from verticals.contract.model import DataContract, Target
from verticals.data import hash_ids
from verticals.errors import CallError
from verticals.oversight.values import checked_value, target_of
from verticals.strictjson import is_digest

KINDS = ("override", "appeal", "resolution")
MAX_REASON = 2000  # characters
MAX_NAME = 200

_COMMON = ("bundle", "key", "person", "target", "machine", "reason", "by")
_KEYS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "override": frozenset({*_COMMON, "human"}),
        "appeal": frozenset(_COMMON),
        "resolution": frozenset({*_COMMON, "human", "appeal", "outcome"}),
    }
)
# A terminal would obey control characters, and marks of direction change what is read.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff"
    "\ud800-\udfff]"
)
_PERSON = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"[0-9a-f]{16}")
_TEXTS = (
    ("target", MAX_NAME),
    ("machine", MAX_NAME),
    ("human", MAX_NAME),
    ("by", MAX_NAME),
    ("reason", MAX_REASON),
)

Key = tuple[str, str, str]  # bundle, target, person


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Name a person about whom a bundle decides, by keyed hash; `key` is a mark of the key."""

    bundle: str
    contract: DataContract
    target: Target
    person: str
    key: str

    @classmethod
    def of(
        cls, *, bundle: str, contract: DataContract, person: object, key: bytes, target: str = ""
    ) -> Subject:
        """Hash an id; without `target` it is that of the decision, or the only one.

        Raises `CallError` for an id that is empty or no text, an empty key, or a target that the
        contract does not have.
        """
        try:
            str(person).encode("utf-8")
        except UnicodeEncodeError as error:
            raise CallError("the id is no Unicode text", hint="--id ID, in UTF-8") from error
        hashed = hash_ids(np.array([person], dtype=object), key)[0]
        if hashed is None:
            raise CallError("the id is empty, expected that of a person", hint="--id ID")
        return cls(
            bundle=bundle,
            contract=contract,
            target=target_of(contract, target),
            person=hashed,
            key=key_mark(key),
        )


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Say what holds for one person: the machine's word, the human's, and the latest appeal.

    `human` is None while nobody decided. `appeal` is "" (none), "open", "upheld" or "changed";
    `days` is how long the latest answer took, None without one.
    """

    machine: str
    human: str | None = None
    reason: str = ""
    by: str = ""
    at: str = ""
    appeal: str = ""
    appeal_digest: str = ""
    appealed_at: str = ""
    days: float | None = None

    @property
    def decision(self) -> str:
        """Return the decision that stands."""
        return self.machine if self.human is None else self.human


def key_mark(key: bytes) -> str:
    """Return 16 hexadecimal digits that tell one key from another, and nothing else of it."""
    return hmac.digest(key, b"verticals decision key 1", "sha256").hex()[:16]


def override(
    path: str | Path,
    subject: Subject,
    *,
    machine: object,
    human: object,
    reason: str,
    by: str,
    at: str | None = None,
) -> Record:
    """Enter that a person decided in place of the machine, or confirmed it; return the record.

    `machine` is what the machine said, `human` what the person decided, both values of the target;
    `by` is a name or a role. An open appeal stays open: it is answered by `resolve`.

    Raises `CallError` for a value, reason or name that cannot be entered, or a key other than the
    record's; `EvidenceError` if the record is damaged or cannot be written.
    """
    entry = {
        **_common(subject, machine, reason, by),
        "human": checked_value(subject.target, human, "the human decision"),
    }

    def make(records: Sequence[Record]) -> Mapping[str, Any]:
        check_key(records, subject.key)
        return entry

    _check(entry, "override")
    return _DECISIONS.extend(path, "override", make, at=at)


def appeal(
    path: str | Path,
    subject: Subject,
    *,
    machine: object,
    reason: str,
    by: str,
    at: str | None = None,
) -> Record:
    """Enter that the decision that stands about a person is contested; return the record.

    Raises `CallError` if an appeal of this person is open already, and as `override` does.
    """
    entry = _common(subject, machine, reason, by)

    def make(records: Sequence[Record]) -> Mapping[str, Any]:
        check_key(records, subject.key)
        found = _standing(records, subject)
        if found is not None and found.appeal == "open":
            raise CallError(
                f"an appeal of this person is open since {found.appealed_at}",
                hint="verticals decision resolve answers it",
            )
        return entry

    _check(entry, "appeal")
    return _DECISIONS.extend(path, "appeal", make, at=at)


def resolve(
    path: str | Path,
    subject: Subject,
    *,
    human: object | None,
    reason: str,
    by: str,
    at: str | None = None,
) -> Record:
    """Enter the answer to a person's open appeal; return the record.

    With `human` the decision is changed to that value; None upholds the one that stands.

    Raises `CallError` if no appeal of this person is open, if the changed decision is the one that
    stands already, and as `override` does.
    """
    if not Path(path).exists():
        raise _none_open()
    return _DECISIONS.extend(
        path,
        "resolution",
        lambda records: _resolution(records, subject, human, reason, by),
        at=at,
    )


def _resolution(
    records: Sequence[Record], subject: Subject, human: object | None, reason: str, by: str
) -> Mapping[str, Any]:
    """Return the entry that answers the open appeal among the records; raises as `resolve`."""
    check_key(records, subject.key)
    found = _standing(records, subject)
    if found is None or found.appeal != "open":
        raise _none_open()
    decided = found.decision
    if human is not None:
        decided = checked_value(subject.target, human, "the changed decision")
        if decided == found.decision:
            raise CallError(
                "the changed decision is the one that stands, expected another value",
                hint="--upheld says that the decision stays",
            )
    entry = {
        **_common(subject, found.machine, reason, by),
        "human": decided,
        "appeal": found.appeal_digest,
        "outcome": "upheld" if human is None else "changed",
    }
    _check(entry, "resolution")
    return entry


def _none_open() -> CallError:
    return CallError(
        "no appeal of this person is open, so there is none to resolve",
        hint="verticals decision appeal enters one; decision list --id shows the history",
    )


def read(path: str | Path, *, head: str | None = None) -> tuple[Record, ...]:
    """Return every record, oldest first, after chain and order were verified.

    `head` is the digest of a record that must be there. Raises `EvidenceError` for a record that
    is damaged, cut off before `head`, or says what cannot follow from what stands before it.
    """
    return _DECISIONS.read(path, head=head)


def standings(records: Sequence[Record], bundle: str) -> dict[tuple[str, str], Standing]:
    """Return what holds now for each (target, person) of a bundle."""
    found, _ = _told(records)
    return {(target, who): item for (of, target, who), item in found.items() if of == bundle}


def history(records: Sequence[Record], subject: Subject) -> tuple[Record, ...]:
    """Return what was entered of one person and target, oldest first.

    Raises `CallError` for a key other than the record's: nothing would be found.
    """
    check_key(records, subject.key)
    return tuple(record for record in records if _key(record.entry) == _subject_key(subject))


def check_key(records: Sequence[Record], mark: str) -> None:
    """Raise `CallError` if the records were made with another key than the marked one."""
    if records and records[0].entry["key"] != mark:
        raise CallError(
            "the record of decisions was made with another key, under which a person has another "
            "hash",
            hint="give the --key that the record was begun with",
        )


def _common(subject: Subject, machine: object, reason: str, by: str) -> dict[str, Any]:
    return {
        "bundle": subject.bundle,
        "key": subject.key,
        "person": subject.person,
        "target": subject.target.name,
        "machine": checked_value(subject.target, machine, "what the machine said"),
        "reason": reason.strip(),
        "by": by.strip(),
    }


def _check(entry: Mapping[str, Any], kind: str) -> None:
    """Refuse an entry before it is written; called before the file is opened, it makes none."""
    problem = _entry_problem(kind, entry)
    if problem:
        command = "resolve" if kind == "resolution" else kind
        raise CallError(f"the {kind} {problem}", hint=f"verticals decision {command} --help")


def _entry_problem(kind: str, entry: Mapping[str, Any]) -> str:
    """Say what is wrong with an entry, showing nothing of it; empty if nothing is."""
    if set(entry) != _KEYS[kind]:
        return f"has other keys than {', '.join(sorted(_KEYS[kind]))}"
    if not is_digest(entry["bundle"]):
        return "names no bundle by its digest"
    for name, form in (("person", _PERSON), ("key", _KEY)):
        if not isinstance(entry[name], str) or not form.fullmatch(entry[name]):
            return f"has no keyed hash as {name}"
    for name, most in _TEXTS:
        problem = _text_problem(entry[name], most) if name in entry else ""
        if problem:
            return f"has a {name} that {problem}"
    if kind == "resolution":
        if not is_digest(entry["appeal"]):
            return "names no appeal by its digest"
        if entry["outcome"] not in ("upheld", "changed"):
            return "has an outcome other than upheld and changed"
    return ""


def _text_problem(text: object, most: int) -> str:
    if not isinstance(text, str):
        return "is no text"
    if not text.strip():
        return "is empty, expected some words"
    if len(text) > most:
        return f"has {len(text)} characters, expected at most {most}"
    if most == MAX_NAME and ("\n" in text or "\t" in text):
        return "holds a line break or a tab, expected one line"
    return "holds control characters, expected words" if _UNSEEN.search(text) else ""


def _key(entry: Mapping[str, Any]) -> Key:
    return entry["bundle"], entry["target"], entry["person"]


def _subject_key(subject: Subject) -> Key:
    return subject.bundle, subject.target.name, subject.person


def _standing(records: Sequence[Record], subject: Subject) -> Standing | None:
    found, _ = _told(records)
    return found.get(_subject_key(subject))


def _told(records: Sequence[Record]) -> tuple[dict[Key, Standing], str]:
    """Go through the records; return what holds, and the first thing that cannot follow."""
    found: dict[Key, Standing] = {}
    for record in records:
        entry = record.entry
        if entry["key"] != records[0].entry["key"]:
            return found, f"record {record.index + 1} was made with another key than the first"
        key = _key(entry)
        before = found.get(key, Standing(machine=entry["machine"]))
        if record.kind == "override":
            found[key] = replace(_decided(before, record), machine=entry["machine"])
            continue
        if record.kind == "appeal":
            if before.appeal == "open":
                return found, f"record {record.index + 1} is a second appeal while one is open"
            found[key] = replace(
                before,
                machine=entry["machine"],
                appeal="open",
                appeal_digest=record.digest,
                appealed_at=record.at,
                days=None,
            )
            continue
        problem = _resolution_problem(before, record)
        if problem:
            return found, f"record {record.index + 1} {problem}"
        after = _decided(before, record) if entry["outcome"] == "changed" else before
        days = _days(before.appealed_at, record.at)
        found[key] = replace(after, appeal=entry["outcome"], days=days)
    return found, ""


def _decided(before: Standing, record: Record) -> Standing:
    entry = record.entry
    return replace(
        before, human=entry["human"], reason=entry["reason"], by=entry["by"], at=record.at
    )


def _resolution_problem(before: Standing, record: Record) -> str:
    entry = record.entry
    if before.appeal != "open" or before.appeal_digest != entry["appeal"]:
        return "resolves an appeal that is not open"
    if before.machine != entry["machine"]:
        return "resolves an appeal of another machine decision"
    if (before.decision == entry["human"]) != (entry["outcome"] == "upheld"):
        return "says that a decision was upheld that changed, or the other way round"
    if _days(before.appealed_at, record.at) < 0:
        return f"resolves an appeal at {record.at}, before it was made"
    return ""


def _days(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() / 86_400


def _order_problem(records: Sequence[Record]) -> str:
    return _told(records)[1]


_DECISIONS = Chain(
    noun="record of decisions",
    kinds=KINDS,
    entry_problem=_entry_problem,
    order_problem=_order_problem,
    mode=0o600,
)
