"""What a column's name alone suggests: words to look for, and the name that a field gets."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from verticals.contract.rules import RESERVED

_NUMBERED_LETTER = re.compile(r"(?<![A-Za-z])[A-Za-z][0-9]+")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text, as a set of hints."""
    return frozenset(text.split())


# Whose rows a repeated key may tie together.
PERSON = word_set(
    """
    applicant borrower candidate client customer learner member mrn pat patient person pupil
    student subject user
    alumna alumno apprenant bewerber clienta cliente deelnemer elev eleve estudante estudiante
    etudiant klant klient kunde kunden kundennr kundennummer kundin leerling matnr matric
    matriculation matricule matrikel matrikelnummer paciente patienten patientennummer patientin
    paziente personne schueler schuelernummer schuler schulerin schulernummer studente studenti
    studierende studierender teilnehmer utente versicherter
    """
)
KEY = word_set(
    """
    guid id identifier idx index key kundennr kundennummer matnr matrikelnummer mrn no nr number
    nummer patientennummer ref reference rownames schuelernummer schulernummer uuid
    """
)
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
# What small whole numbers name, rather than count.
CODE = word_set(
    """
    area bank branch brand category channel class cluster code codes color colour contract cohort
    country day dayofweek department dept district dow education employment essay gender group
    hospital housing industry job kind label language make manufacturer marital mode model month
    occupation origin plan product profession programme program prompt property purpose quarter
    region scanner school season sector segment set shop site state status store task term topic
    tract type types vendor view ward weekday zip zone
    """
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
    """Return the words of a column's name in lower case and without accents.

    >>> words("FraudFound_P"), words("Schülernummer")
    (('fraud', 'found', 'p'), ('schulernummer',))
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return tuple(word.lower() for word in _WORD.findall(plain))


def is_protected(name: str) -> bool:
    """Tell whether the name speaks of a trait that law commonly protects."""
    found = set(words(name))
    if found & PROTECTED == {"age"} and found & THING:
        return False
    return bool(found & (PROTECTED | BIRTH))


def target_rank(name: str) -> int:
    """Return how strongly the name suggests a target: 0 not at all, higher is stronger.

    A lone letter with a number, such as y06, is a year or one of many, and no target.
    """
    found = words(_NUMBERED_LETTER.sub("", name))
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
