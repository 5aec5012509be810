"""`verticals link-forms`: two bundles of items on one scale, by their common items."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verticals.cli.output import json_option, print_json

if TYPE_CHECKING:
    from verticals.bundle import Bundle
    from verticals_student_assessment.items.irt import ItemBank
    from verticals_student_assessment.items.linking import Link


@click.command("link-forms")
@click.argument("bundle_a", type=click.Path(path_type=Path))
@click.argument("bundle_b", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="JSON file to write.")
@json_option
def link_forms(bundle_a: Path, bundle_b: Path, out: Path, as_json: bool) -> None:
    """Link form B onto the scale of form A by the items that both name, with errors.

    Writes slope and intercept of θ_A = slope · θ_B + intercept by mean-sigma and by Stocking-Lord.
    """
    import json

    from verticals.files import write_file
    from verticals_student_assessment.items import linking

    first, second = _read(bundle_a), _read(bundle_b)
    onto, from_ = _bank(first), _bank(second)
    links = [linking.link_forms(onto, from_, method) for method in linking.METHODS]
    document = {
        "onto": first.digest,
        "from": second.digest,
        "scale": "ability_onto = slope * ability_from + intercept",
        "independent_samples": True,
        "links": {link.method: _facts(link) for link in links},
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(out, text.encode(), what=f"link {str(out)!r}")
    if as_json:
        print_json({"out": str(out), **document})
        return
    click.echo(f"wrote {out}: {len(links[0].items)} common items")
    for link in links:
        slope, intercept = link.errors
        click.echo(
            f"{link.method}: slope {link.slope:.4f} (se {slope:.4f}), "
            f"intercept {link.intercept:.4f} (se {intercept:.4f})"
        )


def _read(path: Path) -> Bundle:
    from verticals.bundle import open_bundle
    from verticals.errors import CallError

    found = open_bundle(path)
    if found.solution["name"] != "item-response":
        raise CallError(
            f"bundle {str(path)!r} is of {found.solution['name']!r}, expected item-response",
            hint="verticals train item-response --out BUNDLE --no-privacy",
        )
    return found


def _bank(bundle: Bundle) -> ItemBank:
    from verticals_student_assessment.items.irt import bank_from_state

    state = bundle.state()
    return bank_from_state(state.tensors, state.settings)


def _facts(link: Link) -> dict[str, Any]:
    slope, intercept = link.errors
    return {
        "slope": link.slope,
        "slope_se": _number(slope),
        "intercept": link.intercept,
        "intercept_se": _number(intercept),
        "covariance": _number(float(link.covariance[0, 1])),
        "items": [
            {"item": name, "displacement": _number(float(value))}
            for name, value in zip(link.items, link.displacement, strict=True)
        ],
    }


def _number(value: float) -> float | None:
    """Return a number, None where it is not known."""
    return value if math.isfinite(value) else None
