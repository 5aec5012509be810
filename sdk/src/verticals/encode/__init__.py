"""Turn the fields of a bound table into numbers for a network, from declarations.

`build_encoder` reads the contract and nothing else, so under privacy it costs no budget.
`fit_encoder` puts the bin edges of numeric fields at quantiles of the training part, and its
settings say so. Either way nothing is lost in silence: what is missing stands in the middle of the
declared values with a flag of its own, what lies outside is clipped, what was not declared becomes
"other", and `Encoder.counts` counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from verticals.contract.model import Field
from verticals.encode.fused import NumericPlan, numeric_plan
from verticals.encode.kinds import (
    TABULAR,
    ArrayEncoder,
    Counts,
    cell_width,
    check_cells,
    count_cells,
    count_missing,
    count_outside,
    encode_cells,
    encode_outside,
    neutral_cell,
)
from verticals.encode.scales import check_edges, declared_edges, quantile_edges
from verticals.errors import BundleError, CallError, ContractError, DataError
from verticals.plugin import FieldEncoder, Inputs
from verticals.table import Array, Table

__all__ = ["BINS", "TABLE", "Encoder", "build_encoder", "encoder_from_settings", "fit_encoder"]

#: The block that all tabular fields share.
TABLE = "table"
#: How many bins a numeric field gets where the contract declares none.
BINS = 16

_DECLARED = "declarations"
_FITTED = "training rows"


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Encode bound tables. Make one with `build_encoder`, `fit_encoder`, `encoder_from_settings`.

    `inputs` says where each field stands; `origin` is what the bin edges were read from:
    "declarations" or "training rows".
    """

    fields: tuple[Field, ...]
    inputs: Inputs
    origin: str
    encoders: Mapping[str, FieldEncoder]  # field name -> its encoder, where it has one

    def encode(self, table: Table) -> dict[str, Array]:
        """Return {block: float32 array of (rows, *shape)}; each row depends on itself alone.

        Raises `DataError` where a field is absent or not as `contract.bind` leaves it.
        """
        blocks = {
            name: np.zeros((table.rows, *shape), dtype=np.float32)
            for name, shape in self.inputs.shapes.items()
        }
        together = self._numeric
        if together is not None:
            fused = [self.inputs.fields[name] for name in together.names]
            columns = [check_cells(field, _column(table, field)) for field in fused]
            together.fill(blocks[TABLE], columns)
        for field in self.fields:
            if together is None or field.name not in together.names:
                block, where = self.inputs.where[field.name]
                blocks[block][:, where] = self.encode_field(field.name, _column(table, field))
        return blocks

    @cached_property
    def _numeric(self) -> NumericPlan | None:
        """Return the plan of all plain numeric fields; None where there is none."""
        plain = [
            field
            for field in self.fields
            if field.kind == "numeric" and not field.columns and field.name not in self.encoders
        ]
        if not plain:
            return None
        inputs = self.inputs
        starts = {field.name: inputs.where[field.name][1].start for field in plain}
        return numeric_plan(plain, inputs.edges, starts, inputs.neutral)

    def encode_field(self, name: str, column: Array) -> Array:
        """Return the encoding of one field's bound column: (rows, *shape), float32."""
        field = self.inputs.fields[name]
        if name in self.encoders:
            return encode_outside(field, self.encoders[name], column)
        edges = self.inputs.edges.get(name, ())
        return encode_cells(field, check_cells(field, column), edges).astype(np.float32)

    def counts(self, table: Table) -> Table:
        """Count, for each field, what is missing, outside the edges, or undeclared.

        Columns: field, rows (values looked at; cells, for a block or an array), missing, below,
        above, other. The edges are the declared bounds, or, fitted, the range of the training part.
        """
        found = [self._count_field(field, _column(table, field)) for field in self.fields]
        columns = {name: [asdict(item)[name] for item in found] for name in asdict(Counts(rows=0))}
        names = np.array([field.name for field in self.fields], dtype=object)
        counted = {name: np.array(values, dtype=np.int64) for name, values in columns.items()}
        return Table({"field": names, **counted})

    @property
    def tabular(self) -> tuple[str, ...]:
        """Return the names of the fields that no encoder from outside reads."""
        return tuple(field.name for field in self.fields if field.name not in self.encoders)

    def missing(self, table: Table, names: Collection[str]) -> dict[str, int]:
        """Return how many values (cells, of a block) of these tabular fields are missing."""
        return {
            field.name: count_missing(field, _column(table, field))
            for field in self.fields
            if field.name in names
        }

    def settings(self) -> dict[str, Any]:
        """Return what `encoder_from_settings` needs, as JSON: bin edges and where they are from."""
        widths = {name: _width(columns) for name, (_, columns) in self.inputs.where.items()}
        edges = {name: list(values) for name, values in self.inputs.edges.items()}
        return {"format": 1, "origin": self.origin, "edges": edges, "widths": widths}

    def _count_field(self, field: Field, column: Array) -> Counts:
        encoder = self.encoders.get(field.name)
        if encoder is None:
            edges = self.inputs.edges.get(field.name, ())
            return count_cells(field, check_cells(field, column), edges)
        if isinstance(encoder, ArrayEncoder):
            return encoder.counts(field, column)
        return count_outside(field, column)


