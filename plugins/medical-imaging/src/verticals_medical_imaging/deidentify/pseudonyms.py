"""What stands for an identifier: always the same under one key, and nothing without it."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
import uuid
from dataclasses import dataclass, field

from verticals.errors import CallError

LEAST_KEY = 16  # bytes
_DAYS = range(30, 3650)  # by how many days a patient's dates go back
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_TIMES = re.compile(r"\d{0,6}(\.\d{1,6})?([-+]\d{4})?")


@dataclass(frozen=True, kw_only=True)
class Pseudonyms:
    """Derive patients' codes, UIDs and date shifts from one secret key by HMAC-SHA256.

    `patients` and `uids` remember what was asked for, to write the map; they change nothing.
    """

    key: bytes = field(repr=False)
    patients: dict[str, str] = field(default_factory=dict, repr=False)
    uids: dict[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse a key that could be guessed."""
        if len(self.key) < LEAST_KEY:
            raise CallError(
                f"a key of {len(self.key)} bytes, expected at least {LEAST_KEY}",
                hint="head -c 32 /dev/urandom | base64 > deidentify.key",
            )

    @property
    def key_id(self) -> str:
        """Return a name of the key that tells nothing about it."""
        return self._digest("key", "").hex()[:16]

    def patient(self, identity: str) -> str:
        """Return the code of a patient."""
        code = f"P-{self._digest('patient', identity).hex()[:16]}"
        return self.patients.setdefault(identity, code)

    def days(self, identity: str) -> int:
        """Return by how many days the dates of a patient go back: 30 days to 10 years."""
        number = int.from_bytes(self._digest("days", identity)[:8], "big")
        return _DAYS[number % len(_DAYS)]

    def uid(self, uid: str) -> str:
        """Return the UID that stands for another: a UUID under 2.25 (PS3.5 B.2)."""
        if uid not in self.uids:
            digest = bytearray(self._digest("uid", uid)[:16])
            digest[6] = digest[6] & 0x0F | 0x80  # version 8: made in a way of our own (RFC 9562)
            digest[8] = digest[8] & 0x3F | 0x80
            self.uids[uid] = f"2.25.{uuid.UUID(bytes=bytes(digest)).int}"
        return self.uids[uid]

    def code(self, kind: str, text: str) -> str:
        """Return a code for a text, so that equal ones stay equal: 'MAKER-1a2b3c4d'."""
        return f"{kind}-{self._digest(kind, text.strip().upper()).hex()[:8]}"

    def _digest(self, kind: str, text: str) -> bytes:
        message = f"verticals deidentify 1\0{kind}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.new(self.key, message, hashlib.sha256).digest()


def shifted(value: str, days: int) -> str:
    """Return a DICOM date (DA) or date and time (DT) some days earlier; empty where it is none.

    Of a date and time only the date is kept: the minute of an examination can be looked up.

    >>> shifted("20240301", 30), shifted("20240301101500.25+0100", 30), shifted("Monday", 30)
    ('20240131', '20240131', '')
    """
    found = _DATE.match(value)
    if found is None or not _TIMES.fullmatch(value[8:]):
        return ""
    try:
        date = datetime.date(*(int(part) for part in found.groups()))
        return (date - datetime.timedelta(days=days)).strftime("%Y%m%d").rjust(8, "0")
    except (ValueError, OverflowError):
        return ""
