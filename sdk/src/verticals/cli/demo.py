"""`verticals demo`: the whole way in one command, on real data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from verticals.cli.output import json_option, print_json, progress_printer, say
from verticals.errors import CallError


@click.command("demo")
@click.option("--out", default="demo-output", show_default=True, type=click.Path(path_type=Path))
@click.option("--solution", default="credit-scoring", show_default=True)
@click.option("--epsilon", type=float, default=3.0, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
def demo_command(out: Path, solution: str, epsilon: float, seed: int, as_json: bool) -> None:
    """Train with differential privacy on real data, audit, and write a report.

    Exits with 0 when the whole way was walked, whatever the findings say: they are the point.
    """
    from verticals.api import train
    from verticals.cli.main import outside_command
    from verticals.cli.training import show_result

    audit, report = (outside_command(name) for name in ("audit", "report"))
    if audit is None or report is None:
        raise CallError("the demo needs the commands audit and report", hint="pip check")
    if out.exists() and any(out.iterdir()) and not (out / "model" / "bundle.json").is_file():
        raise CallError(
            f"{out} exists and is no earlier demo", hint="verticals demo --out another-folder"
        )
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    bundle, folder, page = out / "model", out / "audit", out / "report.html"
    say(f"1/3  training {solution} with ε = {epsilon:g}")
    result = train(solution, out=bundle, epsilon=epsilon, seed=seed, progress=progress_printer())
    if not as_json:
        show_result(result)
    say("2/3  auditing the held-out evidence")
    code = _run(audit, [str(bundle), "--out", str(folder)], quiet=as_json)
    say("3/3  writing the report")
    _run(report, [str(folder), "--out", str(page), "--profile", "eu-ai-act"], quiet=as_json)
    findings = json.loads((folder / "audit.json").read_text(encoding="utf-8"))["findings"]
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding["status"]] = counts.get(finding["status"], 0) + 1
    if as_json:
        print_json(
            {
                "bundle": str(bundle),
                "audit": str(folder),
                "report": str(page),
                "findings": counts,
                "audit_exit_code": code,
            }
        )
        return
    click.echo("findings  " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    click.echo(f"open {page} in a browser")
    click.echo(f"next: verticals verify {folder} --bundle {bundle}")


def _run(command: click.Command, arguments: list[str], *, quiet: bool) -> int:
    """Call an outside command as the shell would, and return its exit code."""
    import contextlib
    import io

    sink = io.StringIO() if quiet else None
    with contextlib.redirect_stdout(sink) if sink is not None else contextlib.nullcontext():
        try:
            code = command.main(args=arguments, prog_name="verticals", standalone_mode=False)
        except click.exceptions.Exit as stop:
            return stop.exit_code
    return code if isinstance(code, int) else 0
