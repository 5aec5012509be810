"""`verticals train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verticals.cli.output import (
    device_option,
    encoding_option,
    json_option,
    key_option,
    parse_options,
    parse_resources,
    print_json,
    progress_printer,
    read_key,
    resource_option,
    say,
    skip_bad_option,
)
from verticals.errors import CallError

if TYPE_CHECKING:
    from verticals.api import TrainingResult
    from verticals.data import Shares


@click.command("train")
@click.argument("solution")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The bundle's folder.")
@click.option("--epsilon", type=float, help="Train privately and spend at most this.")
@click.option("--delta", type=float, help="Default: 1/n, rounded down to a power of ten.")
@click.option("--no-privacy", is_flag=True, help="Train without differential privacy.")
@click.option(
    "--max-grad-norm", type=float, default=1.0, show_default=True, help="Clipping, per unit."
)
@click.option("--contract", type=click.Path(path_type=Path), help="The data contract (YAML).")
@click.option("--data", type=click.Path(path_type=Path), help="CSV, Parquet or Arrow file.")
@click.option("--seed", type=int, default=0, show_default=True, help="Split and initial weights.")
@device_option
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="See `describe`.")
@click.option("--shares", help="Shares of train,validate,calibrate,test, for example .6,.1,.1,.2")
@click.option(
    "--random-split",
    count=True,
    help="Split at random although the contract has a time; give it twice if you mean it.",
)
@skip_bad_option
@resource_option
@click.option("--sign", type=click.Path(path_type=Path), help="A private key to sign with.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint of a killed training.")
@click.option("--ledger", type=click.Path(path_type=Path), help="Append this training to a ledger.")
@key_option
@encoding_option
@json_option
def train_command(
    solution: str,
    out: Path,
    key_file: Path | None,
    options: tuple[str, ...],
    resources: tuple[str, ...],
    shares: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train SOLUTION on your data, or on its own demo data where none are given."""
    from verticals.api import train

    result = train(
        solution,
        out=out,
        key=read_key(key_file),
        options=parse_options(options),
        resources=parse_resources(resources),
        shares=_shares(shares),
        progress=progress_printer(),
        **settings,
    )
    if as_json:
        print_json(result_document(result))
        return
    show_result(result)
    click.echo(f"next: verticals audit {result.bundle} --out {result.bundle}.audit")


def show_result(result: TrainingResult) -> None:
    """Print what a training left behind."""
    for note in result.notes:
        say(f"note: {note}")
    rows = ", ".join(f"{name} {count}" for name, count in result.rows.items())
    click.echo(f"bundle    {result.bundle}  {result.digest}")
    click.echo(f"evidence  {result.evidence}  {result.evidence_digest}")
    click.echo(f"rows      {rows}")
    if result.privacy is None:
        click.echo("privacy   none: the bundle shows its training rows without any bound")
        return
    click.echo(
        f"privacy   ε = {result.privacy['epsilon']:.4g}, δ = {result.privacy['delta']:.2g}, "
        f"one unit = one {result.privacy['unit']}, {result.privacy['units']} units"
    )


def result_document(result: TrainingResult) -> dict[str, Any]:
    """Return a training result as JSON."""
    return {
        "bundle": str(result.bundle),
        "digest": result.digest,
        "evidence": str(result.evidence),
        "evidence_digest": result.evidence_digest,
        "rows": dict(result.rows),
        "privacy": result.privacy,
        "notes": list(result.notes),
    }


def _shares(text: str | None) -> Shares | None:
    if text is None:
        return None
    from verticals.data import Shares

    try:
        train, validate, calibrate, test = (float(part) for part in text.split(","))
    except ValueError:
        raise CallError(
            f"--shares {text!r} is not four numbers, expected train,validate,calibrate,test",
            hint="--shares .6,.1,.1,.2",
        ) from None
    return Shares(train=train, validate=validate, calibrate=calibrate, test=test)
