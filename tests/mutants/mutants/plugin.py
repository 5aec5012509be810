"""Describe the sound solution and its mutants."""

import dataclasses

from verticals.plugin import SolutionInfo, hookimpl

MUTANTS = (
    "contract_complete",
    "demo_repeats",
    "features_repeat",
    "batch_equals_stream",
    "no_future",
    "repeats_without_privacy",
    "scores_in_range",
    "input_unchanged",
    "keeps_to_itself",
    "row_order_irrelevant",
    "one_row_equals_batch",
    "protected_fields_unused",
    "missing_and_unseen",
    "reloads_in_fresh_process",
    "scores_need_features_only",
    "private_training",
    "attributions_add_up",
    "reasons_count",
    "online_equals_batch",
    "errors_are_clear",
    "evidence_complete",
)

SOUND = SolutionInfo(
    name="sound",
    api_version=1,
    state_version=1,
    target="mutants.solutions:SOUND",
    offers=frozenset({"private", "attributions", "reasons", "online"}),
    summary="A sound solution",
    intended_use="Tests",
    not_for="Anything else",
    requirements=("its own demo",),
)


@hookimpl
def verticals_solutions():
    """Return the sound one and every mutant."""
    yield SOUND
    yield dataclasses.replace(SOUND, name="mutant-description-complete", summary="")
    for name in MUTANTS:
        yield dataclasses.replace(
            SOUND,
            name=f"mutant-{name.replace('_', '-')}",
            target=f"mutants.solutions:{name.upper()}",
        )
