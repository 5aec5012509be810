"""Conformance checks: what every vertical must hold to, each a plain function.

A check takes a `Subject` and returns nothing; it raises `CheckFailed` with one line that says
what was seen and expected, or `NotOffered` where the solution does not offer what is checked.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from verticals.api.guard import place_of
from verticals.errors import CallError, VerticalsError
from verticals.testing.data_checks import DATA_CHECKS
from verticals.testing.model_checks import MODEL_CHECKS
from verticals.testing.subject import Subject, make_subject
from verticals.testing.verdicts import CheckFailed, NotOffered, NotRun

Check = Callable[[Subject], None]

CHECKS: tuple[Check, ...] = (*DATA_CHECKS, *MODEL_CHECKS)


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """Say how one check went, and why: `passed`, `failed`, `not offered` or `not run`."""

    name: str
    status: str
    message: str = ""


def check_name(check: Check) -> str:
    """Return the name of a check as people write it: `scores-in-range`."""
    return check.__name__.removeprefix("check_").replace("_", "-")


def run_checks(solution: str, *, only: Sequence[str] = ()) -> tuple[CheckResult, ...]:
    """Run the conformance checks on an installed solution.

    Raises `PluginError` if it cannot be loaded, and `CallError` if `only` names no check.
    """
    known = [check_name(check) for check in CHECKS]
    for name in only:
        if name not in known:
            raise CallError(
                f"there is no check {name!r}, expected one of {', '.join(known)}",
                hint=f"verticals check {solution}",
            )
    chosen = [check for check in CHECKS if not only or check_name(check) in only]
    with tempfile.TemporaryDirectory(prefix="verticals-check-") as folder:
        subject = make_subject(solution, Path(folder))
        return tuple(run_check(check, subject) for check in chosen)


def run_check(check: Check, subject: Subject) -> CheckResult:
    """Run one check; an error of any kind is a failure of the solution, not of the run.

    What a plugin's code raises is told by its kind and place: its text may quote rows. A check
    that stands on what failed in an earlier one is `not run`.
    """
    name = check_name(check)
    try:
        check(subject)
    except NotOffered as reason:
        return CheckResult(name=name, status="not offered", message=str(reason))
    except NotRun as reason:
        return CheckResult(name=name, status="not run", message=f"{reason} failed, as said above")
    except CheckFailed as failure:
        return CheckResult(name=name, status="failed", message=str(failure))
    except VerticalsError as error:
        return CheckResult(name=name, status="failed", message=error.message)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also SystemExit: the other checks still run
        place = place_of(error, subject.vertical.info.target)
        message = f"raised {type(error).__name__} at {place}"
        return CheckResult(name=name, status="failed", message=message)
    return CheckResult(name=name, status="passed")
