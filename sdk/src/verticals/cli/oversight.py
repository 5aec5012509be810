"""`verticals decision`: override, appeal, resolve, list and apply."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verticals.cli.output import (
    encoding_option,
    json_option,
    print_json,
    read_key,
    say,
    table_lines,
)
from verticals.errors import CallError

if TYPE_CHECKING:
    from verticals.bundle import Bundle
    from verticals.chain import Record
    from verticals.oversight import Cell, Subject, TargetSummary

HIDDEN = "suppressed"

_bundle = click.argument("bundle", type=click.Path(path_type=Path))
_record = click.option(
    "--record", required=True, type=click.Path(path_type=Path), help="The record of decisions."
)
_key = click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(path_type=Path),
    help="A file with the secret key under which ids are hashed (at least 16 bytes).",
)
_id = click.option("--id", "person", required=True, help="The person's id; - reads it from stdin.")
_target = click.option("--target", default="", help="Default: that of the decision, or the only.")
_reason = click.option("--reason", required=True, help="Why, in words; - reads it from stdin.")
_machine = click.option("--machine", help="What the machine said, where no file says it.")
_scored = click.option(
    "--scored",
    type=click.Path(path_type=Path),
    help="The file that `predict` wrote: the person must be in it, and it says the decision.",
)


@click.group("decision")
def decision_group() -> None:
    """Record human decisions about scored persons, appeals and their answers."""


def _about_one(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command about one person takes."""
    for option in (json_option, _reason, _target, _id, _key, _record, _bundle):
        command = option(command)
    return command


@decision_group.command("override", short_help="Enter a human decision and its reason.")
@_about_one
@click.option("--human", required=True, help="What is decided: a value of the target.")
@click.option("--by", required=True, help="Who decides: a role or a name.")
@_scored
@_machine
@encoding_option
def override_command(
    bundle: Path,
    record: Path,
    key_file: Path,
    person: str,
    target: str,
    reason: str,
    as_json: bool,
    human: str,
    by: str,
    scored: Path | None,
    machine: str | None,
    encoding: str | None,
) -> None:
    """Enter a human decision, with its reason, in place of the machine's (or confirming it)."""
    from verticals.oversight import override

    opened, person, reason, subject = _opened(bundle, key_file, person, reason, target)
    said = _said(opened, subject, person, machine, scored, encoding)
    done = override(record, subject, machine=said, human=human, reason=reason, by=by)
    _report(done, record, as_json, f"machine {said}, human {done.entry['human']}")


@decision_group.command("appeal", short_help="Enter that a decision is contested.")
@_about_one
@click.option("--by", default="the person", show_default=True, help="Who appeals: a role or name.")
@_scored
@_machine
@encoding_option
def appeal_command(
    bundle: Path,
    record: Path,
    key_file: Path,
    person: str,
    target: str,
    reason: str,
    as_json: bool,
    by: str,
    scored: Path | None,
    machine: str | None,
    encoding: str | None,
) -> None:
    """Enter that the decision about a person is contested; it stays open until resolved."""
    from verticals.oversight import appeal

    opened, person, reason, subject = _opened(bundle, key_file, person, reason, target)
    said = _said(opened, subject, person, machine, scored, encoding)
    done = appeal(record, subject, machine=said, reason=reason, by=by)
    _report(done, record, as_json, "open")
    if not as_json:
        click.echo(f"next: verticals decision resolve {bundle} --record {record} …")


@decision_group.command("resolve", short_help="Answer an open appeal.")
@_about_one
@click.option("--by", required=True, help="Who answers: a role or a name.")
@click.option("--upheld", is_flag=True, help="The decision that stands stays.")
@click.option("--changed", help="The new decision: a value of the target.")
def resolve_command(
    bundle: Path,
    record: Path,
    key_file: Path,
    person: str,
    target: str,
    reason: str,
    as_json: bool,
    by: str,
    upheld: bool,
    changed: str | None,
) -> None:
    """Answer a person's open appeal: the decision is upheld, or changed to another value."""
    from verticals.oversight import resolve

    if upheld == (changed is not None):
        raise CallError(
            f"{'both' if upheld else 'neither'} of --upheld and --changed given, expected one",
            hint="--upheld, or --changed VALUE",
        )
    _, _, reason, subject = _opened(bundle, key_file, person, reason, target)
    done = resolve(record, subject, human=changed, reason=reason, by=by)
    _report(done, record, as_json, f"{done.entry['outcome']}, decision {done.entry['human']}")


@decision_group.command("list", short_help="Count decisions, or show one person's history.")
@_bundle
@_record
@click.option("--key", "key_file", type=click.Path(path_type=Path), help="Needed with --id.")
@click.option("--id", "person", help="Show what was entered of one person; - reads from stdin.")
@_target
@json_option
def list_command(
    bundle: Path,
    record: Path,
    key_file: Path | None,
    person: str | None,
    target: str,
    as_json: bool,
) -> None:
    """Count persons by decision and appeal or, with --id and --key, show one person's history."""
    from verticals.bundle import open_bundle
    from verticals.oversight import history, read, summarise

    if (person is None) != (key_file is None):
        raise CallError(
            "one of --id and --key is given, expected both or neither",
            hint="--id ID --key FILE shows one person; without them persons are counted",
        )
    if person is None or key_file is None:
        opened = open_bundle(bundle)
        counted = summarise(read(record), opened.contract, opened.digest)
        if as_json:
            print_json({"targets": [dataclasses.asdict(item) for item in counted]})
            return
        for item in counted:
            click.echo("\n".join(_counted(item)))
        return
    _, _, _, subject = _opened(bundle, key_file, person, "", target)
    entered = history(read(record), subject)
    if as_json:
        print_json({"records": [_shown(line) for line in entered]})
        return
    if not entered:
        click.echo("nothing is entered of this person")
    for line in entered:
        click.echo(_line(line))


