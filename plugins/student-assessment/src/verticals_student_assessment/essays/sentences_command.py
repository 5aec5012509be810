"""`verticals sentences`: what each sentence of each essay adds to its scores."""

from __future__ import annotations

import json
from pathlib import Path

import click

from verticals.cli.output import (
    data_option,
    device_option,
    encoding_option,
    json_option,
    parse_resources,
    print_json,
    resource_option,
)
from verticals.errors import CallError


@click.command("sentences")
@click.argument("bundle", type=click.Path(path_type=Path))
@data_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new JSONL file.")
@click.option(
    "--draws",
    default=8,
    show_default=True,
    type=click.IntRange(2, 512),
    help="Orders that are sampled for an essay of more than five sentences, an even number.",
)
@click.option(
    "--rows",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="How many essays to explain, from the first.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--public-key", type=click.Path(path_type=Path), help="Demand a signature by it.")
@resource_option
@device_option
@encoding_option
@json_option
def sentences(
    bundle: Path,
    data: Path,
    out: Path,
    draws: int,
    rows: int,
    seed: int,
    public_key: Path | None,
    resources: tuple[str, ...],
    device: str,
    encoding: str | None,
    as_json: bool,
) -> None:
    """Write what each sentence of the essays in DATA adds to their scores by BUNDLE, in points.

    One line of JSON an essay: row, the score of an empty essay (base), the score, and the
    sentences with their values, which add up to score less base. OUT holds the essays' text: it
    is as private as DATA.
    """
    from verticals.api import open_scorer
    from verticals_student_assessment.essays.sentences import check_draws, sentence_values
    from verticals_student_assessment.essays.solution import EssayModel

    check_draws(draws)
    if out.exists():
        raise CallError(f"{out} exists already", hint="choose another --out, or remove it first")
    scorer = open_scorer(
        bundle, device=device, public_key=public_key, resources=parse_resources(resources)
    )
    model = scorer.model
    if not isinstance(model, EssayModel):
        raise CallError(
            f"the bundle is of {scorer.vertical.info.name!r}, expected one of 'essay-scoring'",
            hint="verticals explain BUNDLE --data DATA --out OUT",
        )
    texts = scorer.bound(data, encoding=encoding)[model.field.name][:rows]
    traits = [target.name for target in model.contract.targets]
    with out.open("w", encoding="utf-8") as file:
        for row, text in enumerate(texts):
            found = sentence_values(model, str(text or ""), draws=draws, seed=seed)
            line = {
                "row": row + 1,
                "exact": found.exact,
                "base": _named(traits, found.base.tolist()),
                "score": _named(traits, found.score.tolist()),
                "sentences": [
                    {"text": piece, "values": _named(traits, values)}
                    for piece, values in zip(found.sentences, found.values.tolist(), strict=True)
                ],
            }
            file.write(f"{json.dumps(line, ensure_ascii=False)}\n")
    if as_json:
        print_json({"out": str(out), "essays": len(texts), "traits": traits})
        return
    click.echo(f"wrote the sentences of {len(texts)} essays to {out}")


def _named(traits: list[str], values: list[float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in zip(traits, values, strict=True)}
