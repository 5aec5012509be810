"""Who spends what of epsilon, and whose data each file of a bundle shows at which epsilon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verticals.api.vertical import Vertical
from verticals.bundle import INFINITE
from verticals.contract import DataContract, unreviewed
from verticals.finish import score_range, shares_persons
from verticals.plugin import Finish

# The share of epsilon that a decision's cut costs where it cannot be had in parallel.
_DECISION_SHARE = 0.1

_PARALLEL = (
    "{what} was bought with ε = {decision:.4g} from the "
    "calibration part, which holds no one of the training part: the two compose in parallel."
)
_CUT = "The cut that decides the declared share"
_FITTED = "What the solution's finish fitted (calibration, operating point, sets)"
_SEQUENTIAL = (
    "{what} was bought with ε = {decision:.4g} from the "
    "calibration part. The split goes by time, so one person may stand in both parts: the two "
    "compose sequentially, and their sum is the ε stated here."
)
_LATER = (
    "The split goes by time and protects persons ({group}): a later training on later events "
    "shares persons with this one, so that the two releases compose sequentially and their ε add "
    "up."
)
_RAW_FINISH = (
    "Not covered: the solution's own finish was fitted on the calibration part without noise; "
    "settings.json shows what it took from those rows."
)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Divide epsilon between training and the cut of the decision; None is no privacy."""

    training: float | None
    decision: float | None
    sequential: bool = False
    raw_finish: bool = False
    what: str = _CUT  # was bought with `decision`
    group: str = ""  # where the split goes by time and persons stand in several parts

    def total(self, record: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Return a training's privacy record as the record of the whole bundle."""
        if record is None:
            return None
        statement = list(record["statement"])
        epsilon = record["epsilon"]
        if self.decision is not None:
            text = _SEQUENTIAL if self.sequential else _PARALLEL
            statement.append(text.format(what=self.what, decision=self.decision))
            epsilon = epsilon + self.decision if self.sequential else max(epsilon, self.decision)
        if self.group:
            statement.append(_LATER.format(group=self.group))
        if self.raw_finish:
            statement.append(_RAW_FINISH)
        return {**record, "epsilon": epsilon, "statement": statement}


def divide_budget(epsilon: float | None, contract: DataContract, vertical: Vertical) -> Budget:
    """Divide epsilon: a cut that must be fitted costs a tenth where persons are shared.

    Raises `PrivacyError` where the cut could not be bought, before any training.
    """
    if epsilon is None:
        return Budget(training=None, decision=None)
    group = contract.group if shares_persons(contract) else ""
    if vertical.finish is not None:
        return Budget(training=epsilon, decision=None, raw_finish=True, group=group)
    own = vertical.make_finish is not None
    if not own and (contract.decision is None or contract.decision.rate is None):
        return Budget(training=epsilon, decision=None, group=group)
    if not own:
        score_range(contract)
    what = _FITTED if own else _CUT
    if group:
        cost = _DECISION_SHARE * epsilon
        return Budget(
            training=epsilon - cost, decision=cost, sequential=True, what=what, group=group
        )
    return Budget(training=epsilon, decision=epsilon, what=what)


def what_files_show(
    contract: DataContract,
    finish: Finish,
    vertical: Vertical,
    privacy: Mapping[str, Any] | None,
    budget: Budget,
) -> dict[str, tuple[str, float | str]]:
    """Say, for each file of the bundle, whose data it shows and at which epsilon.

    `privacy` is the training's own record; one with a fixed noise seed holds no epsilon. Under
    privacy the SDK's own settings follow from declarations; those that a solution of its own wrote
    may hold anything that its training saw, and count as the weights do.
    """
    trained: float | str = INFINITE
    if privacy is not None and privacy.get("unsafe_noise_seed") is None:
        trained = float(privacy["epsilon"])
    if not vertical.adapted:
        shown, epsilons = ["training rows (settings of the solution's own)"], [trained]
    elif privacy is None:
        shown, epsilons = ["declarations", "training rows (encoder, training history)"], [INFINITE]
    else:
        shown, epsilons = ["declarations"], [0.0]
    if vertical.finish is not None or bool(getattr(finish, "fits_on_data", False)):
        shown.append("calibration rows (finish)")
        epsilons.append(INFINITE if budget.decision is None else budget.decision)
    numbers = [value for value in epsilons if not isinstance(value, str)]
    together = sum(numbers) if budget.sequential else max(numbers, default=0.0)
    settings: float | str = INFINITE if INFINITE in epsilons else together
    drafted = bool(unreviewed(contract))
    return {
        "weights.safetensors": ("training rows", trained),
        "settings.json": (", ".join(shown), settings),
        "contract.yaml": (
            ("declarations and values read from the data", INFINITE)
            if drafted
            else ("declarations", 0)
        ),
        "privacy.json": ("the number of training units, and declarations", 0),
    }
