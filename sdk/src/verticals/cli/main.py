"""The command group: own commands, outside commands found by entry point, one error path."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import TracebackType
from typing import Any

import click

from verticals.cli.output import WRONG, report_error
from verticals.errors import CallError, PluginError, VerticalsError

# command -> (module, attribute, help). A module is imported when its command is called.
_OWN = {
    "list": ("catalog", "list_command", "List installed solutions, versions and problems."),
    "describe": ("catalog", "describe_command", "Show what a solution needs, does and offers."),
    "contract": ("contracts", "contract_group", "Draft or check a data contract."),
    "train": ("training", "train_command", "Train a solution to a bundle with its evidence."),
    "predict": ("scoring", "predict_command", "Score a file, with reasons if asked."),
    "explain": ("scoring", "explain_command", "Write what each field added to each score."),
    "evidence": ("scoring", "evidence_command", "Measure a bundle on new labelled data."),
    "decision": ("oversight", "decision_group", "Record human decisions, appeals and answers."),
    "verify": ("trust", "verify_command", "Verify a bundle, or recompute an audit."),
    "sign": ("trust", "sign_command", "Sign a bundle with an Ed25519 key."),
    "keys": ("trust", "keys_group", "Make a pair of signing keys."),
    "new": ("authoring", "new_command", "Write a new plugin that passes its own tests."),
    "check": ("authoring", "check_command", "Run the conformance checks on a solution."),
    "demo": ("demo", "demo_command", "Train, audit and report on real data, in one go."),
    "completion": ("authoring", "completion_command", "Print a shell completion script."),
}

# Outside commands that belong to the product: where they are missing, say what to install.
_OUTSIDE = {"audit": "verticals-compliance", "report": "verticals-compliance"}
_HIDDEN = frozenset({"verify-audit"})


class _Commands(click.Group):
    """Find commands by name without importing the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return own commands in the order of a day's work, then outside ones."""
        from verticals.registry import commands

        outside = [name for name in sorted(commands()) if name not in _OWN and name not in _HIDDEN]
        return [*_OWN, *outside]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name in _OWN:
            module, attribute, _ = _OWN[cmd_name]
            loaded = getattr(import_module(f"verticals.cli.{module}"), attribute)
            return loaded if isinstance(loaded, click.Command) else None
        return outside_command(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from their one-line helps, importing none of them."""
        rows = [
            (name, _OWN[name][2] if name in _OWN else _outside_help(name))
            for name in self.list_commands(ctx)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _outside_help(name: str) -> str:
    known = {
        "audit": "Turn evidence into findings under a policy (needs no torch).",
        "report": "Render an audit for people: HTML, Markdown or JSON.",
    }
    return known.get(name, "From an installed package.")


def outside_command(name: str) -> click.Command | None:
    """Load a command that another distribution offers; None if nobody does.

    Raises `CallError` with a hint where the product's own compliance commands are not installed,
    and `PluginError` where the command cannot be imported.
    """
    from verticals.registry import commands, load_command

    entry = commands().get(name)
    if entry is None:
        if name in _OUTSIDE:
            raise CallError(
                f"command {name!r} is not installed",
                hint=f"pip install {_OUTSIDE[name]}",
            )
        return None
    loaded = load_command(entry)
    return loaded if isinstance(loaded, click.Command) else None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=False,
)
@click.version_option(package_name="verticals-sdk", prog_name="verticals")
def cli() -> None:
    """Regulated machine learning that people can trust.

    Train a vertical's model with differential privacy, explain and audit it, and hand over a
    report in which every number can be recomputed.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a finding failed, 2 wrong input, 3 inconclusive."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in given
    try:
        code: Any = cli.main(args=given, prog_name="verticals", standalone_mode=False)
    except VerticalsError as error:
        if isinstance(error, PluginError) and error.__cause__ and _traceback_wanted():
            raise
        report_error(error, as_json=as_json)
        return WRONG
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return WRONG
    except click.UsageError as error:
        report_error(_usage(error), as_json=as_json)
        return WRONG
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, click.Abort):
        report_error(CallError("stopped by the user"), as_json=as_json)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and _is_from_click(error):
            raise
        if _traceback_wanted():
            raise error if isinstance(error, Exception) else RuntimeError("SystemExit") from error
        report_error(_fault(error), as_json=as_json)
        return WRONG
    return code if isinstance(code, int) else 0


def _usage(error: click.UsageError) -> CallError:
    command = error.ctx.command_path if error.ctx is not None else "verticals"
    return CallError(error.format_message(), hint=f"{command} --help")


def _traceback_wanted() -> bool:
    return bool(os.environ.get("VERTICALS_TRACEBACK"))


def _is_from_click(error: SystemExit) -> bool:
    """Tell whether click itself ends the process, as it does for shell completion."""
    where = _innermost(error)
    name = "" if where is None else str(where.tb_frame.f_globals.get("__name__", ""))
    return name.partition(".")[0] == "click"


def _innermost(error: BaseException) -> TracebackType | None:
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    return where


def _fault(error: BaseException) -> CallError:
    """Name the place of an unexpected exception, but never its text, which may hold data."""
    where = _innermost(error)
    place = "unknown place"
    if where is not None:
        code = where.tb_frame.f_code
        place = f"{os.path.basename(code.co_filename)}:{where.tb_lineno} in {code.co_name}"
    return CallError(
        f"internal fault: {type(error).__name__} at {place}",
        hint="this is a bug; run again with VERTICALS_TRACEBACK=1 to see it",
    )
