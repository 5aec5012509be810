"""SIMULATED card payments, so that the demo and the tests need no network and no person's data.

Nothing here was fitted to real payments. What is planted, and why:

* A customer has habits: a mean amount, a rate of payments, a usual hour, a share of payments made
  online, and terminals near home. A model must learn what is unusual for a person, not in general.
* A customer may join during the simulation and may get a second card, which is then used beside
  the first: no payment precedes its card, and histories start empty.
* Large amount: single payments of 4 to 10 times the customer's mean. What is large for one is
  ordinary for another, so the ratio to the card's own history is needed.
* Compromised terminal: for 1 to 4 weeks most payments at one shop terminal are fraudulent, at
  ordinary amounts. Only labels of the terminal's other payments give it away, after their delay.
* Compromised card: for 2 to 8 days bursts of 3 to 8 payments within minutes, at 1.5 to 4 times
  the customer's mean, anywhere and at any hour. Counts over short windows give it away.

Planted for the audit: the share of online payments falls with age, and cards are stolen online,
so that younger customers suffer more of the third pattern. Sex is drawn at random and changes
nothing: a gap by sex is chance.

The first two patterns and their names follow the Fraud Detection Handbook (Le Borgne et al. 2022);
the code and every number are our own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from verticals.errors import CallError
from verticals.table import Array, Table

PATTERNS = ("", "large amount", "compromised terminal", "compromised card")
CHANNELS = ("chip", "contactless", "online")

_DAY = 86_400  # seconds
_NEAR = 24  # shop terminals that a customer uses
_ONLINE_TERMINALS = 0.1  # share of all terminals
_SECOND_CARD = 0.25  # share of customers
_JOINING = 0.2  # share of customers who are not there from the first day
_LARGE = 0.002  # of the payments are unusually large
_TERMINAL_EPISODES = 0.0004  # for each shop terminal and day
_TERMINAL_FRAUD = 0.7  # of the payments at a compromised terminal
_CARD_EPISODES = 0.00045  # for each payment of an ordinary customer


@dataclass(frozen=True, kw_only=True)
class _People:
    """Hold the customers' habits and cards, each an array of (customers,) or (cards,)."""

    home: Array  # 0 to 1, on a ring of shops
    mean: Array  # amount, major units
    rate: Array  # payments a day
    hour: Array
    online: Array  # share of payments
    age: Array
    sex: Array  # 0 female, 1 male
    joined: Array  # seconds from the start
    other_card: Array  # the second card's number, or the first's where there is none
    other_since: Array  # seconds from the start


@dataclass(frozen=True, kw_only=True)
class _Events:
    """Hold payments in no order, each an array of (payments,)."""

    customer: Array
    card: Array
    second: Array  # seconds from the start
    amount: Array  # major units
    terminal: Array
    online: Array  # truth values
    pattern: Array  # a code of PATTERNS


def simulate(
    customers: int = 5000,
    terminals: int = 10_000,
    days: int = 100,
    seed: int = 0,
    *,
    rate: float = 2.0,
    start: str = "2025-01-01",
) -> Table:
    """Return simulated payments in the order of their time, about 1 % of them fraudulent.

    `rate` is the mean number of payments of a customer in a day. Columns: `payment_id`,
    `customer_id`, `card_id`, `terminal_id` (text), `at` (UTC, whole seconds), `amount` (major
    units, two decimals), `channel`, `hour` (0 to 23), `age`, `sex`, `fraud` (0 or 1) and
    `pattern` (a name of `PATTERNS`, for tests; a contract must leave it out).

    Raises `CallError` for sizes that make no simulation.
    """
    _check(customers, terminals, days, rate)
    rng = np.random.default_rng(seed)
    people = _people(rng, customers, days, rate)
    genuine = _payments(rng, people, terminals, days)
    _plant_large(rng, people, genuine)
    _plant_terminals(rng, genuine, terminals, days)
    events = _joined(genuine, _stolen(rng, people, terminals, days))
    order = np.lexsort((events.customer, events.second))
    kept = order[events.second[order] < days * _DAY]
    return _table(rng, people, events, kept, np.datetime64(start, "us"))


