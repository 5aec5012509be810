"""`verticals contract draft` and `verticals contract check`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from verticals.cli.output import (
    data_option,
    encoding_option,
    json_option,
    print_json,
    say,
)
from verticals.errors import CallError


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
    """Propose a contract for DATA; a human reviews every value that was read from the data."""
    from verticals.contract import draft_contract
    from verticals.data import read_table

    if out is not None and out.exists():
        raise CallError(f"{out} exists already", hint="choose another --out, or remove it first")
    loaded = read_table(data, encoding=encoding)
    draft = draft_contract(loaded.table, solution=solution, name=data.stem, source=data.name)
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
@encoding_option
@json_option
def check_command(contract: Path, data: Path, encoding: str | None, as_json: bool) -> None:
    """Hold DATA against CONTRACT: every violation with column, rows, value and expectation."""
    from verticals.api.raw import text_columns
    from verticals.contract import bind, read_contract, resolve, unreviewed
    from verticals.data import read_table

    declared = read_contract(contract)
    loaded = read_table(data, text_columns=text_columns(declared), encoding=encoding)
    declared = resolve(declared, list(loaded.table))
    bound = bind(declared, loaded.table)
    marks = unreviewed(declared)
    notes = (*loaded.notes, *bound.notes)
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
