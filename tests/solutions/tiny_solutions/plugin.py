"""Describe the four tiny verticals."""

from verticals.plugin import SolutionInfo, hookimpl

_OFFERS = {
    "table": {"private", "attributions", "reasons", "online"},
    "stream": {"private", "attributions", "online"},
    "images": {"private", "attributions"},
    "items": set(),
}


@hookimpl
def verticals_solutions():
    """Return one description for each module."""
    return [
        SolutionInfo(
            name=f"tiny-{name}",
            api_version=1,
            state_version=1,
            target=f"tiny_solutions.{name}:SOLUTION",
            offers=frozenset(offers),
            summary=f"A tiny vertical for {name}",
            intended_use="Tests of the plugin interface",
            not_for="Anything else",
            requirements=("the simulated data that it makes itself",),
        )
        for name, offers in _OFFERS.items()
    ]