def _check(customers: int, terminals: int, days: int, rate: float) -> None:
    for name, value, least in (
        ("customers", customers, 1),
        ("terminals", terminals, 10),
        ("days", days, 1),
    ):
        if value < least:
            raise CallError(f"{name} is {value}, expected at least {least}")
    if not 0 < rate < 1000:
        raise CallError(f"rate is {rate:g}, expected a positive number of payments a day")


def _people(rng: np.random.Generator, customers: int, days: int, rate: float) -> _People:
    age = np.clip(rng.normal(46, 17, customers), 18, 92).astype(np.int64)
    end = days * _DAY
    late = rng.random(customers) < _JOINING
    joined = np.where(late, rng.integers(0, max(1, int(0.7 * end)), customers), 0)
    has_second = rng.random(customers) < _SECOND_CARD
    other_card = np.where(has_second, customers + np.cumsum(has_second) - 1, np.arange(customers))
    return _People(
        home=rng.random(customers),
        mean=np.exp(rng.normal(np.log(35), 0.6, customers)),
        rate=rate * rng.gamma(3, 1 / 3, customers),
        hour=rng.normal(14, 2.5, customers),
        online=np.clip(0.55 - 0.007 * (age - 18) + rng.normal(0, 0.08, customers), 0.02, 0.9),
        age=age,
        sex=rng.integers(0, 2, customers),
        joined=joined,
        other_card=other_card,
        other_since=joined + rng.integers(0, end, customers),
    )


def _payments(rng: np.random.Generator, people: _People, terminals: int, days: int) -> _Events:
    """Return the customers' own payments."""
    counts = rng.poisson(people.rate[:, None], (len(people.rate), days))  # (customers, days)
    customer = np.repeat(np.arange(len(people.rate)), counts.sum(axis=1))
    day = np.repeat(np.tile(np.arange(days), len(people.rate)), counts.ravel())
    hour = (people.hour[customer] + rng.normal(0, 3.5, len(customer))) % 24
    second = day * _DAY + (hour * 3600).astype(np.int64)
    there = second >= people.joined[customer]
    customer, second = customer[there], second[there]
    online = rng.random(len(customer)) < people.online[customer]
    spread = np.exp(rng.normal(-0.18, 0.6, len(customer)))  # mean 1
    return _Events(
        customer=customer,
        card=_cards(rng, people, customer, second),
        second=second,
        amount=people.mean[customer] * spread,
        terminal=_terminals(rng, people.home[customer], online, terminals),
        online=online,
        pattern=np.zeros(len(customer), dtype=np.int8),
    )


def _cards(rng: np.random.Generator, people: _People, customer: Array, second: Array) -> Array:
    """Choose one of the cards that each customer holds by then."""
    other = (second >= people.other_since[customer]) & (rng.random(len(customer)) < 0.5)
    return np.asarray(np.where(other, people.other_card[customer], customer))


def _terminals(rng: np.random.Generator, home: Array, online: Array, terminals: int) -> Array:
    """Choose a shop near home, nearer ones more often, or one of the shops online."""
    shops = _shops(terminals)
    step = np.floor(_NEAR * rng.random(len(home)) ** 2).astype(np.int64)
    side = rng.integers(0, 2, len(home)) * 2 - 1
    near = (np.floor(home * shops).astype(np.int64) + side * step) % shops
    popular = shops + np.floor((terminals - shops) * rng.random(len(home)) ** 3).astype(np.int64)
    return np.asarray(np.where(online, popular, near))


def _shops(terminals: int) -> int:
    """Return how many terminals stand in shops; the rest are online."""
    return terminals - max(1, round(_ONLINE_TERMINALS * terminals))


def _plant_large(rng: np.random.Generator, people: _People, events: _Events) -> None:
    chosen = np.flatnonzero(rng.random(len(events.customer)) < _LARGE)
    times = rng.uniform(4, 10, len(chosen))
    events.amount[chosen] = people.mean[events.customer[chosen]] * times
    events.pattern[chosen] = 1


