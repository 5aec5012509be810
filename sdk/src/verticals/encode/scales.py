"""Bin edges in a declared scale, and the piecewise-linear encoding of numbers between them."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from verticals.contract.model import Field
from verticals.errors import ContractError
from verticals.table import Array


def to_scale(field: Field, values: Array) -> Array:
    """Map values in natural units to the field's scale: x, log x, or sign(x) log(1 + |x| / knee).

    `knee` (`settings: {knee: 1000}`, default 1) is where `signed-log` turns from linear to
    logarithmic. Shapes are kept; the map is strictly increasing.
    """
    x = np.asarray(values, dtype=np.float64)
    if field.scale == "log":
        return np.asarray(np.log(x))
    if field.scale == "signed-log":
        return np.asarray(np.sign(x) * np.log1p(np.abs(x) / knee_of(field)))
    return x


def from_scale(field: Field, values: Array) -> Array:
    """Undo `to_scale`."""
    u = np.asarray(values, dtype=np.float64)
    if field.scale == "log":
        return np.asarray(np.exp(u))
    if field.scale == "signed-log":
        return np.asarray(np.sign(u) * np.expm1(np.abs(u)) * knee_of(field))
    return u


def declared_edges(field: Field, bins: int) -> tuple[float, ...]:
    """Return bin edges, lowest first, from the declaration alone: no row of data is read.

    Declared `bins` are edges (with the bounds added where those reach further); otherwise the
    bounds are divided into `bins` equal parts of the declared scale.

    Raises `ContractError` where neither is declared, or the scale does not fit the bounds.
    """
    if field.bins:
        inner = field.bins
        lower, upper = field.bounds or (inner[0], inner[-1])
        edges = (lower, *(e for e in inner if lower < e < upper), upper)
    elif field.bounds is not None:
        check_edges(field, field.bounds)
        low, high = to_scale(field, np.array(field.bounds))
        inner = tuple(from_scale(field, np.linspace(low, high, bins + 1)[1:-1]).tolist())
        edges = (field.bounds[0], *inner, field.bounds[1])
    else:
        raise ContractError(
            f"field {field.name!r} is numeric and declares neither bounds nor bins",
            hint=f"declare bounds: [lowest, highest] under {field.name} in the contract",
        )
    check_edges(field, edges)
    return edges


def quantile_edges(field: Field, values: Array, bins: int) -> tuple[float, ...]:
    """Return bin edges at the quantiles of the values: not private, so recorded as such.

    Values are clipped to the declared bounds first. Declared bins are kept as they are, as are
    declared bounds where the values are too few to say anything.

    Raises `ContractError` as `declared_edges`.
    """
    known = np.asarray(values, dtype=np.float64).ravel()
    known = known[np.isfinite(known)]
    if field.bounds is not None:
        known = np.clip(known, *field.bounds)
    distinct = np.unique(known)
    if field.bins or (len(distinct) < 2 and field.bounds is not None):
        return declared_edges(field, bins)
    if len(distinct) > bins + 1:
        distinct = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)))
    if len(distinct) == 0:
        distinct = np.array([1.0])
    if len(distinct) == 1:
        distinct = np.array([distinct[0], distinct[0] + 1.0])
    edges = tuple(distinct.tolist())
    check_edges(field, edges)
    return edges


def check_edges(field: Field, edges: tuple[float, ...]) -> None:
    """Raise `ContractError` unless the edges are finite, rising, and inside the scale's domain."""
    shown = ", ".join(f"{edge:g}" for edge in edges[:8])
    if not all(map(math.isfinite, edges)) or any(a >= b for a, b in pairwise(edges)):
        raise ContractError(
            f"field {field.name!r} has bounds or bins [{shown}], expected finite rising numbers"
        )
    if len(edges) < 2:
        raise ContractError(f"field {field.name!r} has one bin edge [{shown}], expected two")
    if field.scale == "log" and edges[0] <= 0:
        raise ContractError(
            f"field {field.name!r} has scale log from {edges[0]:g}, expected a bound above 0",
            hint="declare a positive lower bound, or scale: signed-log",
        )


def piecewise_linear(field: Field, values: Array, edges: tuple[float, ...]) -> Array:
    """Encode numbers as how far each bin is filled, 0 to 1; here a missing value fills none.

    Inside the edges the encoding is monotone and invertible: the filled widths add up to the
    distance from the lowest edge. Outside it is that of the nearest edge. From "piecewise linear
    encoding", Gorishniy et al. 2022 (arXiv:2203.05556), eq. 1, with both ends clipped.

    Takes any shape (...), returns float64 of (..., bins).
    """
    marks = to_scale(field, np.array(edges))
    x = to_scale(field, np.clip(values, edges[0], edges[-1]))[..., None]
    filled = np.clip((x - marks[:-1]) / np.diff(marks), 0.0, 1.0)
    return np.asarray(np.nan_to_num(filled, nan=0.0))


def knee_of(field: Field) -> float:
    """Return where `signed-log` turns from linear to logarithmic (see `to_scale`)."""
    knee = field.settings.get("knee", 1.0)
    if isinstance(knee, bool) or not isinstance(knee, (int, float)) or not 0 < knee < math.inf:
        raise ContractError(
            f"field {field.name!r} has settings.knee {knee!r}, expected a positive number"
        )
    return float(knee)
