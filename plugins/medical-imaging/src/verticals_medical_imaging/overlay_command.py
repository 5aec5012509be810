"""`verticals overlay`: what in an image moved the score, over the image."""

from __future__ import annotations

from pathlib import Path

import click

from verticals.cli.output import (
    data_option,
    device_option,
    encoding_option,
    json_option,
    print_json,
)


@click.command("overlay")
@click.argument("bundle", type=click.Path(path_type=Path))
@data_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A folder.")
@click.option(
    "--method",
    type=click.Choice(["expected-gradients", "grad-cam"]),
    default="expected-gradients",
    show_default=True,
)
@click.option("--target", default="", help="The finding to explain; default: the decided one.")
@click.option(
    "--rows",
    default=16,
    show_default=True,
    type=click.IntRange(1, 200),
    help="How many rows to print, from the first; the tests look at more of them.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--public-key", type=click.Path(path_type=Path), help="Demand a signature by it.")
@device_option
@encoding_option
@json_option
def overlay(
    bundle: Path,
    data: Path,
    out: Path,
    method: str,
    target: str,
    rows: int,
    seed: int,
    public_key: Path | None,
    device: str,
    encoding: str | None,
    as_json: bool,
) -> None:
    """Write a PNG of each image in DATA under the map of what moved its score in BUNDLE.

    The method is tested on these images first (shuffled weights, deletion); maps that fail are not
    printed. OUT/overlays.json holds the verdict.
    """
    from verticals.api import open_scorer
    from verticals_medical_imaging.overlay import write_overlays

    scorer = open_scorer(bundle, device=device, public_key=public_key)
    table = scorer.bound(data, encoding=encoding)
    record = write_overlays(scorer, table, out, method=method, target=target, rows=rows, seed=seed)
    if as_json:
        print_json(record)
        return
    tests = record["tests"]
    click.echo(
        f"wrote {len(record['files'])} overlays to {out}: tested on {tests['images']} images, "
        f"rank correlation with shuffled weights {tests['randomisation']['estimate']:.2f}, "
        f"deletion p = {tests['deletion']['p_value']:.3g}"
    )