@decision_group.command("apply", short_help="Write human decisions beside scores.")
@_bundle
@_record
@_key
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A scored file.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="CSV or Parquet.")
@encoding_option
@json_option
def apply_command(
    bundle: Path,
    record: Path,
    key_file: Path,
    data: Path,
    out: Path,
    encoding: str | None,
    as_json: bool,
) -> None:
    """Write a scored file again with human decisions beside it; the machine's columns stay."""
    from verticals.bundle import open_bundle
    from verticals.data import TableWriter, iter_tables
    from verticals.oversight import apply_to, read, standings
    from verticals.oversight.record import check_key, key_mark

    opened, key = open_bundle(bundle), _key_bytes(key_file)
    records = read(record)
    check_key(records, key_mark(key))
    standing = standings(records, opened.digest)
    # As text a cell of a CSV file comes back as it was written.
    text = iter_tables(data, encoding=encoding).names if data.suffix.lower() == ".csv" else ()
    rows, names = 0, [""]
    with TableWriter(out) as writer:
        for scored in iter_tables(
            data, text_columns=text or (opened.contract.id,), encoding=encoding
        ):
            decided = apply_to(scored, opened.contract, standing, key)
            writer.write(decided)
            rows, names = rows + decided.rows, list(decided)
    if as_json:
        print_json({"out": str(out), "rows": rows, "columns": names})
        return
    click.echo(f"wrote {out}: {rows} rows, columns {', '.join(names)}")


def _opened(
    bundle: Path, key_file: Path, person: str, reason: str, target: str
) -> tuple[Bundle, str, str, Subject]:
    """Open the bundle for its contract and hash the id; `-` stands for what stdin holds."""
    from verticals.bundle import open_bundle
    from verticals.oversight import Subject

    if person == "-" and reason == "-":
        raise CallError(
            "--id and --reason are both to be read from stdin, expected one of them at most",
            hint="give the reason as text",
        )
    person = sys.stdin.readline().strip() if person == "-" else person
    reason = sys.stdin.read() if reason == "-" else reason
    opened = open_bundle(bundle)
    subject = Subject.of(
        bundle=opened.digest,
        contract=opened.contract,
        person=person,
        key=_key_bytes(key_file),
        target=target,
    )
    return opened, person, reason, subject


def _key_bytes(path: Path) -> bytes:
    return read_key(path) or b""


def _said(
    bundle: Bundle,
    subject: Subject,
    person: str,
    machine: str | None,
    scored: Path | None,
    encoding: str | None,
) -> str:
    """Return what the machine said: from the scored file, which must hold the person, or given."""
    from verticals.data import read_table
    from verticals.oversight import machine_said

    if scored is None:
        if machine is None:
            raise CallError(
                "neither --scored nor --machine is given, so what the machine said is not known",
                hint="--scored FILE, as `verticals predict` wrote it",
            )
        return machine
    contract = bundle.contract
    table = read_table(scored, text_columns=(contract.id,), encoding=encoding).table
    return machine_said(table, contract, person, subject.target.name, given=machine)


def _report(done: Record, record: Path, as_json: bool, said: str) -> None:
    if as_json:
        print_json({"record": str(record), "digest": done.digest, **_shown(done)})
        return
    click.echo(f"{done.kind} entered in {record}: target {done.entry['target']}, {said}")
    click.echo(f"digest  {done.digest}  (keep the latest one elsewhere)")
    say("note: ids are hashed; reason and name stand in the record as written")


def _shown(record: Record) -> dict[str, Any]:
    """Return a record without its hashes of person and key, which nobody needs to see."""
    entry = {name: text for name, text in record.entry.items() if name not in ("person", "key")}
    return {"kind": record.kind, "at": record.at, **entry}


def _line(record: Record) -> str:
    entry = record.entry
    said = {
        "override": f"machine {entry['machine']}, human {entry.get('human')}",
        "appeal": f"of machine decision {entry['machine']}",
        "resolution": f"{entry.get('outcome')}, decision {entry.get('human')}",
    }[record.kind]
    # Further lines are set apart, so that none passes for a line of the history.
    reason = "\n    | ".join(str(entry["reason"]).splitlines())
    return f"{record.at}  {record.kind:10}  {said}  by {entry['by']}: {reason}"


def _counted(item: TargetSummary) -> list[str]:
    days = "" if item.median_days is None else f", median {item.median_days:g} days to an answer"
    return [
        f"target {item.target}, in persons (fewer than {item.min_cell} are not shown)",
        f"human decisions  {_persons(item.decided)}",
        *_rows(item.directions),
        f"appeals          {_persons(item.appealed)}{days}",
        *_rows(item.appeals),
    ]


def _rows(cells: tuple[Cell, ...]) -> list[str]:
    lines = table_lines(("", ""), [(f"  {cell.name}", _persons(cell.persons)) for cell in cells])
    return lines[1:]


def _persons(count: int | None) -> str:
    return HIDDEN if count is None else str(count)
