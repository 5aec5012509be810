"""Every error that `verticals` raises on purpose, drawn as one tree.

    VerticalsError            a message for a person, and a hint with the next command
    ├── CallError             the call itself is wrong: an option, a name, a combination
    ├── ContractError         the data contract, or data held against it; lists every violation
    ├── DataError             a file or a frame that cannot be read, or not written
    │   └── BadFileError      a file that a row of the data names, and that cannot be used
    ├── PluginError           a plugin that cannot be found, loaded or trusted
    ├── PrivacyError          a promise of privacy that would not hold
    ├── TrainingError         training that cannot start or did not produce finite numbers
    ├── BundleError           a bundle that is damaged, unsafe or of another version
    │   └── SignatureError    a signature that is missing, wrong, or of another person
    ├── ExplanationError      attributions that cannot be given, or do not add up
    ├── EvidenceError         evidence that is damaged, or lacks a table that was asked for
    └── AuditError            an audit, a policy or a report that cannot be made

The command line prints `error: <message>` on one line, then `hint: <hint>`, and exits with 2.
"""

from __future__ import annotations

from collections.abc import Sequence


class VerticalsError(Exception):
    """Say what is wrong, where, what was received and expected; `hint` names the next step."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class CallError(VerticalsError):
    """Reject a call: a missing or unknown option, name or combination."""


class ContractError(VerticalsError):
    """Reject a contract, or data held against one; `violations` lists all of them."""

    def __init__(self, message: str, *, hint: str = "", violations: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.violations = tuple(violations)


class DataError(VerticalsError):
    """Reject a file or frame that cannot be read or written."""


class BadFileError(DataError):
    """Reject a file that a row names; `row` counts the rows of the data from 1, `what` is the rest.

    A `FileReader` raises it with the place of the path among those it was given, from 1; where
    these are part of larger data the SDK says which row of these it is.
    """

    def __init__(self, what: str, *, row: int, hint: str = "") -> None:
        super().__init__(f"row {row}: {what}", hint=hint)
        self.what = what
        self.row = row


class PluginError(VerticalsError):
    """Report a plugin that is missing, broken, or speaks another interface version."""


class PrivacyError(VerticalsError):
    """Refuse to make a promise of privacy that would not hold."""


class TrainingError(VerticalsError):
    """Report training that cannot start, resume, or stay finite."""


class BundleError(VerticalsError):
    """Refuse a bundle that is damaged, unsafe, or of an unreadable version."""


class SignatureError(BundleError):
    """Refuse a signature that is absent, false, or made by another key."""


class ExplanationError(VerticalsError):
    """Report attributions that cannot be computed, or that fail their own check."""


class EvidenceError(VerticalsError):
    """Refuse evidence that is damaged or incomplete."""


class AuditError(VerticalsError):
    """Report an audit, policy, profile or report that cannot be made."""
