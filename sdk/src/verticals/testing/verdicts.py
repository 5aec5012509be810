"""How a conformance check says that it failed, was not run, or has nothing to check."""

from __future__ import annotations


class CheckFailed(Exception):
    """Say what was seen and what was expected, on one line."""


class NotRun(Exception):
    """Say what failed before, on which this check stands too."""


class NotOffered(Exception):
    """Say what the solution does not offer."""


def require(holds: bool, message: str) -> None:
    """Raise `CheckFailed` with the message unless the condition holds."""
    if not holds:
        raise CheckFailed(message)
