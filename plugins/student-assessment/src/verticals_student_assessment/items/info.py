"""What item-response offers, described without importing it."""

from __future__ import annotations

from verticals.plugin import OptionInfo, SolutionInfo
from verticals_student_assessment.items.checks.infos import CHECKS

__all__ = ["CHECKS", "SOLUTION"]

SOLUTION = SolutionInfo(
    name="item-response",
    api_version=1,
    state_version=1,
    target="verticals_student_assessment.items.solution:SOLUTION",
    drafter="verticals_student_assessment.items.draft:refine",
    target_kinds=frozenset({"none"}),
    domain="education",
    summary="Fits items of a test and scores students on one scale, with errors of measurement",
    intended_use=(
        "Supports those who build and give tests: item parameters with standard errors, abilities "
        "with errors of measurement, and items that work differently for groups, for review."
    ),
    not_for=(
        "Not for a decision about a student by an ability alone, not for tests of several traits, "
        "and not for answers from which emotions or a state of mind would be inferred."
    ),
    requirements=(
        "one row for each student; items as ordinal fields with role: item and levels, lowest "
        "first, in the order of presentation",
        "values that stand for no answer under `missing`; trailing ones are not reached",
        "cut scores, where there are any, as settings: {cuts: {name: ability}} of an item field",
        "sex, language and others (role: protected) for differential item functioning, the "
        "reference group first; 200 persons a group or more for a class",
    ),
    options=(
        OptionInfo(
            name="model",
            default="2PL",
            choices=("Rasch", "1PL", "2PL", "3PL", "GRM"),
            help="of dichotomous items; items with more levels are graded, with the slopes of the "
            "model (GRM is 2PL by another name)",
        ),
        OptionInfo(
            name="scoring",
            default="EAP",
            choices=("EAP", "MAP", "WLE"),
            help="posterior mean, posterior mode, or Warm's weighted likelihood without a prior",
        ),
        OptionInfo(name="points", default=61, help="nodes of the grid, from -6 to 6 sd"),
        OptionInfo(
            name="omitted",
            default="missing",
            choices=("missing", "wrong"),
            help="what an item without an answer, before the last one answered, counts as",
        ),
        OptionInfo(
            name="not_reached",
            default="missing",
            choices=("missing", "wrong"),
            help="what items after the last one answered count as",
        ),
        OptionInfo(
            name="guessing_prior",
            default="-1.386,1",
            help="mean,sd of a normal prior on logit guessing in 3PL, or none",
        ),
    ),
)