def build_encoder(
    fields: Sequence[Field],
    *,
    bins: int = BINS,
    encoders: Mapping[str, FieldEncoder] | None = None,
) -> Encoder:
    """Build an encoder from declarations alone: no row of data is read.

    Fields that a model may not read (`Field.is_input`) are left out. `encoders` gives further
    encoders, by the name of a field or of a kind; the field's name goes first.

    Raises `ContractError` where a declaration does not suffice, `CallError` where `bins` or a key
    of `encoders` means nothing.
    """
    chosen = _chosen(fields, bins)
    outside = _outside(chosen, encoders or {})
    edges = {
        field.name: declared_edges(field, bins)
        for field in chosen
        if field.kind == "numeric" and field.name not in outside
    }
    return _assemble(chosen, edges, outside, _DECLARED)


def fit_encoder(
    fields: Sequence[Field],
    table: Table,
    *,
    bins: int = BINS,
    encoders: Mapping[str, FieldEncoder] | None = None,
) -> Encoder:
    """Build an encoder whose numeric bins are quantiles of the table, the training part.

    Never for private training: the edges are values of single rows. Declared bins are kept,
    values are clipped to declared bounds, and `Encoder.origin` says "training rows".

    Raises `ContractError`, `CallError` as `build_encoder`, and `DataError` as `Encoder.encode`.
    """
    chosen = _chosen(fields, bins)
    outside = _outside(chosen, encoders or {})
    edges = {
        field.name: quantile_edges(field, check_cells(field, _column(table, field)), bins)
        for field in chosen
        if field.kind == "numeric" and field.name not in outside
    }
    return _assemble(chosen, edges, outside, _FITTED)


def encoder_from_settings(
    settings: Mapping[str, Any],
    fields: Sequence[Field],
    encoders: Mapping[str, FieldEncoder] | None = None,
) -> Encoder:
    """Bring an encoder back from `Encoder.settings` and the same fields; needs no data.

    Raises `BundleError` where the settings are of another format or do not fit the fields.
    """
    chosen = _chosen(fields, BINS)
    outside = _outside(chosen, encoders or {})
    try:
        known = settings["format"] == 1 and settings["origin"] in (_DECLARED, _FITTED)
        edges = {str(k): tuple(map(float, v)) for k, v in dict(settings["edges"]).items()}
        widths = {str(k): int(v) for k, v in dict(settings["widths"]).items()}
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"the encoder's settings are damaged: {error!r}") from None
    numeric = {f.name for f in chosen if f.kind == "numeric" and f.name not in outside}
    if not known or set(edges) != numeric:
        raise BundleError(
            f"the encoder's settings hold bins of {sorted(edges)}, expected {sorted(numeric)}",
            hint="the contract and the settings of a bundle belong together",
        )
    for field in chosen:
        if field.name in numeric:
            check_edges(field, edges[field.name])
    encoder = _assemble(chosen, edges, outside, settings["origin"])
    found = encoder.settings()["widths"]
    if found != widths:
        differ = sorted(k for k in {*found, *widths} if found.get(k) != widths.get(k))
        raise BundleError(f"the encoder's settings do not fit the contract at {differ}")
    return encoder


