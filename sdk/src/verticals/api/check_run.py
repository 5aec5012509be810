"""Run the audit checks of plugins on evidence, each on its own, for the producer's record."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from verticals import registry
from verticals.api.guard import place_of
from verticals.api.vertical import Vertical
from verticals.errors import VerticalsError
from verticals.evidence import EvidenceInfo, Measurement
from verticals.plugin import AuditCheckInfo
from verticals.registry import Found
from verticals.table import Table

_TEXTS = ("check", "output", "attribute", "group", "subject", "method")
_NUMBERS = ("estimate", "lower", "upper")


def plugin_checks(
    vertical: Vertical, tables: Mapping[str, Table], info: EvidenceInfo
) -> list[Measurement]:
    """Return the measurements of every check whose tables are there.

    Those are the checks of the solution's own distribution, and general ones: those of a
    distribution that offers no solution. A check that cannot be loaded, raises, or gives what is
    no measurement is set down as not measurable, with its distribution and the kind of fault: one
    package's fault stops no other's training, and the text of an error may quote rows.
    """
    installed = registry.discover()
    others = {found.distribution for found in installed.solutions} - {vertical.distribution}
    measured: list[Measurement] = []
    for found in installed.checks:
        if found.distribution in others or any(n not in tables for n in found.info.needs):
            continue
        if found.info.solutions and vertical.info.name not in found.info.solutions:
            continue
        measured += _measured(found, tables, info)
    return measured


def _measured(
    found: Found[AuditCheckInfo], tables: Mapping[str, Table], info: EvidenceInfo
) -> list[Measurement]:
    name, of = found.info.name, found.distribution
    try:
        check = registry.load_check(found)
    except VerticalsError as error:
        return [_not_measurable(name, f"failed: {error.message}")]
    try:
        given = list(check(tables, info))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, and a panic in a compiled extension, are no more
        place = place_of(error, found.info.target)
        told = f"failed: the check of {of} raised {type(error).__name__} at {place}"
        return [_not_measurable(name, told)]
    fault = next(filter(None, (_fault(item, name) for item in given)), "")
    if fault:
        return [_not_measurable(name, f"failed: the check of {of} gave {fault}")]
    return given


def _fault(item: object, name: str) -> str:
    """Say why what a check of that name gave is no measurement of it; empty if it is one."""
    if not isinstance(item, Measurement):
        return f"{type(item).__name__}, expected Measurement"
    for key in _TEXTS:
        if not isinstance(getattr(item, key), str):
            return f"a {key} that is no text"
    for key in _NUMBERS:
        value = getattr(item, key)
        if value is not None and not isinstance(value, int | float | np.number):
            return f"a {key} that is no number"
    if not isinstance(item.n, int | np.integer):
        return "a count n that is no whole number"
    if item.check.partition(".")[0] != name.partition(".")[0]:
        return "rows in the name of another check"
    return ""


def _not_measurable(name: str, method: str) -> Measurement:
    return Measurement(check=name, estimate=None, method=method)
