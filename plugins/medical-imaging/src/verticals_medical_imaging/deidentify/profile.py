"""Which action applies to which element: table E.1-1 of PS3.15, and a keep-list for the rest."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType

EDITION = "2026c"
# Of DICOM PS3.16, context group 7050: the method codes that are written into every file.
METHODS: Mapping[str, str] = MappingProxyType(
    {
        "113100": "Basic Application Confidentiality Profile",
        "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
        "113108": "Retain Patient Characteristics Option",
    }
)
CURVES, OVERLAYS = range(0x5000, 0x5100), range(0x6000, 0x6100)  # groups

# Of all dates the one that other records hold of everybody: emptied, as the table says.
UNSHIFTED = frozenset({"PatientBirthDate"})


class Action(Enum):
    """Name what becomes of an element."""

    REMOVE = "removed"
    EMPTY = "emptied"
    DUMMY = "replaced"  # by a value that says nothing
    MAP = "mapped"  # a UID, to another one
    SHIFT = "shifted"  # a date
    CODE = "coded"  # a text, to a keyed code
    RECURSE = "searched"  # a sequence, item by item
    KEEP = "kept"


# Where the table leaves a choice by the type of the attribute, the one that keeps files valid.
_ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "X": Action.REMOVE,
        "Z": Action.EMPTY,
        "X/Z": Action.EMPTY,
        "D": Action.DUMMY,
        "Z/D": Action.DUMMY,
        "X/D": Action.DUMMY,
        "X/Z/D": Action.DUMMY,
        "U": Action.MAP,
        "X/Z/U*": Action.RECURSE,
    }
)


@lru_cache(maxsize=1)
def listed() -> Mapping[int, Action]:
    """Return the action of each tag of table E.1-1; curves, overlays and private tags are apart."""
    text = files(__package__).joinpath("basic_profile.csv").read_text(encoding="ascii")
    rows = csv.DictReader(text.splitlines())
    return MappingProxyType({int(row["tag"], 16): _ACTIONS[row["action"]] for row in rows})


def action_of(tag: int, keyword: str, vr: str, *, keep_sex_age: bool = False) -> Action:
    """Return the action for an element of the DICOM dictionary, by its tag, keyword and VR.

    The table decides first, but that dates are shifted. What it does not list is kept if it is a
    number, and else if the keep-list names it.
    """
    if keep_sex_age and keyword in ("PatientSex", "PatientAge"):
        return Action.KEEP
    of_table = listed().get(tag)
    if vr in ("DA", "DT") and keyword not in UNSHIFTED:
        return Action.SHIFT
    if of_table is not None:
        return of_table
    return _UNLISTED.get(vr, Action.REMOVE) if keyword not in CODED else Action.CODE


def without_date(tag: int) -> Action:
    """Return the action for a date that cannot be shifted, because it is none."""
    return listed().get(tag, Action.REMOVE)


CODED = frozenset({"Manufacturer", "ManufacturerModelName"})
BINARY = frozenset(
    {
        *("PixelData", "FloatPixelData", "DoubleFloatPixelData", "LUTData"),
        *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue", "Alpha")),
        *(
            f"Segmented{colour}PaletteColorLookupTableData"
            for colour in ("Red", "Green", "Blue", "Alpha")
        ),
    }
)
_NUMBERS = ("US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT", "IS", "DS")
_BYTES = ("OB", "OW", "OF", "OD", "OL", "OV")
# KEEP still looks at the value: a number must be one, a code string one of the known terms.
_UNLISTED: Mapping[str, Action] = MappingProxyType(
    {
        **dict.fromkeys((*_NUMBERS, *_BYTES, "CS"), Action.KEEP),
        "UI": Action.MAP,
        "SQ": Action.RECURSE,
    }
)
