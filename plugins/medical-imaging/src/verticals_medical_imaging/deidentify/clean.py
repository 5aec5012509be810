"""Clean one dataset: every element by its action, in every sequence, to a new dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from verticals.errors import DataError
from verticals_medical_imaging.deidentify.profile import (
    BINARY,
    CURVES,
    METHODS,
    OVERLAYS,
    Action,
    action_of,
    without_date,
)
from verticals_medical_imaging.deidentify.pseudonyms import Pseudonyms, shifted
from verticals_medical_imaging.deidentify.terms import MAKERS, kept_age, kept_term

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

MAX_DEPTH = 32  # of sequences in sequences
_PRIVATE, _CURVE, _OVERLAY, _UNKNOWN = "(private)", "(curve)", "(overlay)", "(unknown)"
_DUMMIES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("LO", "SH", "ST", "LT", "UT", "UC", "PN", "AE", "CS"), "REMOVED"),
        **dict.fromkeys(("DA", "DT"), "19000101"),
        **dict.fromkeys(("IS", "DS"), "0"),
        "AS": "000Y",
        "TM": "000000",
    }
)
_NOTHING = object()  # what an element becomes that is removed

Counts = Counter[tuple[str, str]]  # (keyword, action) -> elements


@dataclass(frozen=True, kw_only=True)
class Cleaner:
    """Clean the elements of one file, and count what was done to them."""

    pseudonyms: Pseudonyms
    patient: str  # the identity of the file's patient
    keep_sex_age: bool = False
    counts: Counts = field(default_factory=Counter)

    def dataset(self, source: Dataset, depth: int = 0) -> Dataset:
        """Return a new dataset of what may be kept; raise `DataError` for too deep a nesting."""
        from pydicom import Dataset

        if depth > MAX_DEPTH:
            raise DataError(f"sequences nested deeper than {MAX_DEPTH}, expected fewer")
        clean = Dataset()
        for tag in sorted(source.keys()):
            keyword, element = self._element(source, tag, depth)
            if element is None:
                self.counts[keyword, Action.REMOVE.value] += 1
            else:
                clean.add(element)
        return clean

    def _element(self, source: Dataset, tag: Any, depth: int) -> tuple[str, DataElement | None]:
        """Return the keyword of an element, and what becomes of it: None where it goes."""
        from pydicom import DataElement
        from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR

        if tag.is_private:
            return _PRIVATE, None
        if tag.group in CURVES or tag.group in OVERLAYS:
            return _CURVE if tag.group in CURVES else _OVERLAY, None
        misplaced = tag.group < 8 or tag.element == 0  # commands, file meta, group lengths
        if misplaced or not dictionary_has_tag(tag) or not (keyword := dictionary_keyword(tag)):
            return _UNKNOWN, None
        try:
            element = source[tag]
        except Exception:  # a value that is not of its VR: text where a number is due
            return keyword, None
        vr = dictionary_VR(tag)
        if element.VR not in (vr, *vr.split(" or ")):
            return keyword, None  # else text could pass under the VR of a number
        action = action_of(tag, keyword, vr.split(" ")[0], keep_sex_age=self.keep_sex_age)
        value, done = self._value(element, keyword, action, depth)
        if value is _NOTHING:
            return keyword, None
        self.counts[keyword, done.value] += 1
        return keyword, DataElement(tag, element.VR, value)

    def _value(
        self, element: DataElement, keyword: str, action: Action, depth: int
    ) -> tuple[Any, Action]:
        if keyword in ("PatientID", "PatientName"):
            return self.pseudonyms.patient(self.patient), Action.DUMMY
        if action is Action.SHIFT:
            dates = [shifted(text, self.days) for text in _texts(element.value)]
            if dates and all(dates):
                return dates if len(dates) > 1 else dates[0], action
            action = without_date(element.tag)
        if action is Action.RECURSE:
            return self._items(element, depth), action
        return _BY_ACTION[action](self, element, keyword), action

    @property
    def days(self) -> int:
        """Return by how many days this patient's dates go back."""
        return self.pseudonyms.days(self.patient)

    def _items(self, element: DataElement, depth: int) -> Any:
        """Return the cleaned items of a sequence; nothing where none of them has content."""
        items = [self.dataset(item, depth + 1) for item in element.value or ()]
        return items if any(len(item) for item in items) else _NOTHING

    def _mapped(self, element: DataElement, keyword: str) -> Any:
        uids = [
            text if is_registered(text) else self.pseudonyms.uid(text)
            for text in _texts(element.value)
        ]
        return uids if len(uids) > 1 else "".join(uids)

    def _coded(self, element: DataElement, keyword: str) -> Any:
        text = " ".join(_texts(element.value))
        if not text or text.upper() in MAKERS or _is_code(text):
            return text
        return self.pseudonyms.code("MODEL" if "Model" in keyword else "MAKER", text)

    def _kept(self, element: DataElement, keyword: str) -> Any:
        """Return a value that is what it should be: a number, known bytes, a known term."""
        if isinstance(element.value, bytes):
            return element.value if keyword in BINARY else _NOTHING
        if keyword == "PatientAge":
            return kept_age("".join(_texts(element.value))) or _NOTHING
        if element.VR == "CS":
            texts = _texts(element.value)
            good = [text if kept_term(keyword, text) else "" for text in texts]
            if not any(good):
                return _NOTHING
            return good if len(good) > 1 else good[0]
        if element.VR in ("IS", "DS"):
            # As numbers, since pydicom writes back the text that it has read.
            numbers = [_number(text) for text in _texts(element.value)]
            if None in numbers:
                return _NOTHING
            return numbers if len(numbers) != 1 else numbers[0]
        return element.value


