"""Write numbers the way a person reads them: one helper for each kind, used everywhere.

Undefined (None, NaN) is always "not measurable", never 0 and never blank. The minus is a true
minus sign (U+2212), so that it cannot be read as a dash.
"""

from __future__ import annotations

import math
from typing import Any

NOT_MEASURABLE = "not measurable"
NO_LIMIT = "no limit"
NO_INTERVAL = "no interval"
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def finite(value: Any) -> float | None:
    """Return the value as a finite float, or None where it is undefined or no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def count(value: Any) -> str:
    """Write a whole number with thousands separated: 1989 gives "1,989"."""
    known = finite(value)
    return NOT_MEASURABLE if known is None else _sign(f"{known:,.0f}")


def decimal(value: Any, places: int = 3) -> str:
    """Write a number with fixed decimals: .8744 gives "0.874"."""
    known = finite(value)
    if known is None:
        return NOT_MEASURABLE
    return _sign(f"{known:,.{places}f}")


def percent(value: Any, places: int = 1) -> str:
    """Write a share as a percentage: .6214 gives "62.1%"."""
    known = finite(value)
    return NOT_MEASURABLE if known is None else decimal(100 * known, places) + "%"


def significant(value: Any, digits: int = 3) -> str:
    """Write a number of any size with some significant digits: 1e-5 gives "0.00001".

    Whole numbers keep all their digits; numbers below 1e-5 are written as a power of ten.
    Infinity is "no limit", because only limits and privacy budgets may be infinite.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isinf(value):
        return NO_LIMIT
    known = finite(value)
    if known is None:
        return NOT_MEASURABLE
    if known == 0:
        return "0"
    if known == int(known) and abs(known) < 1e12:
        return count(known)
    mantissa, exponent = f"{known:.{digits - 1}e}".split("e")
    power = int(exponent)
    if power < -5 or power >= 12:
        return f"{_sign(_trim(mantissa))} × 10{str(power).translate(_SUPERSCRIPT)}"
    return _sign(_trim(f"{known:,.{max(0, digits - 1 - power)}f}"))


def at_most(value: Any, digits: int = 3) -> str:
    """Write a promise with some significant digits, rounded up: 3.0004 gives "3.01".

    What was promised must never read as less than what holds.
    """
    known = finite(value)
    if known is None or known <= 0:
        return significant(value, digits)
    step = 10.0 ** (math.floor(math.log10(known)) - digits + 1)
    return significant(math.ceil(known / step - 1e-9) * step if step else known, digits)


def p_value(value: Any) -> str:
    """Write a p-value as statisticians print it: "p = 0.034", "p < 0.001"."""
    known = finite(value)
    if known is None:
        return f"p {NOT_MEASURABLE}"
    return "p < 0.001" if known < 0.001 else f"p = {known:.3f}"


def show(value: Any, style: str) -> str:
    """Write a value in one of the styles "percent", "decimal", "count", "significant"."""
    if style == "percent":
        return percent(value)
    if style == "decimal":
        return decimal(value)
    return count(value) if style == "count" else significant(value)


def interval(lower: Any, upper: Any, style: str = "decimal") -> str:
    """Write an interval as "0.550 to 0.840", or say that there is none.

    One without width is none: the number is exact, or nobody measured how exact it is.
    """
    if finite(lower) is not None and finite(lower) == finite(upper):
        return NO_INTERVAL
    if finite(lower) is None or finite(upper) is None:
        return NO_INTERVAL
    return f"{show(lower, style)} to {show(upper, style)}"


def beside(value: Any, limit: Any, style: str = "decimal") -> str:
    """Write a value so that rounding does not hide on which side of a limit it lies.

    .79996 against a limit of .8 is "0.79996", not "0.800".
    """
    known, bound = finite(value), finite(limit)
    text = show(value, style)
    if known is None or bound is None or known == bound or style not in ("decimal", "percent"):
        return text
    for places in range(1, 9):
        write = decimal if style == "decimal" else percent
        start = 3 if style == "decimal" else 1
        text = write(known, start + places - 1)
        if text != write(bound, start + places - 1):
            return text
    return text


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _sign(text: str) -> str:
    if text.startswith("-"):
        bare = text[1:]
        zero = not any(digit in "123456789" for digit in bare)
        return bare if zero else "\u2212" + bare
    return text
