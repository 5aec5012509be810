"""What leaving demographics out costs: the same network once more, with them, side by side.

Yu, Lee and Kizilcec (2021, "Should college dropout prediction models include protected
attributes?", Learning @ Scale) ask for that comparison. It is one more training on the same rows:
under differential privacy that would be a second release, so that it is not done there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from verticals.collect import unit_index
from verticals.contract import DataContract
from verticals.contract.model import Field
from verticals.errors import VerticalsError
from verticals.finish import score_name
from verticals.intervals import Interval
from verticals.intervals.base import t_value
from verticals.intervals.means import standard_error
from verticals.plugin import Columns, Model, Setup, TorchSolution
from verticals.table import Array, Table
from verticals_student_assessment.risk import weeks
from verticals_student_assessment.risk.demo import demo
from verticals_student_assessment.risk.measures import FEWEST, fewest_persons, none
from verticals_student_assessment.risk.networks import network, trained_with

_METHOD = "AUC with the protected fields as inputs less AUC without, DeLong, paired, by person"


def demographics_table(
    model: Model, parts: Mapping[str, Table], contract: DataContract, scores: Columns
) -> Table:
    """Return one row for each binary target: output, fields, with_auc, without_auc, and the gain.

    `gain`, `lower` and `upper` are NaN where it was not measured, and `method` says why.
    """
    audited = parts["test"]
    targets = [t for t in contract.targets if t.kind == "binary" and t.name in audited]
    added, late = protected_inputs(contract, parts.get("train")), _known_later(contract)
    why = _why_not(model, parts, added)
    again: Columns = {}
    if not why:
        try:
            again = _again(model, parts, contract, added)
        except VerticalsError as error:  # the first model stands, whatever becomes of the second
            why = f"the second training failed: {error.message}"
    beside = f"; not added, as known later: {', '.join(late)}" if late else ""
    rows = []
    for target in targets:
        output = score_name(contract, target.name)
        label = np.asarray(audited[target.name], dtype=np.float64)
        known, unit = ~np.isnan(label), unit_index(audited)
        found = none(f"not measured: {why}", audited.rows)
        if not why:
            first, second = (np.asarray(c[output], dtype=np.float64) for c in (scores, again))
            found = paired_gain(first[known], second[known], label[known], unit[known])
        found = dataclasses.replace(found, method=found.method + beside)
        rows.append((output, found, int(np.unique(unit[known]).size)))
    return Table(
        {
            "output": np.array([row[0] for row in rows], dtype=object),
            "fields": np.array([", ".join(item.name for item in added)] * len(rows), dtype=object),
            **{
                name: np.array([_number(getattr(row[1], at)) for row in rows])
                for name, at in (("gain", "estimate"), ("lower", "lower"), ("upper", "upper"))
            },
            "method": np.array([row[1].method for row in rows], dtype=object),
            "persons": np.array([row[2] for row in rows], dtype=np.int64),
        },
        rows=len(rows),
    )


def paired_gain(
    without: Array, having: Array, label: Array, unit: Array, *, level: float = 0.95
) -> Interval:
    """Compute AUC of `having` less AUC of `without` on the same rows, with limits by person.

    Variance from differences of placements (DeLong, DeLong and Clarke-Pearson, Biometrics 44,
    1988), summed within persons (Obuchowski, Biometrics 53, 1997).
    """
    if fewest_persons(label, unit) < FEWEST:
        return none(f"fewer than {FEWEST} persons in the rarer class", label.size)
    positive = label == 1
    influence = np.zeros(label.size)
    areas = []
    for score, sign in ((without, -1.0), (having, 1.0)):
        above, below = _placements(score, positive)
        areas.append(float(above.mean()))
        influence[positive] += sign * (above - areas[-1]) / above.size
        influence[~positive] += sign * (below - areas[-1]) / below.size
    gain = areas[1] - areas[0]
    error, _ = standard_error(influence, unit)
    half = t_value(level, fewest_persons(label, unit) - 1) * error
    return Interval(
        estimate=gain, lower=gain - half, upper=gain + half, n=label.size, method=_METHOD
    )


def protected_inputs(contract: DataContract, train: Table | None = None) -> tuple[Field, ...]:
    """Return the protected fields that the model does not read, as it could read them.

    Without those that are known only after the week that is predicted from. A number that declares
    bands alone gets bins from them, wide enough for the values in `train`.
    """
    late = _known_later(contract)
    found = []
    for item in contract.fields:
        if item.role == "protected" and not item.also_feature and item.name not in late:
            read = dataclasses.replace(item, also_feature=True, monotone="")
            if item.kind == "numeric" and not (item.bounds or item.bins):
                values = train[item.name] if train is not None and item.name in train else ()
                read = dataclasses.replace(read, bins=_bins(item.bands, values), scale="linear")
            found.append(read)
    return tuple(found)


def _known_later(contract: DataContract) -> tuple[str, ...]:
    """Return the names of protected fields that no model could read in time.

    In a panel that is every field with a week above 0: some rows are of earlier weeks.
    """
    panel = weeks.panel_field(contract) is not None
    by = 0 if panel else weeks.prediction_week(contract) or 0
    return tuple(
        item.name
        for item in contract.fields
        if item.role == "protected"
        and not item.also_feature
        and (int(item.settings.get(weeks.WEEK, 0)) > by or item.settings.get(weeks.LEFT_WEEK))
    )


def _bins(bands: tuple[float, ...], values: Array | tuple[()]) -> tuple[float, ...]:
    """Return edges: the bands, and one more on each side, beyond which no value lies."""
    if not bands:
        return ()
    first, last = float(bands[0]), float(bands[-1])
    widths = np.diff(bands) if len(bands) > 1 else np.array([max(abs(first), 1.0)])
    number = np.asarray(values, dtype=np.float64)
    number = number[np.isfinite(number)]
    low = min(first - float(widths[0]), float(number.min(initial=first)))
    high = max(last + float(widths[-1]), float(number.max(initial=last)))
    return (low, *map(float, bands), high)


def _why_not(model: Model, parts: Mapping[str, Table], added: tuple[Field, ...]) -> str:
    if not added:
        return "no protected field is left out that is known in time"
    if "train" not in parts:
        return "it takes the training part, which only the producer has"
    if model.state().settings.get("privacy") is not None:
        return "a second private training would be a second release of the same data"
    if trained_with(getattr(model, "network", None)) is None:
        return "the network was loaded, not trained here"
    return ""


def _again(
    model: Model, parts: Mapping[str, Table], contract: DataContract, added: tuple[Field, ...]
) -> Columns:
    """Return the scores of the audited part by the same network with the protected fields."""
    from verticals.torch_adapter import TorchAdapter

    how = trained_with(getattr(model, "network", None)) or {}
    given = {item.name: item for item in added}
    fields = tuple(given.get(item.name, item) for item in contract.fields)
    setup = Setup(
        contract=dataclasses.replace(contract, fields=fields),
        options=how.get("options", {}),
        seed=int(how.get("seed", 0)),
        device=str(next(model.network.parameters()).device),  # type: ignore[attr-defined]
    )
    adapter = TorchAdapter(TorchSolution(demo=demo, network=network))
    return adapter.fit(parts, setup).predict(parts["test"])


def _placements(score: Array, positive: Array) -> tuple[Array, Array]:
    """Return for each positive the share of negatives below it, for each negative the reverse."""
    high, low = np.sort(score[positive]), np.sort(score[~positive])

    def share_below(sorted_values: Array, values: Array) -> Array:
        left = np.searchsorted(sorted_values, values, side="left")
        right = np.searchsorted(sorted_values, values, side="right")
        return np.asarray((left + right) / 2 / sorted_values.size)

    return share_below(low, score[positive]), 1.0 - share_below(high, score[~positive])


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
