"""Tell which sections of a report hold something, from the record and not from their titles.

A section without content still stands in a report and says that there is none. Such a section is
no evidence, and neither is a list of questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verticals_compliance.accounting import CONTRADICTS
from verticals_compliance.report.numerals import finite
from verticals_compliance.report.record import Json, Record, word


def held(record: Record) -> frozenset[str]:
    """Return the ids of the sections that hold a measurement or a declaration in this record."""
    found = {**_declared(record), **_measured(record)}
    return frozenset(name for name, content in found.items() if content)


def _declared(record: Record) -> Mapping[str, object]:
    contract, training = record.detail("contract"), record.detail("training")
    solution = record.detail("solution")
    return {
        "purpose": solution.get("intended_use") or solution.get("not_for"),
        "data": contract.get("fields"),
        "split": record.detail("split").get("rows"),
        "training": training.get("settings") or training.get("history"),
        "files": record.listed("files"),
        "recompute": word(record.one("bundle"), "digest"),
    }


def _measured(record: Record) -> Mapping[str, object]:
    privacy = record.one("privacy")
    # A noise seed that somebody knows voids the promise: the section then says that no ε holds.
    # So does a record that spends more than it states.
    void = (
        record.detail("privacy").get("unsafe_noise_seed") is not None
        or record.detail("accounting").get("status") == CONTRADICTS
    )
    attack = privacy.get("attack") or {}
    shapes = any(item.get("points") for item in record.listed("shapes"))
    findings = record.many("findings")
    return {
        "summary": findings,
        "audited": record.listed("groups"),
        "outside": record.listed("encoding"),
        "shift": any(finite(item.get("psi")) is not None for item in record.listed("distribution")),
        "privacy": finite(privacy.get("epsilon")) is not None and not void,
        "attack": any(finite(attack.get(key)) is not None for key in ("auc", "tpr")),
        "performance": any(map(_known, record.many("performance"))),
        "fairness": any(
            _known(row.get("disparity") or {}) or any(map(_known, row.get("groups") or ()))
            for row in record.many("fairness")
        ),
        "explanations": shapes or any(map(_explains, record.many("explanations"))),
        "shapes": shapes,
        "reasons": record.detail("reasons").get("fields"),
        "checks": any(map(_known, record.many("checks"))),
        "findings": any(item.get("status") != "not-measurable" for item in findings),
        "oversight": word(record.detail("oversight"), "head"),
        "maps": record.detail("maps"),
        "plots": record.detail("plots"),
    }


def _known(item: Json) -> bool:
    return finite(item.get("estimate")) is not None


def _explains(item: Json) -> bool:
    return any(finite(field.get("mean_abs")) is not None for field in item.get("global") or ())


@dataclass(frozen=True, kw_only=True)
class DomainCheck:
    """Hold what the checks of the domain measured under one name.

    `section` is the id of its part of the report; `attributes` are those by whose groups it was
    measured; `ruled` tells whether a rule of the policy limits it.
    """

    name: str
    section: str
    attributes: tuple[str, ...]
    ruled: bool


def domain_checks(record: Record) -> tuple[DomainCheck, ...]:
    """Return what the checks of the domain measured, those that a rule limits first.

    What could not be measured is left out.
    """
    limited = {
        rule.get("metric")
        for rule in record.detail("policy").get("rules") or ()
        if rule.get("section") == "checks"
    }
    items = record.many("checks")
    found = []
    # The section of the checks numbers its parts in the same order, unmeasured ones included.
    for at, name in enumerate(dict.fromkeys(word(item, "check") for item in items)):
        mine = [item for item in items if word(item, "check") == name and _known(item)]
        attributes = dict.fromkeys(word(item, "attribute") for item in mine)
        if mine:
            found.append(
                DomainCheck(
                    name=name,
                    section=f"check-{at}",
                    attributes=tuple(filter(None, attributes)),
                    ruled=name in limited,
                )
            )
    return tuple(sorted(found, key=lambda check: not check.ruled))
