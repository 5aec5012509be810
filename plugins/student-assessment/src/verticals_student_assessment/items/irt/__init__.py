"""Item response theory: one latent trait, by marginal maximum likelihood, on torch.

curves        the response functions, their derivatives and information
parameters    what is known of each item, as frozen arrays
responses     answers as category codes: omitted, not reached, degenerate items, patterns
likelihood    the E-step: posterior weights on the grid, in blocks of persons
fit           the estimates: EM gradient steps with quasi-Newton acceleration
uncertainty   observed information by Louis's identity, or the cross-product of scores
scores        ability of each person with fixed items: EAP, MAP, WLE
"""

from verticals_student_assessment.items.irt.curves import Curves, item_curves, test_information
from verticals_student_assessment.items.irt.fit import Fit, FitOptions, fit_items
from verticals_student_assessment.items.irt.parameters import (
    MODELS,
    Grid,
    ItemBank,
    bank_from_state,
    bank_state,
)
from verticals_student_assessment.items.irt.responses import (
    Handling,
    Responses,
    collapse_categories,
    handle_missing,
    to_responses,
)
from verticals_student_assessment.items.irt.scores import (
    SCORINGS,
    Abilities,
    log_likelihoods,
    needed_points,
    score_persons,
)
from verticals_student_assessment.items.irt.uncertainty import standard_errors

__all__ = [
    "MODELS",
    "SCORINGS",
    "Abilities",
    "Curves",
    "Fit",
    "FitOptions",
    "Grid",
    "Handling",
    "ItemBank",
    "Responses",
    "bank_from_state",
    "bank_state",
    "collapse_categories",
    "fit_items",
    "handle_missing",
    "item_curves",
    "log_likelihoods",
    "needed_points",
    "score_persons",
    "standard_errors",
    "test_information",
    "to_responses",
]
