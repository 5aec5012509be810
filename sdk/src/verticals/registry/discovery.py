"""Read the descriptions of every installed plugin, each on its own."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

import pluggy

from verticals import plugin
from verticals.errors import PluginError
from verticals.plugin import (
    ENTRY_POINT_GROUP,
    AuditCheckInfo,
    ReportFormatInfo,
    SolutionInfo,
)
from verticals.registry.loading import HOOKS, module_of, reported
from verticals.registry.model import Found, Info, InfoT, Problem, Registry
from verticals.registry.rules import version_violation, violations

COMMANDS_GROUP = "verticals.commands"

#: Packages that no description needs. A plugin that imports one makes every command slow.
HEAVY_PACKAGES = frozenset(
    {
        "fairlearn",
        "opacus",
        "pandas",
        "polars",
        "shap",
        "sklearn",
        "torch",
        "torchvision",
        "transformers",
    }
)

_KINDS: Mapping[str, type[Info]] = dict(
    zip(HOOKS, (SolutionInfo, AuditCheckInfo, ReportFormatInfo), strict=True)
)
_ENTRY = re.compile(r"[^\W\d][\w.]*(:[^\W\d][\w.]*)?(\s*\[.*\])?")


def discover() -> Registry:
    """Read the descriptions of every installed plugin.

    A plugin whose import or hooks fail offers nothing; a description that is wrong takes only
    itself down. A name that two plugins claim is served for neither, so that no installed package
    can take another one's name over. Each of these is a problem, with a hint. A plugin that pulls
    a heavy package in is served, and named: whether a solution can be used must not hang on what
    else the process has imported.
    """
    entries, problems = _entry_points()
    offered: list[Found[Any]] = []
    for entry in entries:
        if entry.group == ENTRY_POINT_GROUP:
            found, wrong = _read_plugin(entry)
            offered += found
            problems += wrong
    solutions, taken = _unclaimed("solution", SolutionInfo, offered)
    checks, taken_checks = _unclaimed("audit check", AuditCheckInfo, offered)
    formats, taken_formats = _unclaimed("report format", ReportFormatInfo, offered)
    _, taken_commands = _split_commands(entries)
    problems += [*taken, *taken_checks, *taken_formats, *taken_commands]
    return Registry(
        solutions=solutions,
        checks=checks,
        report_formats=formats,
        problems=tuple(sorted(problems, key=lambda item: (item.distribution, item.name))),
    )


def find(registry: Registry, name: str) -> Found[SolutionInfo]:
    """Return the solution of that name.

    Raises `PluginError`: with its problem where the solution is installed but not served, else
    with the names that come nearest.
    """
    for found in registry.solutions:
        if found.info.name == name:
            return found
    refuse_unserved(registry, name)
    names = sorted(found.info.name for found in registry.solutions)
    near = difflib.get_close_matches(name, names, n=3)
    known = near or names
    expected = f"expected {' or '.join(known)}" if known else "nor is any other"
    broken = sorted({item.distribution for item in registry.problems if not item.served})
    hint = "verticals list"
    if broken and not near:  # else the name is misspelt
        hint += f"; not served is what {', '.join(broken)} offers"
    raise PluginError(f"solution {name!r} is not installed, {expected}", hint=hint)


def refuse_unserved(registry: Registry, name: str, distribution: str = "") -> None:
    """Raise `PluginError` with its problem where a solution is installed and not served.

    A plugin that cannot be read does not say what it offers: it is known by its entry point, by
    `distribution` where the caller knows whose the solution is, or by a distribution of the
    solution's own name.
    """
    unserved = [item for item in registry.problems if not item.served]
    alike = {_normal(name), _normal(f"verticals-{name}"), _normal(distribution)} - {""}
    exact = [item for item in unserved if item.name == name]
    for problem in exact or [item for item in unserved if _normal(item.distribution) in alike]:
        raise PluginError(
            f"solution {name!r} of {problem.distribution} is not served: {problem.message}",
            hint=problem.hint,
        )


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def commands() -> Mapping[str, metadata.EntryPoint]:
    """Return the outside commands by name, none of them loaded.

    A name that two distributions claim is left out; `discover` reports it.
    """
    return _split_commands(_entry_points()[0])[0]


def _entry_points() -> tuple[list[metadata.EntryPoint], list[Problem]]:
    """Return the entry points of our two groups, by distribution and name.

    Unlike `metadata.entry_points` this survives a distribution whose metadata are damaged.
    """
    entries: dict[str, list[metadata.EntryPoint]] = {}
    problems: list[Problem] = []
    for distribution in metadata.distributions():
        try:
            with reported("its metadata cannot be read", "", ""):
                name, ours = _entry_points_of(distribution)
        except PluginError as error:
            place = f"a distribution in {distribution.locate_file('')}"
            hint = "pip check, and install again what it names"
            problems.append(Problem(distribution=place, name="", message=error.message, hint=hint))
            continue
        # The first on the path shadows the others, as it does for imports.
        entries.setdefault(name, ours)
    return [entry for name in sorted(entries) for entry in entries[name]], problems


def _entry_points_of(
    distribution: metadata.Distribution,
) -> tuple[str, list[metadata.EntryPoint]]:
    """Return the distribution's normalized name and our entry points; parse no foreign file."""
    if "[verticals" not in (distribution.read_text("entry_points.txt") or ""):
        return "", []
    ours = [
        entry
        for entry in distribution.entry_points
        if entry.group in (ENTRY_POINT_GROUP, COMMANDS_GROUP)
    ]
    return _normal(distribution.name), sorted(ours, key=lambda entry: (entry.group, entry.name))


