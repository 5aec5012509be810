"""What discovery returns, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from verticals.plugin import AuditCheckInfo, ReportFormatInfo, SolutionInfo

Info = SolutionInfo | AuditCheckInfo | ReportFormatInfo
InfoT = TypeVar("InfoT", bound=Info)


@dataclass(frozen=True, kw_only=True)
class Found(Generic[InfoT]):
    """Hold one description, and which distribution gave it."""

    info: InfoT
    distribution: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Say what is wrong with an installed plugin, and what to do.

    `name` is the solution, check, format or command where one can be named, else the entry point.
    `served` tells that what the plugin offers is served all the same.
    """

    distribution: str
    name: str
    message: str
    hint: str
    served: bool = False


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Hold everything that is installed, each part sorted by name."""

    solutions: tuple[Found[SolutionInfo], ...] = ()
    checks: tuple[Found[AuditCheckInfo], ...] = ()
    report_formats: tuple[Found[ReportFormatInfo], ...] = ()
    problems: tuple[Problem, ...] = ()
