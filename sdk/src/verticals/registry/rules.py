"""What a description must look like before it is served.

A plugin is code from elsewhere, so the types that its descriptions claim are checked, not
believed: `needs=("scores")` is a text, and `offers="private"` seven letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from verticals.plugin import (
    ACCEPTED_TARGETS,
    API_VERSION,
    OFFERS,
    AuditCheckInfo,
    OptionInfo,
    ReportFormatInfo,
    SolutionInfo,
)
from verticals.registry.model import Info

TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_SOLUTION_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_CHECK_NAME = re.compile(r"[a-z][a-z0-9]*([-_.][a-z0-9]+)*")
_FORMAT_NAME = re.compile(r"[a-z0-9]+")
_SPOKEN = API_VERSION  # as it is when this is imported: a plugin that sets it changes nothing here
_SCALARS = (str, int, float, bool, type(None))


def supported_versions() -> tuple[int, ...]:
    """Return the versions of the plugin interface that this SDK speaks: this and the one before."""
    return tuple(version for version in (_SPOKEN - 1, _SPOKEN) if version > 0)


def version_violation(info: Info, distribution: str) -> tuple[str, str] | None:
    """Return message and hint where a solution speaks another version of the interface."""
    if not isinstance(info, SolutionInfo):
        return None
    supported = supported_versions()
    version = info.api_version
    if type(version) is int and version in supported:
        return None
    newer = type(version) is int and version > supported[-1]
    spoken = " or ".join(map(str, supported))
    return (
        f"api_version is {version!r}, this verticals-sdk speaks {spoken}",
        f"pip install --upgrade {'verticals-sdk' if newer else distribution}",
    )


def violations(info: Info) -> list[str]:
    """Return everything that is wrong with a description; empty where it may be served."""
    wrong: list[str] = []
    if not (isinstance(info.target, str) and TARGET.fullmatch(info.target)):
        wrong.append(f"target {info.target!r} is not of the form package.module:NAME")
    if not isinstance(info.summary, str):
        wrong.append(f"summary is {info.summary!r}, expected text")
    match info:
        case SolutionInfo():
            wrong += _name(info.name, _SOLUTION_NAME, "credit-scoring")
            wrong += _solution(info)
        case AuditCheckInfo():
            wrong += _name(info.name, _CHECK_NAME, "score-bands")
            wrong += _all_are("needs", info.needs, str)
            wrong += _all_are("rules", info.rules, Mapping)
            wrong += _all_are("solutions", info.solutions, str)
        case ReportFormatInfo():
            wrong += _name(info.name, _FORMAT_NAME, "html")
    return wrong


def _solution(info: SolutionInfo) -> Iterable[str]:
    if info.drafter != "" and not (
        isinstance(info.drafter, str) and TARGET.fullmatch(info.drafter)
    ):
        yield f"drafter {info.drafter!r} is not of the form package.module:NAME"
    for name in ("domain", "intended_use", "not_for"):
        if not isinstance(getattr(info, name), str):
            yield f"{name} is {getattr(info, name)!r}, expected text"
    if type(info.state_version) is not int or info.state_version < 1:
        yield f"state_version is {info.state_version!r}, expected a whole number from 1"
    yield from _all_are("readable_state_versions", info.readable_state_versions, int)
    yield from _all_are("requirements", info.requirements, str)
    if not isinstance(info.offers, frozenset | set):
        yield f"offers is {info.offers!r}, expected a frozenset"
    elif unknown := sorted(map(str, info.offers - OFFERS)):
        yield f"offers {', '.join(unknown)}, expected some of {', '.join(sorted(OFFERS))}"
    if not isinstance(info.target_kinds, frozenset | set):
        yield f"target_kinds is {info.target_kinds!r}, expected a frozenset"
    elif unknown := sorted(map(str, info.target_kinds - ACCEPTED_TARGETS)):
        some = ", ".join(sorted(ACCEPTED_TARGETS))
        yield f"target_kinds holds {', '.join(unknown)}, expected some of {some}"
    bad = list(_all_are("options", info.options, OptionInfo))
    yield from bad or _options(info.options)


def _options(options: tuple[OptionInfo, ...]) -> Iterable[str]:
    names = [option.name for option in options]
    for option in options:
        named = f"option {option.name!r}"
        if not isinstance(option.name, str):
            yield f"{named} has a name that is no text"
        if names.count(option.name) > 1:
            yield f"{named} is declared {names.count(option.name)} times"
        values = (option.default, option.private_default, *_listed(option.choices))
        odd = [value for value in values if not _is_plain(value)]
        if odd or not isinstance(option.choices, tuple | list):
            wrong = f"the value {odd[0]!r}" if odd else f"choices {option.choices!r}, no tuple"
            yield f"{named} has {wrong}, expected text, numbers, booleans, None, or tuples of them"
        elif option.choices:
            for default in dict.fromkeys((option.default, option.default_for(private=True))):
                if default not in option.choices:
                    yield f"{named} has the default {default!r}, no choice of it"


def _is_plain(value: object) -> bool:
    """Tell whether an option may have a value: nothing that a caller could change for others."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, _SCALARS)


def _listed(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, tuple | list) else ()


def _name(name: object, pattern: re.Pattern[str], example: str) -> Iterable[str]:
    if not (isinstance(name, str) and pattern.fullmatch(name)):
        yield f"name {name!r} is not of the form {example}"


def _all_are(what: str, values: Any, kind: type) -> Iterable[str]:
    if not isinstance(values, tuple | list):
        yield f"{what} is {values!r}, expected a tuple"
    elif not all(isinstance(value, kind) for value in values):
        yield f"{what} holds {values!r}, expected only {kind.__name__}"
