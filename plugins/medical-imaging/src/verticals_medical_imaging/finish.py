"""What a radiologist gets: a calibrated probability, an operating point, and the right to abstain.

All of it is fitted on the calibration part. Without privacy: one temperature for each target
(Guo et al. 2017, arXiv:1706.04599), the cut that finds the declared share of positives, and
class-conditional conformal sets. With privacy the cut and the sets are bought from epsilon, and
no temperature is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verticals.contract import DataContract, Target
from verticals.contract.model import GROUP
from verticals.errors import CallError, ContractError, TrainingError
from verticals.finish import private_quantile
from verticals.networks import heads
from verticals.plugin import Columns, Output
from verticals.table import Array, Table
from verticals_medical_imaging import conformal
from verticals_medical_imaging.measures import SEPARATOR

SENSITIVITY, COVERAGE = 0.9, 0.9
_LEAST = 1e-12  # of a probability, before its logarithm
_TEMPERATURES = np.exp(np.linspace(-3.0, 3.0, 241))


@dataclass(frozen=True, kw_only=True)
class Goals:
    """Declare what the finish is to reach on new data.

    `sensitivity` of the decision; None leaves it to the contract's `cut` or `rate`. `coverage` of
    the prediction sets, in every class. Raises `CallError` where they are no shares.
    """

    sensitivity: float | None = SENSITIVITY
    coverage: float = COVERAGE

    def __post_init__(self) -> None:
        """Check both."""
        for name in ("sensitivity", "coverage"):
            value = getattr(self, name)
            if value is None and name == "sensitivity":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
                raise CallError(
                    f"option {name} is {value!r}, expected a share between 0 and 1",
                    hint=f"--option {name}=0.9",
                )


def finish_for(
    contract: DataContract, epsilon: float | None, options: Mapping[str, Any] | None = None
) -> ImagingFinish:
    """Return the finish of a contract; `options` may set `sensitivity` and `coverage`.

    The sensitivity 0 leaves the decision to the contract. Raises `ContractError` where a target
    is neither binary nor categorical, or the decision is not on a binary one.
    """
    given = dict(options or {})
    sensitivity = given.get("sensitivity", SENSITIVITY) or None
    goals = Goals(sensitivity=sensitivity, coverage=given.get("coverage", COVERAGE))
    odd = [item.name for item in contract.targets if item.kind not in ("binary", "categorical")]
    if odd or not contract.targets:
        raise ContractError(
            f"targets {odd} are neither binary nor categorical, expected findings in images"
            if odd
            else "the contract has no target, expected findings in images",
            hint="declare each finding as a binary target, or exclusive ones as a categorical one",
        )
    decision = contract.decision
    if decision is not None and contract.target(decision.target).kind != "binary":
        raise ContractError(
            f"the decision is on {decision.target!r}, expected a binary target",
            hint="decide on a binary target, or leave `decision` out",
        )
    return ImagingFinish(contract=contract, goals=goals, epsilon=epsilon)


@dataclass(frozen=True, kw_only=True)
class ImagingFinish:
    """Turn a network's probabilities into what is said of an image.

    Of each target: calibrated probabilities, `set` (the values that stay plausible), `abstained`
    and `reason`; with several targets these names end with the target's (`set_oedema`).
    `decision` is that of the contract.
    """

    contract: DataContract
    goals: Goals
    epsilon: float | None = None

    @property
    def fits_on_data(self) -> bool:
        """Tell that `fit` reads the calibration part."""
        return True

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Return the outputs in order: probabilities, the decision, then what each target adds."""
        found = list(heads.outputs(self.contract.targets))
        decision = self.contract.decision
        if decision is not None:
            found.append(Output(name="decision", kind="flag", target=decision.target))
        for target in self.contract.targets:
            for name, kind in (("set", "set"), ("abstained", "flag"), ("reason", "text")):
                found.append(Output(name=self._named(target, name), kind=kind, target=target.name))
        return tuple(found)

    def fit(self, scores: Columns, table: Table) -> Mapping[str, Any]:
        """Return temperatures, floors and the cut as JSON, fitted on labelled rows of the table.

        Raises `TrainingError` if the calibration part is empty.
        """
        if table.rows == 0:
            raise TrainingError(
                "the calibration part has 0 rows, expected some: sets and operating point need it",
                hint="--shares .6,.1,.1,.2 gives it a tenth",
            )
        persons = table[GROUP] if self.contract.group and GROUP in table else None
        fitted = {
            target.name: self._fit_target(target, scores, table, persons)
            for target in self.contract.targets
        }
        settings: dict[str, Any] = {"coverage": self.goals.coverage, "targets": fitted}
        if self.contract.decision is not None:
            settings["sensitivity"] = self.goals.sensitivity
            settings["cut"] = self._cut(scores, fitted, persons)
        return settings

    def apply(self, scores: Columns, settings: Mapping[str, Any]) -> Columns:
        """Return all outputs of each row; a row's depend on that row and the settings alone."""
        found: dict[str, Array] = {}
        decision = self.contract.decision
        for target in self.contract.targets:
            fitted = settings["targets"][target.name]
            raw = _probabilities(target, self.contract.targets, scores)
            calibrated = _calibrated(raw, fitted["temperature"])
            found |= _columns(target, self.contract.targets, calibrated)
            decided = None
            if decision is not None and decision.target == target.name:
                decided = calibrated[:, 1] >= settings["cut"]
                found["decision"] = decided.astype(np.float64)
            inside = conformal.members(raw, fitted["floors"])
            found |= self._said(target, inside, decided, fitted["floors"], settings["coverage"])
        return {output.name: found[output.name] for output in self.outputs}

    def _fit_target(
        self, target: Target, scores: Columns, table: Table, persons: Array | None
    ) -> dict[str, Any]:
        """Return temperature and floors of one target, and the cut's floor where it decides.

        Floors are set on the network's own probabilities: a temperature that was fitted on the
        same rows would void the guarantee of several classes.
        """
        label = np.asarray(table[target.name], dtype=np.float64)
        known = ~np.isnan(label)
        label, whose = label[known].astype(np.int64), None if persons is None else persons[known]
        raw = _probabilities(target, self.contract.targets, scores)[known]
        temperature = 1.0 if self.epsilon is not None else _temperature(raw, label)
        floors, cut_floor = [], None
        for place in range(raw.shape[1]):
            own = label == place
            goals = [self.goals.coverage]
            if place == 1 and self._decides_by_sensitivity(target):
                goals.append(self.goals.sensitivity or SENSITIVITY)
            bought = self._floors(raw[own, place], goals, None if whose is None else whose[own])
            floors.append(bought[0])
            cut_floor = bought[1] if len(bought) > 1 else cut_floor
        fitted: dict[str, Any] = {"temperature": temperature, "floors": floors}
        return fitted if cut_floor is None else {**fitted, "cut_floor": cut_floor}

    def _floors(
        self, probability: Array, goals: Sequence[float], persons: Array | None
    ) -> tuple[float, ...]:
        if self.epsilon is None:
            return tuple(conformal.floor(probability, goal, persons) for goal in goals)
        return conformal.private_floors(probability, goals, self._epsilon_each, persons)

    @property
    def _epsilon_each(self) -> float:
        """Return what each class of each target may spend.

        A row has one class of a target, so that its classes compose in parallel (McSherry 2009);
        a person's rows may have several. A fitted `rate` counts as one more target.
        """
        parts = sum(
            (2 if target.kind == "binary" else len(target.values)) if self.contract.group else 1
            for target in self.contract.targets
        )
        return (self.epsilon or 0.0) / (parts + self._buys_rate)

    @property
    def _buys_rate(self) -> bool:
        decision = self.contract.decision
        return bool(decision and self.goals.sensitivity is None and decision.rate is not None)

    def _decides_by_sensitivity(self, target: Target) -> bool:
        decision = self.contract.decision
        by_goal = self.goals.sensitivity is not None
        return bool(decision and decision.target == target.name and by_goal)

    def _cut(
        self, scores: Columns, fitted: Mapping[str, Mapping[str, Any]], persons: Array | None
    ) -> float:
        """Return the calibrated probability from which the positive value is decided."""
        decision = self.contract.decision
        assert decision is not None  # the caller asks only then
        target = self.contract.target(decision.target)
        own = fitted[target.name]
        if "cut_floor" in own:
            cut_floor = np.array([[1.0 - own["cut_floor"], own["cut_floor"]]])
            return float(_calibrated(cut_floor, own["temperature"])[0, 1])
        if decision.cut is not None:
            return decision.cut
        raw = _probabilities(target, self.contract.targets, scores)
        score = _calibrated(raw, own["temperature"])[:, 1]
        share = 1.0 - float(decision.rate or 0.0)
        if self.epsilon is not None:
            return private_quantile(score, share, self._epsilon_each, persons=persons)
        return float(np.quantile(score, share, method="higher"))

    def _said(
        self,
        target: Target,
        inside: Array,
        decided: Array | None,
        floors: Sequence[float],
        coverage: float,
    ) -> dict[str, Array]:
        """Return set, abstention and reason of each row, from (rows, classes) of membership."""
        names = _values(target)
        rows = len(inside)
        written = np.empty(rows, dtype=object)
        reasons = np.empty(rows, dtype=object)
        for pattern in np.unique(inside, axis=0):
            here = (inside == pattern).all(axis=1)
            held = [name for name, kept in zip(names, pattern, strict=True) if kept]
            written[here] = SEPARATOR.join(held)
            reasons[here] = _reason(held, names, floors, coverage)
        if decided is not None:
            # An operating point may flag what the set rules out, or pass what it demands.
            against = (inside.sum(axis=1) == 1) & (inside[:, 1] != decided)
            reasons[against] = (
                f"the operating point and the set of {coverage:.0%} coverage disagree"
            )
        abstained = np.array([bool(text) for text in reasons], dtype=np.float64)
        columns = {"set": written, "abstained": abstained, "reason": reasons}
        return {self._named(target, name): column for name, column in columns.items()}

    def _named(self, target: Target, name: str) -> str:
        return name if len(self.contract.targets) == 1 else f"{name}_{target.name}"