def _emptied(cleaner: Cleaner, element: DataElement, keyword: str) -> Any:
    return [] if element.VR == "SQ" else ""


def _dummied(cleaner: Cleaner, element: DataElement, keyword: str) -> Any:
    if element.VR == "SQ":
        return []
    if element.VR == "UI":
        return cleaner._mapped(element, keyword)
    return _DUMMIES.get(element.VR, _NOTHING)


_BY_ACTION: Mapping[Action, Callable[[Cleaner, DataElement, str], Any]] = MappingProxyType(
    {
        Action.REMOVE: lambda cleaner, element, keyword: _NOTHING,
        Action.EMPTY: _emptied,
        Action.DUMMY: _dummied,
        Action.MAP: Cleaner._mapped,
        Action.CODE: Cleaner._coded,
        Action.KEEP: Cleaner._kept,
    }
)


def mark(clean: Dataset, *, keep_sex_age: bool) -> None:
    """Write that, and how, a dataset was de-identified (PS3.15 E.1.1 and PS3.3 C.7.1.1)."""
    from pydicom import Dataset

    codes = [code for code in METHODS if keep_sex_age or code != "113108"]
    items = []
    for code in codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", METHODS[code]
        items.append(item)
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = "verticals-medical-imaging 1"
    clean.DeidentificationMethodCodeSequence = items
    clean.LongitudinalTemporalInformationModified = "MODIFIED"


def _texts(value: Any) -> list[str]:
    """Return the values of an element as text, without padding."""
    if value is None or isinstance(value, bytes):
        return []
    many = value if not isinstance(value, str) and hasattr(value, "__iter__") else [value]
    return [str(item).strip(" \0") for item in many]


def is_registered(uid: str) -> bool:
    """Tell whether the standard itself gives a UID its meaning: a SOP class, a transfer syntax."""
    from pydicom.uid import UID

    return UID(uid).name != uid


def _number(text: str) -> str | None:
    if not text:
        return ""
    try:
        number = float(text)
    except ValueError:
        return None
    whole = number.is_integer() and abs(number) < 2**31
    short = str(int(number)) if whole else repr(number)
    return short if len(short) <= 16 else f"{number:.9g}"  # a DS has at most 16 characters


def _is_code(text: str) -> bool:
    kind, _, digits = text.partition("-")
    return (
        kind in ("MAKER", "MODEL")
        and len(digits) == 8
        and not set(digits) - set("0123456789abcdef")
    )
