"""Read profiles: a dated regulation as data.

A profile maps clauses to evidence and concludes nothing; it carries the version of the text and
the day on which it was read. The keys of its TOML are described in docs/reference/profiles.md.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from verticals.errors import AuditError
from verticals_compliance.report.record import clean

#: The sections that a clause may name as its evidence.
SECTIONS = frozenset(
    {
        "summary",
        "purpose",
        "data",
        "split",
        "audited",
        "outside",
        "shift",
        "training",
        "privacy",
        "files",
        "attack",
        "performance",
        "fairness",
        "explanations",
        "shapes",
        "reasons",
        "checks",
        "findings",
        "oversight",
        "judgement",
        "recompute",
        "maps",
        "plots",
    }
)
#: Beside sections, a clause may name the checks of the domain that compare groups.
GROUP_CHECKS = "group-checks"
_TEXTS = ("name", "title", "regulation", "version", "as_of", "scope")
_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Say which models a part of a profile speaks of, by what the record names.

    A model belongs to it by its domain (in lower case) or by its solution; where neither is named,
    every model does. `except_solutions` never do.
    """

    domains: tuple[str, ...] = ()
    solutions: tuple[str, ...] = ()
    except_solutions: tuple[str, ...] = ()

    def includes(self, solution: str, domain: str) -> bool:
        """Tell whether a model of that solution and domain belongs to it.

        >>> Audience(domains=("finance",)).includes("credit-scoring", "finance")
        True
        """
        if solution in self.except_solutions:
            return False
        everybody = not (self.domains or self.solutions)
        return everybody or domain.casefold() in self.domains or solution in self.solutions


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Hold a sentence on what the regulation applies to, and the models that it is said of."""

    text: str
    audience: Audience


@dataclass(frozen=True, kw_only=True)
class Clause:
    """Hold one clause: what it asks in our own words, the evidence, what only a person knows."""

    id: str
    reference: str  # as lawyers cite it: "Art. 10(2)(f)"
    title: str
    asks: str
    answered_by: tuple[str, ...]  # ids of sections, or GROUP_CHECKS
    checks: tuple[str, ...]  # patterns of names of checks of the domain: "*.psi_*"
    person: str
    audience: Audience


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Hold a regulation: which text, which version, read on which day, and its clauses.

    `audience` is what the whole profile was written for; of other models a report says so.
    """

    name: str
    title: str
    regulation: str
    version: str
    as_of: str
    scope: str
    audience: Audience
    scopes: tuple[Scope, ...]
    notes: tuple[str, ...]
    clauses: tuple[Clause, ...]


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that come with this package."""
    folder = files("verticals_compliance").joinpath("profiles")
    found = (item.name for item in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


def read_profile(name: str) -> Profile:
    """Read a profile by the name of one that comes with the package, or by a path to TOML.

    Raises `AuditError` if there is none, or if it is no profile.
    """
    hint = f"verticals report DIR --out report.html --profile {' | '.join(profile_names())}"
    if name in profile_names():
        folder = files("verticals_compliance").joinpath("profiles")
        return parse_profile(folder.joinpath(f"{name}.toml").read_text("utf-8"), source=name)
    if not name.endswith(".toml"):
        known = ", ".join(profile_names())
        raise AuditError(f"profile {name!r} is not known, expected one of {known}", hint=hint)
    try:
        return parse_profile(Path(name).read_text("utf-8"), source=name)
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"profile {name} cannot be read: {error}", hint=hint) from error


def parse_profile(text: str, *, source: str) -> Profile:
    """Parse the TOML of a profile; every clause must be complete and name known sections.

    Raises `AuditError` that names the first thing that is wrong.
    """
    try:
        data = clean(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise AuditError(f"profile {source} is no TOML: {error}") from error
    texts = {key: _string(data, key, source) for key in _TEXTS}
    if not _NAME.fullmatch(texts["name"]):
        raise AuditError(f"profile {source}: name {texts['name']!r}, expected a-z, 0-9 and hyphens")
    clauses, scopes = data.get("clauses"), data.get("scopes", [])
    if not isinstance(scopes, list):
        raise AuditError(f"profile {source}: scopes is {scopes!r}, expected [[scopes]]")
    if not isinstance(clauses, list) or not clauses:
        raise AuditError(f"profile {source}: no clauses, expected at least one [[clauses]]")
    parsed = tuple(_clause(item, f"{source}, clause {at + 1}") for at, item in enumerate(clauses))
    names = [clause.id for clause in parsed]
    for name in names:
        if names.count(name) > 1:
            raise AuditError(f"profile {source}: clause id {name!r} stands twice")
    return Profile(
        **texts,
        audience=_audience(data, source),
        scopes=tuple(_scope(item, f"{source}, scope {at + 1}") for at, item in enumerate(scopes)),
        notes=_strings(data, "notes", source),
        clauses=parsed,
    )


def _string(data: Mapping[str, Any], key: str, where: str) -> str:
    value = data.get(key)
    # TOML has dates of its own; they are welcome where a text is asked for.
    if value is not None and not isinstance(value, str | dict | list | bool | int | float):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise AuditError(f"profile {where}: {key} is {value!r}, expected text")
    return value.strip()


def _strings(data: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise AuditError(f"profile {where}: {key} is {value!r}, expected a list of texts")
    return tuple(value)


def _audience(data: Mapping[str, Any], where: str) -> Audience:
    return Audience(
        **{key: _strings(data, key, where) for key in ("domains", "solutions", "except_solutions")}
    )


def _scope(data: Any, where: str) -> Scope:
    if not isinstance(data, Mapping):
        raise AuditError(f"profile {where}: expected a table")
    return Scope(text=_string(data, "text", where), audience=_audience(data, where))


def _clause(data: Any, where: str) -> Clause:
    if not isinstance(data, Mapping):
        raise AuditError(f"profile {where}: expected a table")
    answered = _strings(data, "answered_by", where)
    known = SECTIONS | {GROUP_CHECKS}
    unknown = sorted(set(answered) - known)
    if unknown:
        told = ", ".join(sorted(known))
        raise AuditError(f"profile {where}: section {unknown[0]!r} is not known, expected {told}")
    return Clause(
        id=_string(data, "id", where),
        reference=_string(data, "reference", where),
        title=_string(data, "title", where),
        asks=_string(data, "asks", where),
        answered_by=answered,
        checks=_strings(data, "checks", where),
        person=_string(data, "person", where),
        audience=_audience(data, where),
    )
