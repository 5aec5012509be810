"""`verticals new`, `check` and `completion`: for the people who write plugins."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from verticals.cli.output import FAILED, OK, json_option, print_json, table_lines


@click.command("new")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="The folder; default: the name.")
@json_option
def new_command(name: str, out: Path | None, as_json: bool) -> None:
    """Write a plugin NAME (for example acme-churn) that installs and passes its tests."""
    from verticals.testing.scaffold import scaffold

    target = out or Path(name)
    written = scaffold(name, target)
    if as_json:
        print_json({"folder": str(target), "files": [str(path) for path in written]})
        return
    for path in written:
        click.echo(f"wrote {path}")
    click.echo(f"next: pip install -e {target} && verticals check {name}")


@click.command("check")
@click.argument("solution")
@click.option("--only", multiple=True, help="Run only the named check; may be repeated.")
@json_option
def check_command(solution: str, only: tuple[str, ...], as_json: bool) -> int:
    """Run the conformance checks on SOLUTION and print them as a table."""
    from verticals.testing.conformance import run_checks

    results = run_checks(solution, only=only)
    failed = sum(result.status == "failed" for result in results)
    if as_json:
        print_json(
            {
                "solution": solution,
                "checks": [dataclasses.asdict(result) for result in results],
                "failed": failed,
            }
        )
        return FAILED if failed else OK
    rows = [(result.name, result.status, result.message) for result in results]
    click.echo("\n".join(table_lines(("CHECK", "RESULT", "DETAIL"), rows)))
    counts = [
        f"{sum(result.status == status for result in results)} {status}"
        for status in ("passed", "failed", "not run", "not offered")
    ]
    click.echo(", ".join(counts))
    return FAILED if failed else OK


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print a completion script, for example: eval "$(verticals completion bash)"."""
    from click.shell_completion import get_completion_class

    from verticals.cli.main import cli

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(cli, {}, "verticals", "_VERTICALS_COMPLETE").source())
