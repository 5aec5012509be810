"""The derived fields of a contract, as the plugin interface has them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from verticals.contract.model import DataContract, Field
from verticals.history.batch import count_bites, derive
from verticals.history.define import Plan, derived_fields, make_plan
from verticals.history.stream import HistoryStream
from verticals.table import Table


@dataclass(frozen=True, kw_only=True)
class HistoryFeatures:
    """Derive what was known of an event's entities just before it; satisfies `Features`.

    One definition, carried out for a whole table (`batch`) and event by event (`stream`) with the
    same values, bit for bit:

    * An event sees the events of the same entity of strictly earlier time: window w at time t
      holds [t - w, t). Events of one time do not see one another.
    * Of these it sees the `cap` latest. Between events of one time at the cut the order of
      arrival decides: of rows in a table, of pushes in a stream.
    * Nothing older than the entity's longest window is seen, not by `since` and `recent` either
      (30 days where no window is declared): what is bounded can be forgotten.
    * Amounts are added as whole minor units, so no order of adding changes a digit. What is
      undefined (a mean of nothing) is NaN; a missing amount counts as an event, not as 0.
    * A label counts from when it became known: at t those known in [t - w, t), by the same cap.
    """

    contract: DataContract
    plan: Plan
    fields: tuple[Field, ...]
    left_out: tuple[str, ...] = ()

    def batch(self, table: Table) -> Table:
        """Return the bound table with the derived fields added, rows in the same order.

        Raises `DataError` if a column that is read is not there, a time is missing, or a label
        became known before its event.
        """
        return table.with_columns(derive(self.contract, self.plan, table))

    def notes(self, table: Table) -> tuple[str, ...]:
        """Say where the cap hid events from a window, one line for each entity and window."""
        found, caps = history_counts(self, table), {i.entity: i.cap for i in self.plan.entities}
        return tuple(
            f"the cap of {caps[entity]:,} events hid some from "
            f"{bites:,} of {events:,} events in the {window} window of {entity}"
            for entity, window, bites, events in zip(
                *(found[name] for name in ("entity", "window", "cap_bites", "events")), strict=True
            )
            if bites
        )

    def stream(self) -> HistoryStream:
        """Return an empty stream, for online scoring."""
        return HistoryStream(self.plan, late=self.contract.late_events)

    def within(self, entities: frozenset[str]) -> HistoryFeatures:
        """Return the fields that read no entity but these; `left_out` names the others.

        `entities` are keys as in `Field.reads`, such as `contract.unit_keys`: under privacy no
        field may read rows of another person.
        """
        kept = tuple(item for item in self.fields if set(item.reads) <= entities)
        left = tuple(item.name for item in self.fields if item not in kept)
        plans = tuple(item for item in self.plan.entities if item.key in entities)
        risk = any("risk" in item.measures for item in plans)
        plan = replace(self.plan, entities=plans, target=self.plan.target if risk else "")
        return replace(self, plan=plan, fields=kept, left_out=(*self.left_out, *left))


def history_features(contract: DataContract) -> HistoryFeatures | None:
    """Return what a contract derives from histories, None if it declares neither these nor amounts.

    Raises `ContractError` where a history asks for what the contract does not declare.
    """
    if contract.amount is None and not any(item.history for item in contract.entities):
        return None
    plan = make_plan(contract)
    return HistoryFeatures(contract=contract, plan=plan, fields=derived_fields(contract, plan))


def history_counts(features: HistoryFeatures, table: Table) -> Table:
    """Count, for evidence, how often the cap hid something and how often nothing was known.

    Columns: entity, window, events, cap_bites, unknown, missing (see `count_bites`).
    """
    return count_bites(features.contract, features.plan, table)
