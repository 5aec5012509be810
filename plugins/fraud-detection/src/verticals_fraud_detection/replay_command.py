"""`verticals replay`: what a different policy would have done with the same scores."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verticals.cli.output import (
    data_option,
    device_option,
    encoding_option,
    json_option,
    print_json,
    say,
)
from verticals.errors import CallError

if TYPE_CHECKING:
    from verticals.api.scorer import Scorer
    from verticals.table import Array, Table


@click.command("replay")
@click.argument("bundle", type=click.Path(path_type=Path))
@data_option
@click.option(
    "--policy",
    "policies",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="TOML; may be given more than once, to compare.",
)
@click.option(
    "--from",
    "since",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Count from this day: what is earlier is history, and may have been trained on.",
)
@click.option("--rules", "rules_file", type=click.Path(path_type=Path), help="TOML of rules.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the replay as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write the picture as SVG.")
@click.option(
    "--write-cuts",
    type=click.Path(path_type=Path),
    help="Write the policy with fixed cuts for the day after the data, for online scoring.",
)
@click.option("--seed", default=0, show_default=True, help="Of the resampled intervals.")
@click.option("--public-key", type=click.Path(path_type=Path), help="Demand a signature by it.")
@device_option
@encoding_option
@json_option
def replay(
    bundle: Path,
    data: Path,
    policies: tuple[Path, ...],
    since: datetime | None,
    rules_file: Path | None,
    out: Path | None,
    plot: Path | None,
    write_cuts: Path | None,
    seed: int,
    public_key: Path | None,
    device: str,
    encoding: str | None,
    as_json: bool,
) -> None:
    """Replay policies on past labelled DATA scored by BUNDLE; nothing is trained.

    Shows for each policy, and for the bundle's own decision, alerts, analyst hours, frauds caught,
    money saved and genuine customers disturbed. Cuts of a budget come from the days before.
    """
    import numpy as np

    from verticals.api import open_scorer
    from verticals.files import write_file
    from verticals.strictjson import readable_json
    from verticals_fraud_detection.policy import dump_policy, read_policy
    from verticals_fraud_detection.replay import replay_table
    from verticals_fraud_detection.replay_text import lines
    from verticals_fraud_detection.rules import fit_rules, read_rules

    chosen = [read_policy(path) for path in policies]
    if write_cuts is not None and len(chosen) != 1:
        raise CallError(
            f"--write-cuts with {len(chosen)} policies, expected one", hint="give one --policy"
        )
    rules = None if rules_file is None else read_rules(rules_file)
    scorer = open_scorer(bundle, device=device, public_key=public_key)
    if rules is not None:
        fit_rules(rules, scorer.contract)  # before the data are scored, which may take minutes
    table, score, decision = _scored(scorer, data, encoding)
    found = replay_table(
        table,
        score,
        scorer.contract,
        chosen,
        decision=decision,
        rules=rules,
        since=None if since is None else np.datetime64(since.date()),
        seed=seed,
    )
    document = {"bundle": scorer.digest, **found}
    written = []
    if write_cuts is not None:
        from verticals_fraud_detection.decide import resolve
        from verticals_fraud_detection.events import events_of

        fixed = resolve(chosen[0], events_of(table, score, scorer.contract).stream)
        write_file(write_cuts, dump_policy(fixed).encode(), what=f"cuts {str(write_cuts)!r}")
        written.append(write_cuts)
    if out is not None:
        write_file(out, readable_json(document), what=f"replay {str(out)!r}")
        written.append(out)
    if plot is not None:
        from verticals_fraud_detection.plot import replay_svg

        write_file(plot, replay_svg(document), what=f"plot {str(plot)!r}")
        written.append(plot)
    if as_json:
        print_json(document)
    else:
        for line in lines(document):
            click.echo(line)
    for path in written:
        say(f"wrote {path}")


def _scored(scorer: Scorer, data: Path, encoding: str | None) -> tuple[Table, Array, Array | None]:
    """Return the bound table, the score and the bundle's own decision, where it makes one."""
    from verticals.contract.model import TIME
    from verticals.finish import score_name
    from verticals_fraud_detection.events import target_of

    if not scorer.contract.time:
        raise CallError(
            f"contract {scorer.contract.name!r} declares no time ({TIME}), so there are no days",
            hint="add `time:` to the contract, and train again",
        )
    name = score_name(scorer.contract, target_of(scorer.contract).name)
    table = scorer.bound(data, targets=True, encoding=encoding)
    columns: Any = scorer.columns(table)
    if name not in columns:
        raise CallError(
            f"bundle of {scorer.vertical.info.name!r} gives no {name!r}, expected a score",
            hint=f"verticals describe {scorer.vertical.info.name}",
        )
    return table, columns[name], columns.get("decision")