def _chosen(fields: Sequence[Field], bins: int) -> tuple[Field, ...]:
    if bins < 1:
        raise CallError(f"bins is {bins}, expected at least 1")
    chosen = tuple(field for field in fields if field.is_input)
    if not chosen:
        raise ContractError(
            "no field is an input of the model", hint="give at least one field role: feature"
        )
    for field in chosen:
        if field.columns and any(set("*?[") & set(column) for column in field.columns):
            raise ContractError(
                f"field {field.name!r} still has the pattern {list(field.columns)}",
                hint="resolve the contract against the columns of the data first",
            )
        if field.kind in ("categorical", "ordinal") and len(field.values) < 2:
            raise ContractError(
                f"field {field.name!r} declares {len(field.values)} values, expected 2 or more"
            )
    return chosen


def _outside(
    fields: Sequence[Field], encoders: Mapping[str, FieldEncoder]
) -> dict[str, FieldEncoder]:
    """Return the encoder of each field that is not encoded here, by the field's name."""
    found: dict[str, FieldEncoder] = {}
    for field in fields:
        encoder = encoders.get(field.name, encoders.get(field.kind))
        if encoder is not None:
            found[field.name] = encoder
        elif field.kind in ("image", "sequence"):
            found[field.name] = ArrayEncoder()
        elif field.kind not in TABULAR:
            raise ContractError(
                f"field {field.name!r} is of kind {field.kind}, which needs a FieldEncoder",
                hint=f"give TorchSolution(encoders={{{field.kind!r}: …}}), or set role: ignore",
            )
    return found


def _assemble(
    fields: tuple[Field, ...],
    edges: Mapping[str, tuple[float, ...]],
    outside: Mapping[str, FieldEncoder],
    origin: str,
) -> Encoder:
    where: dict[str, tuple[str, slice]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for field in fields:
        shape = _shape(field, edges, outside)
        # An encoded time is one more tabular column; every other kind keeps its own block.
        if (field.name in outside and field.kind != "time") or len(shape) != 1:
            if field.name == TABLE:
                raise ContractError(f"a field of kind {field.kind} cannot be named {TABLE!r}")
            where[field.name] = (field.name, slice(0, shape[0]))
            shapes[field.name] = shape
        else:
            start = shapes.get(TABLE, (0,))[0]
            where[field.name] = (TABLE, slice(start, start + shape[0]))
            shapes[TABLE] = (start + shape[0],)
    inputs = Inputs(
        where=MappingProxyType(where),
        shapes=MappingProxyType(shapes),
        fields=MappingProxyType({field.name: field for field in fields}),
        edges=MappingProxyType(dict(edges)),
        neutral=MappingProxyType(
            {
                field.name: tuple(neutral_cell(field, edges.get(field.name, ())).tolist())
                for field in fields
                if field.name not in outside
            }
        ),
    )
    return Encoder(fields=fields, inputs=inputs, origin=origin, encoders=MappingProxyType(outside))


def _shape(
    field: Field, edges: Mapping[str, tuple[float, ...]], outside: Mapping[str, FieldEncoder]
) -> tuple[int, ...]:
    if field.name not in outside:
        return (cell_width(field, edges.get(field.name, ())) * max(1, len(field.columns)),)
    shape = tuple(outside[field.name].shape(field))
    if not shape or min(shape) < 1:
        raise ContractError(
            f"the encoder of field {field.name!r} gives shape {shape}, expected sizes of 1 or more"
        )
    return shape


def _column(table: Table, field: Field) -> Array:
    if field.name not in table:
        raise DataError(
            f"field {field.name!r} is not a column of the table {list(table)}",
            hint="bind the data to the contract first",
        )
    return table[field.name]


def _width(columns: slice) -> int:
    return int(columns.stop - columns.start)