def _read_plugin(entry: metadata.EntryPoint) -> tuple[list[Found[Any]], list[Problem]]:
    """Return what one plugin offers, and what is wrong with it."""
    distribution, version = _owner(entry)
    heavy = HEAVY_PACKAGES & sys.modules.keys()
    found: list[Found[Any]] = []
    problems: list[Problem] = []

    def problem(name: str, message: str, hint: str, *, served: bool = False) -> None:
        problems.append(
            Problem(distribution=distribution, name=name, message=message, hint=hint, served=served)
        )

    try:
        with reported("fails while it is read", module_of(entry), distribution):
            for info in list(_call_hooks(entry)):
                wrong = _what_is_wrong(info, distribution)
                if wrong is None:
                    found.append(Found(info=info, distribution=distribution, version=version))
                else:
                    problem(str(info.name), *wrong)
    except PluginError as error:
        problem(entry.name, error.message, error.hint)
        return [], problems
    pulled = ", ".join(sorted((HEAVY_PACKAGES & sys.modules.keys()) - heavy))
    if pulled:
        problem(
            entry.name,
            f"its description imports {pulled}, which slows every command",
            f"import {pulled} only in the module that the target names",
            served=True,
        )
    return found, problems


def _what_is_wrong(info: Info, distribution: str) -> tuple[str, str] | None:
    """Return message and hint where a description may not be served."""
    outdated = version_violation(info, distribution)
    if outdated is not None:
        return outdated
    wrong = violations(info)
    if wrong:
        return "; ".join(wrong), f"correct {type(info).__name__} in {distribution}"
    return None


def _call_hooks(entry: metadata.EntryPoint) -> Iterable[Info]:
    """Yield what the hooks of one plugin return, called through a manager of its own."""
    if not _ENTRY.fullmatch(entry.value):
        raise PluginError(
            f"entry point {entry.value!r} is not of the form package.module",
            hint="correct [project.entry-points.verticals] in its pyproject.toml",
        )
    module = entry.load()
    manager = pluggy.PluginManager("verticals")
    manager.add_hookspecs(plugin)
    manager.register(module)
    manager.check_pending()
    _refuse_unmarked(module, manager)
    for hook, kind in _KINDS.items():
        caller = getattr(manager.hook, hook)
        results = caller()
        if caller.get_hookimpls() and not results:
            raise PluginError(
                f"{hook} returned None, expected an iterable of {kind.__name__}",
                hint=f"return a list from {hook}",
            )
        for info in (info for result in results for info in result):
            if not isinstance(info, kind):
                raise PluginError(
                    f"{hook} returned {type(info).__name__}, expected {kind.__name__}",
                    hint=f"return a list of {kind.__name__} from {hook}",
                )
            yield info


def _refuse_unmarked(module: object, manager: pluggy.PluginManager) -> None:
    """Refuse a hook that lacks its decorator, which pluggy would pass over without a word."""
    marked = [hook for hook in HOOKS if getattr(manager.hook, hook).get_hookimpls()]
    unmarked = [hook for hook in HOOKS if hook not in marked and hasattr(module, hook)]
    if unmarked:
        raise PluginError(
            f"{', '.join(unmarked)} lacks the decorator @hookimpl",
            hint="from verticals.plugin import hookimpl",
        )
    if not marked:
        raise PluginError("it has no hook", hint=f"the hooks are {', '.join(HOOKS)}")


def _owner(entry: metadata.EntryPoint) -> tuple[str, str]:
    if entry.dist is None:
        return "", ""
    return entry.dist.name, entry.dist.version


def _unclaimed(
    what: str, kind: type[InfoT], offered: Iterable[Found[Any]]
) -> tuple[tuple[Found[InfoT], ...], list[Problem]]:
    """Return the descriptions whose name nobody else claims, and problems for the others."""
    by_name: dict[str, list[Found[InfoT]]] = {}
    for found in offered:
        if isinstance(found.info, kind):
            by_name.setdefault(found.info.name, []).append(found)
    served = tuple(by_name[name][0] for name in sorted(by_name) if len(by_name[name]) == 1)
    problems = [
        problem
        for name, claims in by_name.items()
        for problem in _claims(what, name, [found.distribution for found in claims])
    ]
    return served, problems


def _split_commands(
    entries: Iterable[metadata.EntryPoint],
) -> tuple[Mapping[str, metadata.EntryPoint], list[Problem]]:
    """Return the commands whose name nobody else claims, and problems for the others."""
    by_name: dict[str, list[metadata.EntryPoint]] = {}
    for entry in entries:
        if entry.group == COMMANDS_GROUP:
            by_name.setdefault(entry.name, []).append(entry)
    served = {name: claims[0] for name, claims in by_name.items() if len(claims) == 1}
    problems = [
        problem
        for name, claims in by_name.items()
        for problem in _claims("command", name, [_owner(entry)[0] for entry in claims])
    ]
    return served, problems


def _claims(what: str, name: str, distributions: Sequence[str]) -> Iterable[Problem]:
    """Yield a problem for each distribution where several claim one name."""
    claimants = sorted(set(distributions))
    if len(distributions) == 1:
        return
    for distribution in claimants:
        others = [other for other in claimants if other != distribution]
        if others:
            message = (
                f"{what} {name!r} is also offered by {', '.join(others)}; none is served, so that "
                "no package can take another one's name over"
            )
            hint = f"keep one: pip uninstall {' or '.join(claimants)}"
        else:
            message = f"{what} {name!r} is offered {len(distributions)} times; none is served"
            hint = f"correct the descriptions in {distribution}"
        yield Problem(distribution=distribution, name=name, message=message, hint=hint)
