"""`verticals list` and `verticals describe`."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from verticals import registry
from verticals.cli.output import json_option, print_json, say, table_lines
from verticals.plugin import API_VERSION, SolutionInfo


@click.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List installed solutions, versions and problems."""
    found = registry.discover()
    if as_json:
        print_json(
            {
                "api_version": API_VERSION,
                "solutions": [
                    {
                        "name": item.info.name,
                        "distribution": item.distribution,
                        "version": item.version,
                        "domain": item.info.domain,
                        "summary": item.info.summary,
                        "offers": sorted(item.info.offers),
                    }
                    for item in found.solutions
                ],
                "problems": [dataclasses.asdict(problem) for problem in found.problems],
            }
        )
        return
    if not found.solutions:
        click.echo("no solutions are installed")
        say("hint: pip install verticals-credit-scoring")
    else:
        rows = [
            (
                item.info.name,
                f"{item.distribution} {item.version}",
                ", ".join(sorted(item.info.offers)) or "–",
                item.info.summary,
            )
            for item in found.solutions
        ]
        click.echo("\n".join(table_lines(("SOLUTION", "FROM", "OFFERS", "SUMMARY"), rows)))
    for problem in found.problems:
        say(f"problem: {problem.distribution}: {problem.name}: {problem.message}")
        if problem.hint:
            say(f"hint: {problem.hint}")


@click.command("describe")
@click.argument("solution")
@json_option
def describe_command(solution: str, as_json: bool) -> None:
    """Show what SOLUTION needs of data, its options, its intended use and what it offers."""
    found = registry.find(registry.discover(), solution)
    if as_json:
        print_json(_document(found.info, found.distribution, found.version))
        return
    info = found.info
    click.echo(f"{info.name} ({found.distribution} {found.version}, state {info.state_version})")
    for title, text in (
        ("", info.summary),
        ("domain", info.domain),
        ("intended use", info.intended_use),
        ("not for", info.not_for),
        ("offers", ", ".join(sorted(info.offers)) or "–"),
        ("targets", ", ".join(sorted(info.target_kinds))),
    ):
        if text:
            click.echo(f"{title}: {text}" if title else text)
    if info.requirements:
        click.echo("data:")
        for requirement in info.requirements:
            click.echo(f"  - {requirement}")
    if info.options:
        click.echo("options (--option NAME=VALUE):")
        for option in info.options:
            choices = f" (one of {', '.join(map(str, option.choices))})" if option.choices else ""
            apart = option.private_default
            also = f", {apart} under privacy" if apart is not None else ""
            click.echo(f"  {option.name} = {option.default}{also}{choices}: {option.help}")


def _document(info: SolutionInfo, distribution: str, version: str) -> dict[str, Any]:
    return {
        "name": info.name,
        "distribution": distribution,
        "version": version,
        "api_version": info.api_version,
        "state_version": info.state_version,
        "summary": info.summary,
        "domain": info.domain,
        "intended_use": info.intended_use,
        "not_for": info.not_for,
        "offers": sorted(info.offers),
        "target_kinds": sorted(info.target_kinds),
        "requirements": list(info.requirements),
        "options": [dataclasses.asdict(option) for option in info.options],
    }