def _reason(
    held: Sequence[str], names: Sequence[str], floors: Sequence[float], share: float
) -> str:
    """Say why a set is no answer; empty where it is one."""
    if len(held) == 1:
        return ""
    if not held:
        return f"typical of neither {' nor '.join(names)} at {share:.0%} coverage"
    unknown = [n for n, low in zip(names, floors, strict=True) if low <= conformal.ALWAYS]
    if unknown:
        return f"too few calibration images to rule out {', '.join(unknown)}"
    return f"{' and '.join(held)} stay plausible at {share:.0%} coverage"


def _values(target: Target) -> tuple[str, ...]:
    """Return a target's values in the order of its labels."""
    if target.kind == "binary":
        return (target.negative or f"not {target.positive}", target.positive)
    return target.values


def _names(target: Target, targets: Sequence[Target]) -> list[str]:
    """Return the names of a target's probability columns."""
    return [
        item.name
        for item in heads.outputs(targets)
        if item.target == target.name and item.kind == "probability"
    ]


def _probabilities(target: Target, targets: Sequence[Target], scores: Columns) -> Array:
    """Return (rows, classes) probabilities of a target, the negative value first."""
    columns = [np.asarray(scores[name], dtype=np.float64) for name in _names(target, targets)]
    if target.kind == "binary":
        return np.stack([1.0 - columns[0], columns[0]], axis=1)
    return np.stack(columns, axis=1)


def _columns(target: Target, targets: Sequence[Target], chances: Array) -> dict[str, Array]:
    names = _names(target, targets)
    if target.kind == "binary":
        return {names[0]: chances[:, 1]}
    return {name: chances[:, place] for place, name in enumerate(names)}


def _calibrated(chances: Array, temperature: float) -> Array:
    """Divide log-probabilities by the temperature, and normalise again: (rows, classes)."""
    raised = np.log(np.maximum(chances, _LEAST)) / temperature
    raised = np.exp(raised - raised.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _temperature(chances: Array, label: Array) -> float:
    """Return the temperature of least log loss on labelled rows.

    A weak prior, half its squared logarithm, keeps it finite where a few rows are told apart
    without an error.
    """
    rows = np.arange(len(label))
    losses = [
        -np.log(np.maximum(_calibrated(chances, value)[rows, label], _LEAST)).sum()
        + 0.5 * np.log(value) ** 2
        for value in _TEMPERATURES
    ]
    return float(_TEMPERATURES[int(np.argmin(losses))])
