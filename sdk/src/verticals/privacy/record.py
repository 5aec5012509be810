"""What a private training may say of itself: the record in a bundle's privacy.json."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verticals.errors import PrivacyError
from verticals.privacy.accounting import PrivacyPlan

NEIGHBOURS = "add or remove one unit"
_NOUNS = {"row": ("row", "rows"), "group": ("person", "persons")}


@dataclass(frozen=True, kw_only=True)
class PrivacyRecord:
    """Record what a private training spent, how, and what its guarantee covers.

    Everything here is fixed by declarations, options and the number of units, which counts as
    public; nothing is computed from a row. Where `unsafe_noise_seed` is set, no epsilon holds.
    """

    epsilon: float
    target_epsilon: float
    delta: float
    unit: str
    units: int
    neighbouring: str
    sampling_rate: float
    steps: int
    noise_multiplier: float
    max_grad_norm: float
    max_rows_per_unit: int
    accountant: str
    accountant_version: str
    noise_source: str
    unsafe_noise_seed: int | None
    statement: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {**dataclasses.asdict(self), "statement": list(self.statement)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PrivacyRecord:
        """Read a record back; raise `PrivacyError` naming keys that lack or are unknown."""
        names = {item.name for item in dataclasses.fields(cls)}
        lacking, unknown = sorted(names - set(value)), sorted(set(value) - names)
        if lacking or unknown:
            raise PrivacyError(
                f"privacy record lacks the keys {lacking} and has the unknown keys {unknown}, "
                f"expected {sorted(names)}"
            )
        return cls(**{**value, "statement": tuple(value["statement"])})


@dataclass(frozen=True, kw_only=True)
class Composition:
    """State what several releases about the same persons spend together.

    `epsilon` is infinite where any of them has none.
    """

    epsilon: float
    delta: float
    unit: str
    releases: int
    statement: tuple[str, ...]


def record_of(plan: PrivacyPlan, *, noise_source: str) -> PrivacyRecord:
    """Return the record of a training that ran as planned."""
    fields = {
        **dataclasses.asdict(plan),
        "neighbouring": NEIGHBOURS,
        "noise_source": noise_source,
    }
    return PrivacyRecord(**fields, statement=_statement(plan))


def compose(records: Sequence[PrivacyRecord]) -> Composition:
    """Add up releases by basic composition (Dwork et al. 2006): epsilons and deltas are summed.

    It holds whatever data the releases share, as when a model is trained anew each quarter.
    Raises `PrivacyError` if there is none, or if they protect different units.
    """
    if not records:
        raise PrivacyError("no privacy record is given, expected at least one")
    units = sorted({record.unit for record in records})
    if len(units) > 1:
        raise PrivacyError(
            f"the records protect different units ({' and '.join(units)}), expected one",
            hint="train all of them with the same `group:` in the contract",
        )
    known = any(record.unsafe_noise_seed is not None for record in records)
    epsilon = math.inf if known else sum(record.epsilon for record in records)
    delta = sum(record.delta for record in records)
    if known:
        text = "No epsilon holds for these releases: the noise of at least one is known."
    else:
        text = (
            f"Together the {len(records)} releases are ({epsilon:.4g}, {delta:.4g})-differentially "
            f"private: the sum over them, which holds however much their {units[0]}s overlap."
        )
    return Composition(
        epsilon=epsilon, delta=delta, unit=units[0], releases=len(records), statement=(text,)
    )


def _statement(plan: PrivacyPlan) -> tuple[str, ...]:
    if plan.unsafe_noise_seed is not None:
        return (
            "No epsilon holds: the noise came from a known seed, as a test does. Whoever knows the "
            "seed can take the noise away again. Do not release this model.",
        )
    return (*_covered(plan), *_not_covered(plan))


def _covered(plan: PrivacyPlan) -> tuple[str, ...]:
    noun, nouns = _NOUNS[plan.unit]
    epsilon = plan.epsilon
    whole = " with all rows of that person" if plan.unit == "group" else ""
    sampled = (
        f"used every {noun}"
        if plan.sampling_rate == 1.0
        else f"drew every {noun} by itself with probability {plan.sampling_rate:.4g}"
    )
    return (
        f"Covered: the released weights are ({epsilon:.4g}, {plan.delta:.2g})-differentially "
        f"private. Had one {noun}{whole} been added to or removed from the training part, the "
        f"probability of any outcome would have changed by a factor of at most e^{epsilon:.4g} = "
        f"{_factor(epsilon)}, give or take {plan.delta:.2g}.",
        f"Covered: everything that is computed from the weights without looking at the training "
        f"{nouns} again, whatever else a reader knows.",
        f"How: each of the {plan.steps} steps {sampled}, clipped the gradient of each {noun} to "
        f"length {plan.max_grad_norm:g} and added Gaussian noise of standard deviation "
        f"{plan.noise_multiplier * plan.max_grad_norm:.4g} to their sum. The steps were fixed "
        "beforehand, no loss was looked at, and sampling and noise came from the operating system "
        "and were stored nowhere.",
    )


def _not_covered(plan: PrivacyPlan) -> tuple[str, ...]:
    noun, nouns = _NOUNS[plan.unit]
    rows = (
        (
            "Not covered: a person with several rows is protected row by row only; name a `group` "
            "in the contract to protect persons.",
        )
        if plan.unit == "row"
        else ()
    )
    return (
        f"Not covered: the number of training {nouns} ({plan.units}) is treated as public.",
        "Not covered: what the contract declares (bounds, categories, bins, labels) and the "
        "initial or external weights are taken as public, as made without these data.",
        "Not covered: the choice of options, or among several models, by results on these data. "
        "Every training spends its own epsilon, and the sum counts.",
        "Not covered, unless it is said below: calibration and test parts, whatever was fitted or "
        "measured on them, and evidence folders.",
        f"Not covered: what is true of many persons at once. A model may still reveal much about a "
        f"person through others who are alike; it would have done so without that person's {noun}.",
        *rows,
        "Not covered: the proof is about real numbers, while the sums are made in floating point "
        "(noise is added in 64 bits, each number a sum of Gaussians, against the known attacks); "
        "time and memory that training took may depend on the data.",
    )


def _factor(epsilon: float) -> str:
    return f"{math.exp(epsilon):.3g}" if epsilon < 700 else "more than 1e300"
