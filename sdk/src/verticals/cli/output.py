"""What every command shares: options, JSON on stdout, tables, progress, errors and exit codes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from verticals.errors import CallError, DataError, VerticalsError

OK, FAILED, WRONG = 0, 1, 2

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout."
)
key_option = click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path),
    help="A file with a secret key for ids and the data's fingerprint (at least 16 bytes).",
)
encoding_option = click.option(
    "--encoding", help="Text encoding of a CSV file, for example gb18030."
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or mps."
)
skip_bad_option = click.option(
    "--skip-bad", is_flag=True, help="Go on without rows whose files cannot be used; list them."
)
data_option = click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="CSV, Parquet or Arrow file."
)


def print_json(document: Any) -> None:
    """Print one JSON document; NaN never occurs in it."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=str))


def say(text: str) -> None:
    """Tell a person how it goes, on stderr, so that stdout stays free for results."""
    click.echo(text, err=True)


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows as aligned text columns."""
    grid = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[place]) for row in grid) for place in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in grid
    ]


def read_key(path: Path | None) -> bytes | None:
    """Return the bytes of a key file; raise `DataError` if it is unreadable or too short."""
    if path is None:
        return None
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise DataError(
            f"key file {path}: {error.strerror or 'cannot be read'}",
            hint="head -c 32 /dev/urandom | base64 > data.key",
        ) from None
    if len(key) < 16:
        raise DataError(
            f"key file {path} holds {len(key)} bytes, expected at least 16",
            hint="head -c 32 /dev/urandom | base64 > data.key",
        )
    return key


resource_option = click.option(
    "--resource", "resources", multiple=True, metavar="NAME=DIR", help="Outside weights."
)


def parse_resources(pairs: Sequence[str]) -> dict[str, str]:
    """Turn NAME=DIR pairs into resources."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, sign, folder = pair.partition("=")
        if not sign or not name or not folder or name in found:
            raise CallError(
                f"--resource {pair!r} is not of the form NAME=DIR, or its name is given twice",
                hint="verticals describe SOLUTION",
            )
        found[name] = folder
    return found


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Turn NAME=VALUE pairs into options; values are JSON where they parse, else text."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or not name:
            raise CallError(
                f"--option {pair!r} is not of the form NAME=VALUE",
                hint="verticals describe SOLUTION",
            )
        if name in options:
            raise CallError(f"--option {name} is given twice", hint="leave one of them out")
        try:
            options[name] = json.loads(text)
        except ValueError:
            options[name] = text
    return options


def progress_printer() -> Callable[[str, int, int], None]:
    """Return a progress callback: one bar that redraws on a terminal, plain lines elsewhere."""
    terminal = sys.stderr.isatty()
    last = {"at": 0.0}

    def show(what: str, done: int, of: int) -> None:
        now = time.monotonic()
        finished = done >= of
        if not finished and now - last["at"] < (0.1 if terminal else 5.0):
            return
        last["at"] = now
        if not terminal:
            say(f"{what} {done}/{of}")
            return
        filled = int(30 * done / max(of, 1))
        bar = "█" * filled + "·" * (30 - filled)
        click.echo(f"\r{what} {bar} {done}/{of}", err=True, nl=finished)

    return show


def report_error(error: VerticalsError, *, as_json: bool) -> None:
    """Print `error:` and `hint:` lines on stderr and, with --json, the same on stdout."""
    violations = tuple(getattr(error, "violations", ()))
    say("error: " + " ".join(error.message.split()))
    for violation in violations[:20] if len(violations) > 1 else ():
        say("  - " + " ".join(violation.split()))
    if len(violations) > 20:
        say(f"  - … and {len(violations) - 20} more (see --json)")
    if error.hint:
        say("hint: " + " ".join(error.hint.split()))
    if as_json:
        document: Mapping[str, Any] = {
            "error": error.message,
            "kind": type(error).__name__,
            "hint": error.hint,
            "violations": list(violations),
        }
        print_json(document)
