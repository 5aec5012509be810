"""Hold the ε that a bundle states against what its own noise, sampling rate, steps and δ spend.

The part of ε that training spent is recomputed. What else was bought from the budget (a decision's
cut, say) has its ε from a mechanism without such numbers and is taken as recorded: where a person
may stand in training and calibration part it is added, else the larger of both counts
(docs/decisions/0004 of the project).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from verticals.bundle import INFINITE, Bundle, FileEntry
from verticals.finish import shares_persons
from verticals_compliance.accountant import epsilon_bounds

NO_PROMISE = "no promise"
AS_RECORDED = "as recorded"
CONFIRMED = "confirmed"
AGREES = "agrees"
CONTRADICTS = "contradicts"

NEIGHBOURS = "add or remove one unit"
TOLERANCE = 2e-3  # of ε: what accountants leave unsaid, and what training may leave unspent
DIGITS = 5  # of the bounds, rounded outwards, so that every machine finds the same ones

_WEIGHTS, _SETTINGS = "weights.safetensors", "settings.json"
_NUMBERS = ("noise_multiplier", "sampling_rate", "steps", "delta")


@dataclass(frozen=True, kw_only=True)
class Accounting:
    """State what was recomputed of ε.

    `stated` is the ε that the record gives for training, `lower` and `upper` what noise, rate and
    steps give ("infinite" without noise); `other` is what was bought beside training, as recorded,
    and `total` the ε of the whole bundle. `status`: "confirmed" (ε is at least `upper`), "agrees"
    (it lies between the bounds), "contradicts" (it is below `lower`), "as recorded" (nothing could
    be recomputed), "no promise". `reason` says why not, or what contradicts.
    """

    status: str
    reason: str = ""
    total: float | None = None
    stated: float | None = None
    lower: float | str | None = None
    upper: float | str | None = None
    other: float | None = None
    method: str = ""

    @property
    def contradicts(self) -> bool:
        """Tell whether the record contradicts itself."""
        return self.status == CONTRADICTS

    @property
    def excess(self) -> tuple[float, float] | None:
        """Return how far the recomputed ε exceeds the stated one, at least and at most.

        Rounding is 0. None where nothing was recomputed, or no bound is finite.
        """
        if self.stated is None or not isinstance(self.lower, float):
            return None
        upper = self.upper if isinstance(self.upper, float) else math.inf
        low, high = (_beyond(bound, self.stated) for bound in (self.lower, upper))
        return low, high

    def to_json(self) -> dict[str, Any]:
        """Return the content of `accounting` in `details.json`."""
        return asdict(self)


def account(bundle: Bundle) -> Accounting:
    """Recompute the ε of a bundle's training, and compare."""
    return account_of(bundle.privacy, bundle.files, sequential=shares_persons(bundle.contract))


def account_of(
    promise: Mapping[str, Any] | None, files: Sequence[FileEntry], *, sequential: bool
) -> Accounting:
    """Recompute the ε of a privacy record.

    `files` say which ε the weights show, and which what was fitted on the calibration part;
    `sequential` tells that the two may speak of the same person.
    """
    said = promise or {}
    total = _number(said.get("epsilon"))
    if total is None or said.get("unsafe_noise_seed") is not None:
        return Accounting(status=NO_PROMISE)
    weights = next((_number(item.epsilon) for item in files if item.name == _WEIGHTS), None)
    # A bundle may give the weights no ε of their own (0 for declarations, say).
    stated = min(total, weights) if weights else total
    other = _beside(files, stated, sequential)
    missing = _missing(said)
    if missing:
        return Accounting(
            status=AS_RECORDED, reason=missing, total=total, stated=stated, other=other
        )
    numbers = {key: float(said[key]) for key in _NUMBERS}
    found = epsilon_bounds(
        noise=numbers["noise_multiplier"],
        rate=numbers["sampling_rate"],
        steps=int(numbers["steps"]),
        delta=numbers["delta"],
    )
    lower, upper = found.lower, found.upper
    least = lower + (other or 0.0) if sequential else max(lower, other or 0.0)
    status, reason = CONFIRMED, ""
    if _beyond(lower, stated) > 0 or _beyond(least, total) > 0:
        status, reason = CONTRADICTS, _contradiction(said, stated, total, lower, other, sequential)
    elif _beyond(upper, stated) > 0:
        status = AGREES
    return Accounting(
        status=status,
        reason=reason,
        total=total,
        stated=stated,
        lower=_outwards(lower, math.floor),
        upper=_outwards(upper, math.ceil),
        other=other,
        method=found.method,
    )


