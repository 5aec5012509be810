"""`verticals simulate-payments`: data and a contract to try fraud detection on."""

from __future__ import annotations

from pathlib import Path

import click

from verticals.cli.output import json_option, print_json


@click.command("simulate-payments")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="CSV or Parquet.")
@click.option("--contract", type=click.Path(path_type=Path), help="Write the contract, too.")
@click.option("--customers", default=4_000, show_default=True, type=click.IntRange(1))
@click.option("--terminals", default=1_000, show_default=True, type=click.IntRange(10))
@click.option("--days", default=75, show_default=True, type=click.IntRange(1))
@click.option("--rate", default=0.17, show_default=True, help="Payments of a customer in a day.")
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0))
@json_option
def simulate_payments(
    out: Path,
    contract: Path | None,
    customers: int,
    terminals: int,
    days: int,
    rate: float,
    seed: int,
    as_json: bool,
) -> None:
    """Write SIMULATED card payments, about 1 % of them fraudulent: no person's data.

    With the defaults they are the demo's own. The planted pattern of each fraud is left out.
    """
    from importlib.resources import files

    from verticals.data import write_table
    from verticals.files import write_file
    from verticals_fraud_detection.simulate import simulate

    table = simulate(customers, terminals, days, seed, rate=rate).without(["pattern"])
    write_table(out, table)
    if contract is not None:
        text = files(__package__).joinpath("payments.yaml").read_bytes()
        write_file(contract, text, what=f"contract {str(contract)!r}")
    if as_json:
        print_json({"out": str(out), "rows": table.rows, "columns": list(table)})
        return
    click.echo(f"wrote {out}: {table.rows} simulated payments, {int(table['fraud'].sum())} frauds")
