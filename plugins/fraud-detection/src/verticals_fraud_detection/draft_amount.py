"""Guess the amount of a payment: its column, currency, decimal places and bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from verticals.contract import Amount, Field
from verticals.contract.draft import GUESS, READ
from verticals.contract.guess import value_range
from verticals.contract.hints import word_set, words
from verticals.contract.profile import Profile
from verticals.table import Array

AMOUNT_COMMENT = f"{GUESS}; the bounds are {READ}"

_DIGITS = 2
_MOST_DIGITS = 4
_LARGEST = 2.0**53  # minor units that a float still tells apart
_EUR = "EUR"

_SURE = ("amount", "amt")
_MAYBE = ("value", "price", "sum", "total")
# Words beside which it is another amount than that of this event.
_OTHER = word_set(
    """
    approved average avg bal balance cashback count day days discount distinct fee fees hour
    hours income insured last limit loan max maximum mean median min minimum month number old
    prev previous qty quantity rate ratio salary score std tax tip week year
    """
)
# Words beside which "total" or "value" is an amount.
_BESIDE = word_set(
    """
    base claim gross invoice local net order paid payment purchase sale sales trans transaction
    transfer tx
    """
)
_CODES = word_set(
    """
    aed aud brl cad chf clp cny czk dkk eur gbp hkd huf idr ils inr jpy krw kwd mxn myr ngn nok
    nzd php pln ron rub sar sek sgd thb tnd try twd uah usd vnd zar
    """
)
_WRITTEN = {"euro": _EUR, "euros": _EUR}
_CURRENCY = word_set("ccy currency")
_CODE = re.compile("[A-Z]{3}")
_PLACES = {"CLP": 0, "JPY": 0, "KRW": 0, "VND": 0, "KWD": 3, "TND": 3}  # ISO 4217, where not 2


def guess_amount(
    fields: Sequence[Field], columns: Mapping[str, Profile]
) -> tuple[Amount | None, tuple[str, ...]]:
    """Return the amount that a numeric feature's name suggests, and what is to be said of it."""
    ranked = [
        (rank, number)
        for number, item in enumerate(fields)
        if item.kind == "numeric" and item.role == "feature" and item.column in columns
        if (rank := _rank(item.column)) and _fits(item, columns[item.column].numbers)
    ]
    if not ranked:
        for name, column in columns.items():
            if _rank(name) and (column.notation or column.numbers is None):
                why = "holds texts, not numbers"
                why = column.notation.text if column.notation else why
                return None, (f"{name!r} is named like an amount, and {why}",)
        wanted = "amount: {column: …, currency: EUR, bounds: [0.01, 10000]}"
        return None, (f"no column is named like an amount: declare it, such as {wanted}",)
    column = columns[fields[min(ranked)[1]].column]
    numbers: Array = np.asarray(column.numbers)
    known = numbers[~np.isnan(numbers)]
    used = _used(columns)
    currency = _currency(column.column) or (used[1][0] if len(used[1]) == 1 else "")
    exact = _decimals(known)
    usual = _PLACES.get(currency or _EUR, _DIGITS)
    digits = usual if exact is None else max(usual, exact)
    amount = Amount(
        column=column.column,
        currency=currency or _EUR,
        digits=digits if _holds(known, digits) else usual,
        bounds=value_range(known[known > 0]),
        drafted=("bounds", "digits"),
    )
    said = _said(amount, known, currency, exact)
    if len(used[1]) > 1:
        rates = ", ".join(f"{code}: …" for code in used[1][:3])
        said.append(
            f"{used[0]!r} names {len(used[1])} currencies: declare under amount currency_column: "
            f"{used[0]} and rates: {{{rates}}}"
        )
    return amount, tuple(said)


def _rank(column: str) -> tuple[int, ...]:
    """Return how well a name fits, lower is better; nothing where it does not."""
    found = words(column)
    order = [*_SURE, *_MAYBE]
    hits = [order.index(word) for word in found if word in order]
    rest = set(found) - set(order) - _CODES - set(_WRITTEN)
    if not hits or rest & _OTHER or (min(hits) >= len(_SURE) and rest - _BESIDE):
        return ()
    return (min(hits), len(found))


def _fits(item: Field, numbers: Array | None) -> bool:
    """Tell whether an amount can be read: numbers only, some of them above 0 and different."""
    if item.missing or numbers is None:  # an amount cannot declare values that mean missing
        return False
    known = numbers[~np.isnan(numbers)]
    return len(np.unique(known[known > 0])) > 1 and _holds(known, _DIGITS)


def _holds(known: Array, digits: int) -> bool:
    return bool(np.abs(known).max() * 10.0**digits < _LARGEST)


def _currency(column: str) -> str:
    """Return the currency that a name holds, as in "amount_usd", or nothing."""
    for word in words(column):
        if word in _CODES or word in _WRITTEN:
            return _WRITTEN.get(word, word.upper())
    return ""


def _used(columns: Mapping[str, Profile]) -> tuple[str, tuple[str, ...]]:
    """Return the column that names the currency of each row, and its codes; or nothing."""
    for name, column in columns.items():
        codes = tuple(sorted(column.values))
        if codes and _CURRENCY & set(words(name)) and all(map(_CODE.fullmatch, codes)):
            return name, codes
    return "", ()


def _decimals(known: Array) -> int | None:
    """Return how many decimal places hold every amount exactly, or None where more than four."""
    for digits in range(_MOST_DIGITS + 1):
        minor = known * 10.0**digits
        if np.all(np.abs(minor - np.rint(minor)) <= 1e-6 * np.maximum(1.0, np.abs(minor))):
            return digits
    return None


def _said(amount: Amount, known: Array, currency: str, exact: int | None) -> list[str]:
    of = "" if currency else ", a guess: nothing tells the currency"
    said = [f"{amount.column!r} is taken as the amount, in {amount.currency}{of}"]
    if exact is None or exact > amount.digits:
        said.append(f"{amount.column!r} is rounded to {amount.digits} decimal places")
    if np.any(known <= 0):
        said.append(f"{amount.column!r} has amounts of 0 or less, which count as the least bound")
    return said