def _plant_terminals(rng: np.random.Generator, events: _Events, terminals: int, days: int) -> None:
    episodes = math.ceil(_TERMINAL_EPISODES * _shops(terminals) * days)
    order = np.argsort(events.terminal, kind="stable")
    ordered = events.terminal[order]
    for terminal in rng.integers(0, _shops(terminals), episodes):
        begin = rng.integers(-3 * _DAY, days * _DAY)
        end = begin + rng.integers(7 * _DAY, 28 * _DAY)
        first, last = np.searchsorted(ordered, [terminal, terminal + 1])
        here = order[first:last]
        here = here[(events.second[here] >= begin) & (events.second[here] < end)]
        hit = here[rng.random(len(here)) < _TERMINAL_FRAUD]
        events.pattern[hit[events.pattern[hit] == 0]] = 2


def _stolen(rng: np.random.Generator, people: _People, terminals: int, days: int) -> _Events:
    """Return the payments of thieves: bursts over a few days on cards stolen online."""
    weight = people.rate * (people.online + 0.05)
    mean_payments = float(people.rate.sum()) * days
    episodes = math.ceil(_CARD_EPISODES * mean_payments)
    victim = rng.choice(len(weight), episodes, p=weight / weight.sum())
    begin = people.joined[victim] + rng.random(episodes) * (days * _DAY - people.joined[victim])
    bursts = rng.integers(1, 4, episodes)
    customer = np.repeat(victim, bursts)
    lasting = np.repeat(rng.uniform(2, 8, episodes) * _DAY, bursts)
    burst_at = np.repeat(begin, bursts) + rng.random(len(customer)) * lasting
    sizes = rng.integers(3, 9, len(customer))
    which = np.repeat(np.arange(len(customer)), sizes)  # (payments,) the burst of each
    since = np.cumsum(rng.exponential(150, len(which)))  # seconds, over all bursts
    since -= since[np.cumsum(sizes) - sizes][which]
    customer = customer[which]
    online = rng.random(len(which)) < 0.7
    factor = rng.uniform(1.5, 4, len(which)) * np.exp(rng.normal(0, 0.2, len(which)))
    return _Events(
        customer=customer,
        card=np.repeat(_cards(rng, people, victim, begin), bursts)[which],
        second=(burst_at[which] + since).astype(np.int64),
        amount=people.mean[customer] * factor,
        terminal=_terminals(rng, rng.random(len(which)), online, terminals),
        online=online,
        pattern=np.full(len(which), 3, dtype=np.int8),
    )


def _joined(first: _Events, second: _Events) -> _Events:
    names = ("customer", "card", "second", "amount", "terminal", "online", "pattern")
    both = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names}
    return _Events(**both)


def _table(
    rng: np.random.Generator, people: _People, events: _Events, kept: Array, start: np.datetime64
) -> Table:
    """Name everything, in order of time."""
    customer, second = events.customer[kept], events.second[kept]
    online, pattern = events.online[kept], events.pattern[kept]
    amount = np.maximum(np.round(events.amount[kept], 2), 0.01)
    contactless = (amount <= 50) & (rng.random(len(kept)) < 0.8)
    channel = np.where(online, 2, np.where(contactless, 1, 0))
    return Table(
        {
            "payment_id": _names("P", len(kept)),
            "customer_id": _names("C", len(people.age))[customer],
            "card_id": _names("K", int(people.other_card.max()) + 1)[events.card[kept]],
            "terminal_id": _names("T", int(events.terminal.max()) + 1)[events.terminal[kept]],
            "at": start + second * np.timedelta64(1_000_000, "us"),
            "amount": amount,
            "channel": np.array(CHANNELS, dtype=object)[channel],
            "hour": (second % _DAY) // 3600,
            "age": people.age[customer],
            "sex": np.array(["female", "male"], dtype=object)[people.sex[customer]],
            "fraud": (pattern > 0).astype(np.int64),
            "pattern": np.array(PATTERNS, dtype=object)[pattern],
        }
    )


def _names(letter: str, count: int) -> Array:
    """Return distinct texts of equal length: (count,)."""
    width = max(4, len(str(count)))
    return np.array([f"{letter}{number:0{width}d}" for number in range(1, count + 1)], dtype=object)
