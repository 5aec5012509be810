"""What the name of a column says about an entity: who pays with it, or where it is paid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from verticals.contract.hints import KEY, word_set, words

# A word, and the entity that it names. The history of a card tells most, so it comes first.
_PAYS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("card", "cc", "pan"), "card"),
        **dict.fromkeys(("account", "acct", "iban"), "account"),
        **{word: word for word in ("customer", "client", "user", "payer")},
        **dict.fromkeys(("kunde", "kundin", "klant", "cliente"), "customer"),
        **dict.fromkeys(("karte", "kaart", "carte", "tarjeta", "carta"), "card"),
        **dict.fromkeys(("konto", "kontonummer", "compte", "cuenta", "conto"), "account"),
    }
)
_PAID: Mapping[str, str] = MappingProxyType(
    {
        word: word
        for word in (
            *("terminal", "merchant", "device", "atm", "store", "shop", "ip"),
            *("payee", "beneficiary"),
        )
    }
)
_PERSONS = ("customer", "client", "user", "payer", "account", "card")  # as owners, the best first
_TO = word_set("dest destination receiver recipient to")  # an account that is paid
_KEYS = KEY | word_set("fingerprint hash hashed num token")
# Words that may stand beside an entity; any other makes the column say something about it.
_BESIDE = word_set("bank code credit debit from of orig origin sender source the")
_OF_PLACES = word_set("addr address name")  # of a merchant; a person's are no key


@dataclass(frozen=True, kw_only=True)
class Named:
    """Hold what a name says: the entity, its rank among all (0 first), and whether it is a key.

    `person` is the rank as the owner of events, from 1; 0 for what is paid.
    """

    entity: str
    rank: int
    person: int
    keyed: bool


def column_words(name: str) -> tuple[str, ...]:
    """Return the words of a name; "ccnum" and "userid" are two words each."""
    return tuple(part for word in words(name) for part in _parts(word))


def _parts(word: str) -> Iterator[str]:
    for end in sorted(_KEYS | _OF_PLACES, key=len, reverse=True):
        stem = word.removesuffix(end)
        if stem != word and (stem in _PAYS or stem in _PAID):
            yield from (stem, end)
            return
    yield word


def named(column: str) -> Named | None:
    """Return the entity that a column's name speaks of, or nothing."""
    found = column_words(column)
    pays = [_PAYS[word] for word in found if word in _PAYS]
    paid = [_PAID[word] for word in found if word in _PAID]
    if pays and not paid and _TO & set(found):
        paid = ["payee"]
    rest = set(found) - set(_PAYS) - set(_PAID) - _KEYS - _BESIDE - _TO
    if not (pays or paid) or (rest - _OF_PLACES if paid else rest):
        return None
    # A customer's card is a card.
    entity = paid[0] if paid else min(pays, key=_PERSONS[::-1].index)
    order = list(dict.fromkeys([*_PAYS.values(), *_PAID.values()]))
    return Named(
        entity=entity,
        rank=order.index(entity),
        person=0 if paid else _PERSONS.index(entity) + 1,
        keyed=bool(set(found) & (_KEYS | _OF_PLACES)),
    )
