"""`verticals deidentify`: DICOM images without the identity of their patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from verticals.cli.output import json_option, print_json, progress_printer, read_key, say


@click.command("deidentify")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(path_type=Path),
    help="A file with a secret key (at least 16 bytes), from which all codes and shifts follow.",
)
@click.option(
    "--map",
    "map_file",
    type=click.Path(path_type=Path),
    help="Write the original identifiers beside their codes here, readable by you alone.",
)
@click.option("--keep-sex-age", is_flag=True, help="Keep sex and age (above 89 years as 90).")
@json_option
def deidentify(
    source: Path,
    out: Path,
    key_file: Path,
    map_file: Path | None,
    keep_sex_age: bool,
    as_json: bool,
) -> None:
    """De-identify the DICOM images below IN to OUT (PS3.15, basic profile).

    Dates go back by a number of days that is the same for all files of a patient; UIDs are mapped
    in the same way everywhere; private tags, overlays, and text that no list keeps are dropped.
    The picture stays as it is: look at the files that the report names for burned-in text.
    """
    from verticals_medical_imaging.deidentify import Pseudonyms, deidentify_folder

    key = read_key(key_file)
    assert key is not None  # the option is required
    report = deidentify_folder(
        source,
        out,
        Pseudonyms(key=key),
        map_file=map_file,
        keep_sex_age=keep_sex_age,
        progress=progress_printer(),
    )
    if as_json:
        print_json(report)
    else:
        for line in _lines(report):
            click.echo(line)
    _warn(report, out, mapped=map_file is not None)


def _lines(report: dict[str, Any]) -> list[str]:
    files, actions = report["files"], report["actions"]
    lines = [f"{files['written']} of {files['found']} files, {report['patients']} patients"]
    lines += [f"left out: {count} ({reason})" for reason, count in files["left_out"].items()]
    if files["duplicates"]:
        lines.append(f"duplicates: {files['duplicates']}")
    done = ", ".join(f"{count} {action}" for action, count in actions.items())
    return [*lines, f"elements: {done}", f"pixel streams with text blanked: {_blanked(report)}"]


def _blanked(report: dict[str, Any]) -> int:
    return int(report["pixels_blanked"])


def _warn(report: dict[str, Any], out: Path, *, mapped: bool) -> None:
    from verticals_medical_imaging.deidentify.folder import REPORT

    burned = report["burned_in"]
    if burned["declared"] or burned["likely"]:
        say(
            f"warning: text is burned into {len(burned['declared'])} images by their own word and "
            f"likely into {len(burned['likely'])} more; it is still there"
        )
        say(f"hint: look at the files that burned_in lists in {out / REPORT}")
    if report["files"]["left_out"] and not mapped:
        say("hint: --map FILE says which files were left out")
    say(f"wrote {out / REPORT}")
