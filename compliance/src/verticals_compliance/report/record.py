"""Hold what a report is made from: audit.json, details.json, and where each number stands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verticals.errors import AuditError, DataError
from verticals.strictjson import parse_json, sha256

Json = Mapping[str, Any]

# Characters that no reader sees but that change what is read: controls, and marks that turn the
# direction of writing. A label that holds one shows U+FFFD in its place.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


@dataclass(frozen=True, kw_only=True)
class Record:
    """Hold the record of an audit and the material beside it.

    `digest` is the SHA-256 of the bytes of audit.json.
    """

    audit: Json
    details: Json
    digest: str

    def many(self, key: str) -> Sequence[Json]:
        """Return a list of audit.json, empty where it is absent."""
        return self.audit.get(key) or ()

    def one(self, key: str) -> Json:
        """Return an object of audit.json, empty where it is absent."""
        return self.audit.get(key) or {}

    def detail(self, key: str) -> Json:
        """Return an object of details.json, empty where it is absent."""
        return self.details.get(key) or {}

    def listed(self, key: str) -> Sequence[Json]:
        """Return a list of details.json, empty where it is absent."""
        return self.details.get(key) or ()

    def rule(self, name: str) -> Json:
        """Return the policy's rule of that id, empty where the policy has none."""
        rules = self.detail("policy").get("rules") or ()
        return next((rule for rule in rules if rule.get("id") == name), {})

    def label(self, attribute: str) -> str:
        """Return what people read for an attribute or a field."""
        places = (
            self.detail("evidence").get("attributes") or (),
            self.detail("contract").get("fields") or (),
        )
        for place in places:
            for item in place:
                if item.get("name") == attribute and item.get("label"):
                    return str(item["label"])
        return attribute


def word(item: Json, key: str) -> str:
    """Return a text of a JSON object, "" where it is absent or null."""
    return str(item.get(key) or "")


def read_record(folder: Path) -> Record:
    """Read DIR/audit.json and DIR/details.json.

    Raises `AuditError` if one is missing, is no JSON object of format 1, or if the details were
    written for another record.
    """
    audit, data = _read(folder / "audit.json")
    details, _ = _read(folder / "details.json")
    digest = sha256(data)
    if details.get("record") != digest:
        raise AuditError(
            f"{folder / 'details.json'} was written for record {details.get('record')}, "
            f"but audit.json has digest {digest}",
            hint=f"verticals audit BUNDLE --out {folder}",
        )
    return Record(audit=audit, details=details, digest=digest)


def _read(path: Path) -> tuple[Json, bytes]:
    hint = f"verticals audit BUNDLE --out {path.parent}"
    try:
        data = path.read_bytes()
        value = parse_json(data, what=str(path))
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise AuditError(f"{path}: {reason}", hint=hint) from error
    except DataError as error:
        raise AuditError(error.message, hint=hint) from error
    if not isinstance(value, dict) or value.get("format") != 1:
        found = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise AuditError(f"{path} has format {found!r}, expected 1", hint=hint)
    return clean(value), data


def clean(value: Any) -> Any:
    """Replace characters that no reader sees in every string of a JSON value."""
    if isinstance(value, str):
        return _UNSEEN.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_UNSEEN.sub("\ufffd", key): clean(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list) else value
