"""`verticals contract draft` and `verticals contract check`."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verticals.cli.output import (
    data_option,
    encoding_option,
    json_option,
    print_json,
    say,
)
from verticals.errors import CallError, ContractError, PluginError

if TYPE_CHECKING:
    from verticals.api.vertical import Vertical
    from verticals.contract import Drafter

_HINT = "correct the data or the contract, then check again; the lines above say what and where"


@click.group("contract")
def contract_group() -> None:
    """Draft or check a data contract."""


@contract_group.command("draft")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--solution", default="", help="The solution the contract is for.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write it; else stdout.")
@encoding_option
@json_option
def draft_command(
    data: Path, solution: str, out: Path | None, encoding: str | None, as_json: bool
) -> None:
    """Propose a contract for DATA; a human reviews every value that was read from the data.

    With --solution it has the parts that the solution asks for, as far as names tell them.
    """
    from verticals.contract import draft_contract
    from verticals.data import read_table

    if out is not None and out.exists():
        raise CallError(f"{out} exists already", hint="choose another --out, or remove it first")
    loaded = read_table(data, encoding=encoding)
    refine, kinds = _drafter(solution) if solution else (None, frozenset[str]())
    drafted = partial(
        draft_contract,
        loaded.table,
        solution=solution,
        name=data.stem,
        source=data.name,
        target_kinds=kinds,
    )
    try:
        draft = drafted(refine=refine)
    except PluginError as error:
        say(f"note: {error}; the draft is the general one")
        draft = drafted()
    if out is not None:
        from verticals.files import write_file

        write_file(out, draft.text.encode("utf-8"), what=f"draft {out}")
    if as_json:
        print_json(
            {
                "contract": draft.text,
                "findings": list(draft.findings),
                "out": str(out) if out else None,
            }
        )
        return
    if out is None:
        click.echo(draft.text, nl=False)
    for note in loaded.notes:
        say(f"note: {note.text}")
    for finding in draft.findings:
        say(f"look at: {finding}")
    if out is not None:
        say(f"wrote {out}; review it, then: verticals contract check {out} --data {data}")


@contract_group.command("check")
@click.argument("contract", type=click.Path(path_type=Path))
@data_option
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="The other part of a split of yours: no group, id or image may stand in both.",
)
@encoding_option
@json_option
def check_command(
    contract: Path, data: Path, against: Path | None, encoding: str | None, as_json: bool
) -> None:
    """Hold DATA against CONTRACT: every violation with column, rows, value and expectation."""
    from verticals.api.acceptance import hold
    from verticals.api.check_notes import remarks
    from verticals.contract import read_contract, unreviewed
    from verticals.data import split_leaks

    given = read_contract(contract)
    vertical, told = _vertical(given.solution)
    try:
        held = hold(given, data, vertical=vertical, encoding=encoding)
        # Files are compared by their paths, so they are not read here.
        parts = [
            hold(given, part, vertical=None, encoding=encoding).bound.table
            for part in ((data, against) if against is not None else ())
        ]
    except ContractError as error:
        raise ContractError(
            str(error),
            hint=error.hint if "contract check" not in error.hint else _HINT,
            violations=error.violations,
        ) from error
    declared, bound, notes = held.contract, held.bound, (*held.notes, *remarks(held))
    if parts:
        leaks = split_leaks(parts[0], parts[1], declared)
        if leaks:
            raise ContractError(
                f"{data} and {against} are no split: {leaks[0]}",
                hint="move whole groups to one part, or give the data whole: `train` splits them",
                violations=leaks,
            )
    marks = unreviewed(declared)
    if as_json:
        print_json(
            {
                "contract": declared.name,
                "rows": bound.table.rows,
                "notes": [dataclasses.asdict(note) for note in notes],
                "unreviewed": list(marks),
            }
        )
        return
    for note in notes:
        say(f"note: {note.text}")
    if told:
        say(f"note: {told}")
    if marks:
        say(
            f"note: {len(marks)} value(s) were read from the data and are not reviewed: "
            f"{', '.join(marks)}; private training refuses them"
        )
    click.echo(
        f"{declared.name}: {bound.table.rows} rows fit the contract "
        f"({len(declared.inputs)} model fields, {len(declared.audited)} audited, "
        f"{len(declared.targets)} targets)"
    )


def _drafter(solution: str) -> tuple[Drafter | None, frozenset[str]]:
    """Return what refines a draft for a solution, and the kinds of target that it takes.

    Raises `PluginError` where the solution is not known.
    """
    from verticals.registry import discover, find, load_drafter

    found = find(discover(), solution)
    return load_drafter(found), found.info.target_kinds


def _vertical(solution: str) -> tuple[Vertical | None, str]:
    """Return the solution of a contract, or why its own rules cannot be checked here."""
    from verticals.api.vertical import load_vertical

    try:
        return load_vertical(solution), ""
    except PluginError as error:
        return None, f"{error}: what the solution itself asks of a contract was not checked"
