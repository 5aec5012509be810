"""How skills and recent answers become numbers, from their declarations alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from verticals.contract import canonical
from verticals.contract.model import Field
from verticals.plugin import FieldEncoder
from verticals.table import Array
from verticals_student_assessment.tracing.roles import declared_skills


class SkillsEncoder:
    """Encode a text of skills as one column a declared skill, one for "other", one for none."""

    def shape(self, field: Field) -> tuple[int, ...]:
        """Return the shape of one row; raise `ContractError` if the skills are not declared."""
        return (len(declared_skills(field)) + 2,)

    def encode(self, field: Field, column: Array) -> Array:
        """Return float32 of (rows, skills + 2): 1 where a skill is needed."""
        place = {name: code for code, name in enumerate(declared_skills(field))}
        separator = str(field.settings.get("separator", ";"))
        values = column.tolist()
        known: dict[object, Array] = {}
        for text in dict.fromkeys(values):
            row = np.zeros(len(place) + 2, dtype=np.float32)
            names = [canonical(part) for part in str(text or "").split(separator)]
            row[[place.get(name, len(place)) for name in names if name]] = 1.0
            row[-1] = float(not row.any())
            known[text] = row
        if not values:
            return np.zeros((0, len(place) + 2), dtype=np.float32)
        return np.stack([known[text] for text in values])


class AnswersEncoder:
    """Hand the recent answers on as they are: their codes are looked up by the network."""

    def shape(self, field: Field) -> tuple[int, ...]:
        """Return the declared size."""
        return field.size

    def encode(self, field: Field, column: Array) -> Array:
        """Return float32 of (rows, *size)."""
        return np.asarray(column, dtype=np.float32).reshape(len(column), *field.size)


ENCODERS: Mapping[str, FieldEncoder] = MappingProxyType(
    {"text": SkillsEncoder(), "sequence": AnswersEncoder()}
)
