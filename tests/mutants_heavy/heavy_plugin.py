"""A plugin that imports pandas at start-up, which no plugin may."""

import pandas  # noqa: F401

from verticals.plugin import SolutionInfo, hookimpl


@hookimpl
def verticals_solutions():
    """Describe a solution that would be fine otherwise."""
    yield SolutionInfo(
        name="heavy", api_version=1, state_version=1, target="mutants.solutions:SOUND"
    )
