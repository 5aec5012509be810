"""Attributions: what each field of the contract added to a score, and whether it adds up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verticals.errors import ExplanationError
from verticals.table import Array

EXACT_ADDITIVE = "exact: closed form of an additive model over the declared background"
LOG_ODDS = "log-odds"
PROBABILITY_SHARE = "log-odds share of the probability"
VALUE = "value"

# float32 networks reach about 1e-6 of the scale of their scores; a thousand times that is a fault.
RELATIVE_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Attributions:
    """Hold Shapley values in the scale of the raw scores (log-odds for a probability).

    `values` is (rows, outputs, fields), `base` is (outputs,) and `raw` is (rows, outputs); for
    each row and output `base + values.sum(fields)` is `raw` up to `additivity_error`, the largest
    absolute difference seen. `standard_error` has the shape of `values` for sampled methods and
    is None for exact ones.
    """

    outputs: tuple[str, ...]
    fields: tuple[str, ...]
    values: Array
    base: Array
    raw: Array
    method: str
    additivity_error: float
    standard_error: Array | None = None


def checked(
    *,
    outputs: tuple[str, ...],
    fields: tuple[str, ...],
    values: Array,
    base: Array,
    raw: Array,
    method: str,
    standard_error: Array | None = None,
) -> Attributions:
    """Return attributions whose additivity has been checked.

    Raises `ExplanationError` if they are not finite, or if base and values miss the raw score by
    more than a thousandth of its scale.
    """
    rebuilt = base[None, :] + values.sum(axis=2)  # (rows, outputs)
    error = float(np.abs(rebuilt - raw).max()) if raw.size else 0.0
    scale = max(1.0, float(np.abs(raw).max())) if raw.size else 1.0
    if not np.isfinite(error) or error > RELATIVE_TOLERANCE * scale:
        raise ExplanationError(
            f"attributions ({method}) miss the score by {error:.3g}, expected at most "
            f"{RELATIVE_TOLERANCE * scale:.3g}",
            hint="verticals check SOLUTION",
        )
    return Attributions(
        outputs=outputs,
        fields=fields,
        values=values,
        base=base,
        raw=raw,
        method=method,
        additivity_error=error,
        standard_error=standard_error,
    )


def probability_shares(attributions: Attributions, output: int = 0) -> Array:
    """Share the change of the probability among the fields in proportion to their log-odds.

    Returns (rows, fields), whose row sums are `sigmoid(raw) - sigmoid(base)`. These are shares of
    log-odds attributions and not Shapley values of the probability. Where the log-odds cancel
    out, the proportion is 0/0 and its limit, the slope of the sigmoid, is used.
    """
    phi = attributions.values[:, output, :]  # (rows, fields)
    base = attributions.base[output]
    total = phi.sum(axis=1)
    change = sigmoid(base + total) - sigmoid(np.asarray(base))
    slope = sigmoid(np.asarray(base)) * (1.0 - sigmoid(np.asarray(base)))
    small = np.abs(total) < 1e-9
    factor = np.where(small, slope, change / np.where(small, 1.0, total))
    return np.asarray(phi * factor[:, None])


def sigmoid(log_odds: Array) -> Array:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(log_odds, dtype=np.float64))))
