"""What a column's name alone suggests: words to look for, and the name that a field gets."""

from __future__ import annotations

import re
from collections.abc import Collection

from verticals.contract.rules import RESERVED

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text, as a set of hints."""
    return frozenset(text.split())


# Whose rows a repeated key may tie together.
PERSON = word_set(
    """
    applicant borrower candidate client customer learner member patient person pupil student
    subject user
    """
)
KEY = word_set("guid id identifier idx index key no nr number rownames ref reference uuid")
PERSONAL = word_set(
    """
    address email firstname fullname iban lastname mail mobile name passport phone ssn surname
    telephone username
    """
)
PLACE = word_set(
    """
    borough census city county district neighborhood neighbourhood postal postcode street
    suburb tract zip zipcode
    """
)
PROTECTED = word_set(
    """
    age black citizen citizenship deprivation deprived disabilities disability disabled ethnic
    ethnicity female foreign gender hispan hispanic latino male marital marriage married
    nationality native pregnancy pregnant race racial religion religious ses sex sexual veteran
    """
)
BIRTH = word_set("birth birthdate birthday birthdate dob born")
# The age of a thing is nobody's.
THING = word_set(
    "account building business car company credit device firm house loan property vehicle"
)
ADVERSE = word_set(
    """
    abnormal attrition bad bankrupt bankruptcy churn churned default denied denial died
    dropout fail failed failure fraud malignant readmission readmitted reject rejected
    rejection
    """
)
WELCOME = word_set(
    """
    accept accepted approval approve approved benign correct good granted hired pass passed promoted
    success survived
    """
)
SPLIT = word_set("fold partition split")
_TARGET = word_set(
    """
    class classification creditability diagnosis label outcome response result target y
    """
)
TARGET = ADVERSE | WELCOME | _TARGET


def words(name: str) -> tuple[str, ...]:
    """Return the words of a column's name in lower case: ("fraud", "found", "p")."""
    return tuple(word.lower() for word in _WORD.findall(name))


def is_protected(name: str) -> bool:
    """Tell whether the name speaks of a trait that law commonly protects."""
    found = set(words(name))
    if found & PROTECTED == {"age"} and found & THING:
        return False
    return bool(found & (PROTECTED | BIRTH))


def target_rank(name: str) -> int:
    """Return how strongly the name suggests a target: 0 not at all, higher is stronger."""
    found = words(name)
    if not set(found) & TARGET:
        return 0
    return 100 if len(found) == 1 else max(1, 50 - len(found))


def label_of(column: str) -> str:
    """Return a column's name as a person would write it: "Limit bal" for LIMIT_BAL."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).replace("_", " ")
    return " ".join(spaced.split()).capitalize()


def field_name(column: str, number: int, taken: Collection[str]) -> str:
    """Return a name that a contract accepts and that is not taken yet.

    `number` is the column's place from 1, for a name that has no Latin letter.
    """
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column).lower()
    plain = re.sub(r"[^a-z0-9]+", "_", snake).strip("_")[:48].strip("_")
    if not re.search("[a-z]", plain):
        plain = f"column_{number}"
    if not plain[0].isalpha():
        plain = f"c_{plain}"
    if plain in RESERVED:
        plain = f"{plain}_value"
    name, copy = plain, 2
    while name in taken:
        name, copy = f"{plain}_{copy}", copy + 1
    return name
