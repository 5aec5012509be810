"""What this distribution offers, described without importing any model code."""

from verticals.plugin import SolutionInfo, hookimpl


@hookimpl
def verticals_solutions():
    """Return the one solution."""
    yield SolutionInfo(
        name="energy-arrears",
        api_version=1,
        state_version=1,
        target="acme_energy.solution:SOLUTION",
        offers=frozenset({"private", "attributions", "reasons", "online"}),
        domain="energy",
        summary="Predicts which customers will fall into arrears, to offer help early",
        intended_use="Offering a payment plan before a customer falls behind.",
        not_for="Disconnection, pricing or collection.",
        requirements=("one row for each customer, with the arrears observed a year later",),
    )
