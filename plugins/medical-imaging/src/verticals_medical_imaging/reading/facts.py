"""What is known of an image besides its pixels; what identifies a person is kept apart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from verticals.table import Array, Table


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Say what an image is; nothing here names a person or an examination."""

    format: str  # dicom, png, jpeg, tiff, array
    modality: str = ""
    photometric: str = ""  # DICOM's photometric interpretation, or the mode of another format
    bits: int = 0  # stored for each sample
    rows: int = 0
    columns: int = 0
    frames: int = 1
    frame: int = 0  # which of them, from 0
    manufacturer: str = ""
    view: str = ""
    laterality: str = ""
    sex: str = ""  # M, F, O or not known
    age: float = math.nan  # years


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Hold what identifies a person or an examination; never shown, logged or put in an error."""

    patient_id: str = field(default="", repr=False)
    study_uid: str = field(default="", repr=False)
    series_uid: str = field(default="", repr=False)
    sop_uid: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """Hold one frame after its modality LUT: (rows, columns) or, in colour, (rows, columns, 3).

    `nominal` is the range that the storage could hold, None where it says nothing (floats).
    `mirrored` says that the lowest value is white. `voi` maps values to 0 … 1 by the file's own
    VOI LUT or window; None where it has none. `has_voi_module` is False for formats whose values
    are already what is shown, for which no window of their own is expected.
    """

    values: Array
    facts: Facts
    nominal: tuple[float, float] | None = None
    identity: Identity = Identity()
    mirrored: bool = False
    voi: Callable[[Array], Array] | None = None
    has_voi_module: bool = False


def facts_table(items: Sequence[Facts]) -> Table:
    """Return a column for each fact; text columns are of objects."""
    return _table(items, Facts)


def identity_table(items: Sequence[Identity]) -> Table:
    """Return a column for each identifier."""
    return _table(items, Identity)


def _table(items: Sequence[object], kind: type) -> Table:
    columns = {}
    for key in dataclasses.fields(kind):
        dtype = {"int": np.int64, "float": np.float64}.get(str(key.type), object)
        columns[key.name] = np.array([getattr(item, key.name) for item in items], dtype=dtype)
    return Table(columns, rows=len(items))
