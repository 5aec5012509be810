"""Find what is installed: solutions, audit checks, report formats, commands, and what is wrong.

Discovery reads descriptions and imports no model code. Every plugin is read on its own: whatever
it does wrong becomes a `Problem` with a hint, and the others go on working. Nothing is kept
between calls: `discover` returns a frozen value.
"""

from __future__ import annotations

from verticals.registry.discovery import (
    HEAVY_PACKAGES,
    commands,
    discover,
    find,
    refuse_unserved,
)
from verticals.registry.loading import (
    load,
    load_check,
    load_command,
    load_drafter,
    load_report_format,
    load_target,
)
from verticals.registry.model import Found, Problem, Registry

__all__ = [
    "HEAVY_PACKAGES",
    "Found",
    "Problem",
    "Registry",
    "commands",
    "discover",
    "find",
    "load",
    "load_check",
    "load_command",
    "load_drafter",
    "load_report_format",
    "load_target",
    "refuse_unserved",
]
