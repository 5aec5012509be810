"""Tell of values that are missing where none was missing in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from verticals.contract.model import DataContract
from verticals.plugin import Model
from verticals.table import Table


@runtime_checkable
class CountsUnseen(Protocol):
    """A model that remembers which fields were never missing in training."""

    def missing_unseen(self, table: Table) -> Mapping[str, int]:
        """Count the missing values of each such field in a bound table; fields with none left out.

        Empty under privacy, where no such fact of the training rows is recorded.
        """
        ...


def missing_unseen(model: Model, table: Table) -> Mapping[str, int]:
    """Return what the model counts, or nothing where it does not."""
    return model.missing_unseen(table) if isinstance(model, CountsUnseen) else {}


def unseen_notes(contract: DataContract, counted: Mapping[str, int]) -> tuple[str, ...]:
    """Say for each field how many values are missing of which training had none."""
    return tuple(
        f"{contract.field(name).title} ({name}): {count} missing, and none was missing in "
        "training; the score takes it for the middle of what the contract declares"
        for name, count in counted.items()
    )
