"""`verticals findings`: what a hospital's systems take in, and a trace of every inference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from verticals.cli.output import (
    data_option,
    device_option,
    encoding_option,
    json_option,
    key_option,
    print_json,
    read_key,
    say,
    skip_bad_option,
)
from verticals.errors import CallError

if TYPE_CHECKING:
    from verticals_medical_imaging.hospital import Delivered


@click.command("findings")
@click.argument("bundle", type=click.Path(path_type=Path))
@data_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option(
    "--trace", type=click.Path(path_type=Path), help="Append one JSON line for each image."
)
@click.option(
    "--report", is_flag=True, help="Write a DICOM structured report for each DICOM image."
)
@click.option("--capture", is_flag=True, help="Write an overlay as a DICOM secondary capture, too.")
@click.option("--public-key", type=click.Path(path_type=Path), help="Demand a signature by it.")
@skip_bad_option
@key_option
@device_option
@encoding_option
@json_option
def findings(
    bundle: Path,
    data: Path,
    out: Path,
    trace: Path | None,
    report: bool,
    capture: bool,
    public_key: Path | None,
    skip_bad: bool,
    key_file: Path | None,
    device: str,
    encoding: str | None,
    as_json: bool,
) -> None:
    """Read the images of DATA with BUNDLE and write a JSON result for each study.

    DATA is a table that names images, or a folder of DICOM files. Files and trace hold what
    identifies patients only as keyed hashes (--key), but for the UIDs that a result must carry.
    """
    from verticals.api import open_scorer
    from verticals_medical_imaging.hospital import deliver

    if out.exists():
        raise CallError(f"{out} exists already", hint="choose another --out, or remove it first")
    scorer = open_scorer(bundle, device=device, public_key=public_key)
    raw = scorer.raw(data, encoding=encoding, skip_bad=skip_bad)
    done: Delivered = deliver(
        scorer,
        raw.table,
        data if data.is_dir() else data.parent,
        out,
        trace=trace,
        key=read_key(key_file),
        report=report,
        capture=capture,
    )
    for note in raw.notes:
        say(f"note: {note}")
    if as_json:
        print_json(
            {
                "out": str(out),
                "images": done.images,
                "abstained": done.abstained,
                "results": [str(path) for path in done.results],
                "dicom": [str(path) for path in done.dicom],
                "trace": None if trace is None else str(trace),
                "notes": list(raw.notes),
            }
        )
        return
    click.echo(
        f"wrote {len(done.results)} results and {len(done.dicom)} DICOM files to {out}: "
        f"{done.images} images, {done.abstained} abstained"
    )
