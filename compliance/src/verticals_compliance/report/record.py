"""Hold what a report is made from: audit.json, details.json, and where each number stands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verticals.strictjson import sha256
from verticals_compliance.audit import read_audit
from verticals_compliance.details import DETAILS, read_details

Json = Mapping[str, Any]

# Characters that no reader sees but that change what is read: controls, and marks that turn the
# direction of writing. A label that holds one shows U+FFFD in its place.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


@dataclass(frozen=True, kw_only=True)
class Record:
    """Hold the record of an audit and the material beside it.

    `digest` is the SHA-256 of the bytes of audit.json, `details_digest` that of details.json.
    """

    audit: Json
    details: Json
    digest: str
    details_digest: str = ""

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

    def limit_of(self, item: Json) -> tuple[float | None, bool]:
        """Return the limit on which a fairness row's verdict rests, and whether a rule sets it.

        Without a rule the policy's tolerance holds; an error in a unit of its own has none.
        """
        kind = (item.get("disparity") or {}).get("kind")
        metric, attribute = item.get("metric"), item.get("attribute")
        known = self.detail("evidence").get("attributes") or ()
        role = next((a.get("role") for a in known if a.get("name") == attribute), None)
        found = [
            float(rule["min" if kind == "ratio" else "max"])
            for rule in self.detail("policy").get("rules") or ()
            if (rule.get("section"), rule.get("metric"), rule.get("kind"))
            == ("fairness", metric, kind)
            and {attribute, role} & set(rule.get("attributes") or ())
            and rule.get("min" if kind == "ratio" else "max") is not None
        ]
        if found:
            return (max(found) if kind == "ratio" else min(found)), True
        if metric == "mean_error":
            return None, False
        return (self.detail("policy").get("tolerance") or {}).get(kind), False

    def target_label(self, output: Json) -> str:
        """Return what people read for the target of an output."""
        targets = self.detail("contract").get("targets") or ()
        known = (t.get("label") for t in targets if t.get("name") == output.get("target"))
        return str(next(known, None) or output.get("target") or "")

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

    Raises `AuditError` if one is missing or has not the fields that it should have, or if the
    details were written for another record.
    """
    audit, details = read_audit(folder), read_details(folder)
    return Record(
        audit=clean(audit.to_json()),
        details=clean(details),
        digest=str(details["record"]),
        details_digest=sha256((folder / DETAILS).read_bytes()),
    )


def clean(value: Any) -> Any:
    """Replace characters that no reader sees in every string of a JSON value."""
    if isinstance(value, str):
        return _UNSEEN.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_UNSEEN.sub("\ufffd", key): clean(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list) else value
