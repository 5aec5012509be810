"""Describe solutions and a check that are at fault; see `faulty_solutions`."""

from faulty_solutions_names import NAMES

from verticals.plugin import AuditCheckInfo, SolutionInfo, hookimpl


@hookimpl
def verticals_solutions():
    return [
        SolutionInfo(
            name=f"faulty-{name}",
            api_version=1,
            state_version=1,
            target=f"faulty_solutions:{name.replace('-', '_').upper()}",
            offers=frozenset({"private"}),
            summary="s",
            intended_use="i",
            not_for="n",
            requirements=("r",),
        )
        for name in NAMES
    ]


@hookimpl
def verticals_audit_checks():
    return [
        AuditCheckInfo(
            name=f"faulty.{name}",
            target=f"faulty_solutions:check_{name}",
            needs=("scores",),
            solutions=("faulty-none-at-all",),
        )
        for name in ("sound", "raises", "exits", "text", "foreign")
    ]
