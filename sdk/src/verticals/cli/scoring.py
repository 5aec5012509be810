"""`verticals predict`, `explain` and `evidence`."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from verticals.cli.output import (
    data_option,
    device_option,
    encoding_option,
    json_option,
    key_option,
    parse_resources,
    print_json,
    read_key,
    resource_option,
    say,
    skip_bad_option,
)
from verticals.errors import CallError

bundle_argument = click.argument("bundle", type=click.Path(path_type=Path))
public_key_option = click.option(
    "--public-key", type=click.Path(path_type=Path), help="Demand a signature by this key."
)


@click.command("predict")
@bundle_argument
@data_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="CSV or Parquet.")
@click.option("--reasons", type=click.IntRange(0), default=0, help="Reason codes per decline.")
@device_option
@public_key_option
@resource_option
@encoding_option
@skip_bad_option
@json_option
def predict_command(
    bundle: Path,
    data: Path,
    out: Path,
    reasons: int,
    device: str,
    public_key: Path | None,
    resources: tuple[str, ...],
    encoding: str | None,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Score DATA with BUNDLE; needs the model's feature columns only."""
    from verticals.api import open_scorer
    from verticals.data import TableWriter
    from verticals.explain import REFUSED

    refuse_same(out, data)
    scorer = open_scorer(
        bundle, device=device, public_key=public_key, resources=parse_resources(resources)
    )
    rows = refused = 0
    names: list[str] = []
    with TableWriter(out) as writer:
        for scored in scorer.predict_stream(
            data, reasons=reasons, encoding=encoding, skip_bad=skip_bad, notice=_note
        ):
            writer.write(scored)
            rows += scored.rows
            names = list(scored)
            if reasons:
                refused += int(np.count_nonzero(scored["reason_1"] == REFUSED))
    if refused:
        say(
            f"note: {refused} row(s) have a protected field among their principal reasons; "
            "no notice can be sent for them (see the audit)"
        )
    if as_json:
        print_json({"out": str(out), "rows": rows, "columns": names, "refused_notices": refused})
        return
    click.echo(f"wrote {out}: {rows} rows, columns {', '.join(names)}")


@click.command("explain")
@bundle_argument
@data_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="CSV or Parquet.")
@device_option
@public_key_option
@resource_option
@encoding_option
@skip_bad_option
@json_option
def explain_command(
    bundle: Path,
    data: Path,
    out: Path,
    device: str,
    public_key: Path | None,
    resources: tuple[str, ...],
    encoding: str | None,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Write what each field added to each score of DATA, in long form."""
    from verticals.api import open_scorer
    from verticals.data import write_table

    refuse_same(out, data)
    scorer = open_scorer(
        bundle, device=device, public_key=public_key, resources=parse_resources(resources)
    )
    table = scorer.explain(data, encoding=encoding, skip_bad=skip_bad)
    write_table(out, table)
    if as_json:
        print_json({"out": str(out), "rows": table.rows, "columns": list(table)})
        return
    click.echo(f"wrote {out}: {table.rows} rows, columns {', '.join(table)}")


@click.command("evidence")
@bundle_argument
@data_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option(
    "--counts",
    is_flag=True,
    help="Write mergeable counts, small cells suppressed, instead of rows.",
)
@click.option("--min-cell", type=click.IntRange(1), default=10, show_default=True)
@device_option
@public_key_option
@resource_option
@key_option
@encoding_option
@skip_bad_option
@json_option
def evidence_command(
    bundle: Path,
    data: Path,
    out: Path,
    counts: bool,
    min_cell: int,
    device: str,
    public_key: Path | None,
    resources: tuple[str, ...],
    key_file: Path | None,
    encoding: str | None,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Measure BUNDLE on new labelled DATA; needs torch and the plugin, `audit` then neither."""
    from verticals.api import open_scorer

    if out.exists():
        raise CallError(f"{out} exists already", hint="choose another --out, or remove it first")
    scorer = open_scorer(
        bundle, device=device, public_key=public_key, resources=parse_resources(resources)
    )
    digest = scorer.evidence(
        data,
        out=out,
        key=read_key(key_file),
        encoding=encoding,
        min_cell=min_cell if counts else None,
        skip_bad=skip_bad,
    )
    if as_json:
        print_json({"out": str(out), "digest": digest, "form": "counts" if counts else "rows"})
        return
    click.echo(f"wrote {out}  {digest}")
    click.echo(f"next: verticals audit {bundle} --evidence {out} --out {out}.audit")


def refuse_same(out: Path, data: Path) -> None:
    """Refuse to write scores over the data that they are of."""
    if out.exists() and data.exists() and out.samefile(data):
        raise CallError(
            f"--out {out} is the data file itself, expected another file",
            hint=f"choose another name, such as {out.stem}.scored{out.suffix}",
        )


def _note(text: str) -> None:
    say(f"note: {text}")
