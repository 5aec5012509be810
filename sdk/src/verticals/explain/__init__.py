"""Shapley attributions, their self-checks, and the reasons that follow from them."""

from verticals.explain.additive import AdditiveTerms, additive_means, explain_additive
from verticals.explain.attributions import (
    EXACT_ADDITIVE,
    LOG_ODDS,
    PROBABILITY_SHARE,
    VALUE,
    Attributions,
    checked,
    probability_shares,
    sigmoid,
)
from verticals.explain.background import Background, declared_background
from verticals.explain.engines import (
    METHODS,
    Game,
    LayeredGame,
    explain_alone,
    explain_game,
    explain_paths,
    make_game,
)
from verticals.explain.long_form import long_attributions
from verticals.explain.reasons import (
    REFUSED,
    Reasons,
    adverse_sign,
    principal_reasons,
    reason_texts,
)

__all__ = [
    "EXACT_ADDITIVE",
    "LOG_ODDS",
    "METHODS",
    "PROBABILITY_SHARE",
    "REFUSED",
    "VALUE",
    "AdditiveTerms",
    "Attributions",
    "Background",
    "Game",
    "LayeredGame",
    "Reasons",
    "additive_means",
    "adverse_sign",
    "checked",
    "declared_background",
    "explain_additive",
    "explain_alone",
    "explain_game",
    "explain_paths",
    "long_attributions",
    "make_game",
    "principal_reasons",
    "probability_shares",
    "reason_texts",
    "sigmoid",
]