def _beside(files: Sequence[FileEntry], stated: float, sequential: bool) -> float | None:
    """Return what was bought from the calibration part, as the manifest lists it; None if nothing.

    A solution's own settings may show the training part too: then its ε is in the number.
    """
    for item in files:
        spent = _number(item.epsilon)
        if item.name == _SETTINGS and spent and "calibration rows" in item.shows:
            with_training = sequential and "training rows" in item.shows
            return max(0.0, spent - stated) if with_training else spent
    return None


def _beyond(found: float, stated: float) -> float:
    """Return by how much a number exceeds a stated one (negative: falls short); rounding is 0."""
    away = found - stated
    return 0.0 if abs(away) <= TOLERANCE * stated + 1e-6 else away


def _missing(said: Mapping[str, Any]) -> str:
    """Say why nothing can be recomputed; empty where it can."""
    absent = [key for key in _NUMBERS if said.get(key) is None]
    if absent:
        return f"the bundle does not record {', '.join(absent)}"
    if said.get("neighbouring", NEIGHBOURS) != NEIGHBOURS:
        return f"neighbours differ by {said['neighbouring']!r}, not by {NEIGHBOURS!r}"
    numbers = {key: _number(said[key]) for key in _NUMBERS}
    ranges = {
        "noise_multiplier": (0.0, math.inf),
        "sampling_rate": (0.0, 1.0),
        "steps": (0.0, 1e9),
        "delta": (1e-300, 1.0),
    }
    for key, (low, high) in ranges.items():
        value = numbers[key]
        whole = key != "steps" or (value is not None and value == int(value))
        if value is None or not (low <= value <= high) or not whole:
            return f"the bundle records {key} as {said[key]!r}, which no training can have"
    return "delta is 1: it promises nothing" if numbers["delta"] == 1.0 else ""


def _contradiction(
    said: Mapping[str, Any],
    stated: float,
    total: float,
    lower: float,
    other: float | None,
    sequential: bool,
) -> str:
    spent = "no finite ε" if math.isinf(lower) else f"at least ε = {_outwards(lower, math.floor):g}"
    numbers = (
        f"noise multiplier {said['noise_multiplier']:g}, sampling rate {said['sampling_rate']:g} "
        f"and {said['steps']:,} steps spend {spent} at δ = {said['delta']:g}"
    )
    if _beyond(lower, stated) > 0:
        part = "" if stated == total else " for training"
        return f"the bundle states ε = {stated:.4g}{part}, but its {numbers}"
    how = "together" if sequential else "the larger of which counts"
    return (
        f"the bundle states ε = {total:.4g}, but its {numbers}, and ε = {other or 0.0:.4g} was "
        f"spent beside training, {how}"
    )


def _outwards(bound: float, towards: Callable[[float], int]) -> float | str:
    """Return a bound to `DIGITS` significant digits; "infinite" where it is."""
    if math.isinf(bound):
        return INFINITE
    if bound == 0:
        return 0.0
    places = DIGITS - 1 - math.floor(math.log10(bound))
    # A number of few digits may not be moved by its own rounding.
    scaled = round(bound * 10.0**places, 6)
    return float(f"{towards(scaled)}e{-places}")


def _number(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None
