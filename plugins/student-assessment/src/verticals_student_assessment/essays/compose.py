"""Compose essays of a known quality from the project's own sentences, with simulated raters.

A student has a latent level on each trait. Organisation decides on the order of parts, connectives
and paragraphs; vocabulary on plain, fair or rich words; grammar on how many slips are put in. Two
raters give half points around the level. Everything follows from the seed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from verticals.table import Array, Table
from verticals_student_assessment.essays.demo_texts import CONNECTIVES, TOPICS, Tiers, Topic

TRAITS = ("organisation", "vocabulary", "grammar")
LEVELS = tuple(np.arange(1.0, 5.01, 0.5))
_MOST_SLIPS = 4.0  # in a sentence, on average, at level 1
_RATER = 0.3  # standard deviation of a rater about the level, in points

#: Sentences that belong to no prompt one would set.
STRAYING = (
    "The harbour of the small island freezes over almost every January.",
    "A sturdy bicycle pump needs a gauge, a stable foot, and a long hose.",
    "Most violins are varnished several times before they are strung.",
    "The recipe calls for two ripe lemons, a spoonful of honey, and fresh thyme.",
    "Lighthouses were once tended by families who rarely saw the mainland.",
    "Granite weathers slowly, whereas limestone dissolves in acid rain.",
)

#: Slips of learners: what is looked for, and what stands in its place.
_SLIPS: tuple[tuple[str, str], ...] = (
    (r"\b(a|an|the) ", ""),
    (r"\bare\b", "is"),
    (r"\bhas\b", "have"),
    (r"(\w{3,})s\b", r"\1"),
    (r"(\w{2,})ed\b", r"\1"),
    (r"\bI\b", "i"),
    (r"\btheir\b", "there"),
    (r"\bbecause\b", "becuase"),
    (r"([a-z])([a-z])ing\b", r"\1\2in"),
    (r"ie", "ei"),
    (r"\.$", ""),
    (r", ", " "),
    (r"\bto (\w+)", r"to \1ing"),
    (r"\bin\b", "on"),
)


@dataclass(frozen=True, kw_only=True)
class _Level:
    """Hold the latent level of one essay on each trait, in points of 1 to 5."""

    organisation: float
    vocabulary: float
    grammar: float


def compose(students: int, seed: int) -> Table:
    """Return a raw table of essays: one for each student, two for every second one.

    Columns: essay_id, student, topic, essay, the traits, a second rating of each (`…_second`),
    sex, first_language, school_meals.
    """
    random = np.random.default_rng(seed)
    counts = 1 + (np.arange(students) % 2)
    owner = np.repeat(np.arange(students), counts)
    sex = random.choice(["female", "male"], students)
    language = random.choice(["English", "Spanish", "other"], students, p=[0.4, 0.35, 0.25])
    meals = random.choice(["no", "yes"], students, p=[0.6, 0.4])
    ability = random.normal(3.0, 0.75, students) + 0.1 * (sex == "female") - 0.1 * (meals == "yes")
    latent = np.clip(ability[owner, None] + random.normal(0, 0.5, (owner.size, 3)), 1.0, 5.0)
    topics = list(TOPICS)
    chosen = random.integers(0, len(topics), owner.size)
    texts = [
        write(topics[topic], _Level(**dict(zip(TRAITS, row, strict=True))), random)
        for topic, row in zip(chosen, latent.tolist(), strict=True)
    ]
    first, second = (_rated(latent, random) for _ in range(2))
    ratings = {name: first[:, place] for place, name in enumerate(TRAITS)}
    ratings |= {f"{name}_second": second[:, place] for place, name in enumerate(TRAITS)}
    return Table(
        {
            "essay_id": np.array(
                [f"E{place + 1:04d}" for place in range(owner.size)], dtype=object
            ),
            "student": np.array([f"S{place + 1:04d}" for place in owner], dtype=object),
            "topic": np.array([topics[place] for place in chosen], dtype=object),
            "essay": np.array(texts, dtype=object),
            **ratings,
            "sex": sex[owner].astype(object),
            "first_language": language[owner].astype(object),
            "school_meals": meals[owner].astype(object),
        }
    )


def reference_texts(count: int = 32, seed: int = 11) -> list[str]:
    """Return composed essays of every level: public texts that features are scaled by."""
    random = np.random.default_rng(seed)
    topics = list(TOPICS)
    levels = random.uniform(1.0, 5.0, (count, 3)).tolist()
    return [
        write(topics[place % len(topics)], _Level(**dict(zip(TRAITS, row, strict=True))), random)
        for place, row in enumerate(levels)
    ]


def stray_texts() -> list[str]:
    """Return public texts on subjects of no prompt: three sentences each, in every combination."""
    return [" ".join(chosen) for chosen in combinations(STRAYING, 3)]


def write(topic: str, level: _Level, random: np.random.Generator) -> str:
    """Return one essay on a topic at a level."""
    told = TOPICS[topic]
    plan = _plan(level.organisation, random)
    used: set[str] = set()
    paragraphs: list[list[str]] = [[]]
    seen: dict[str, int] = {}
    for part in plan:
        sentence = _pick(told, part, level.vocabulary, used, random)
        if part in CONNECTIVES and random.random() < (level.organisation - 1.5) / 3.5:
            joins = CONNECTIVES[part]
            join = joins[min(seen.get(part, 0), len(joins) - 1)]
            sentence = f"{join} {_lowered(sentence)}"
        seen[part] = seen.get(part, 0) + 1
        if part in ("reason", "closing") and random.random() < (level.organisation - 2.5) / 2.5:
            paragraphs.append([])
        paragraphs[-1].append(_slipped(sentence, level.grammar, random))
    return "\n\n".join(" ".join(item) for item in paragraphs if item)


def _plan(organisation: float, random: np.random.Generator) -> list[str]:
    """Return the parts of an essay in order; a weak one lacks parts and loses its order."""
    share = (organisation - 1) / 4  # 0..1
    reasons = 2 + int(random.random() < 0.4 + 0.5 * share)
    body: list[str] = []
    for _ in range(reasons):
        body.append("reason")
        if random.random() < 0.35 + 0.45 * share:
            body.append("example")
    if random.random() < 0.1 + 0.7 * share:
        body.append("counter")
    opening = ["opening"] if random.random() < 0.5 + 0.6 * share else []
    closing = ["closing"] if random.random() < 0.4 + 0.7 * share else []
    plan = [*opening, *body, *closing]
    if random.random() > share + 0.25:
        random.shuffle(plan)
    return plan


def _pick(
    told: Topic, part: str, vocabulary: float, used: set[str], random: np.random.Generator
) -> str:
    """Return a sentence of the part in words of about the level, a new one where there is one."""
    tiers: Tiers = getattr(told, part)
    wanted = (vocabulary - 1) / 4 * 2 + random.normal(0, 0.35)
    order = sorted(range(3), key=lambda tier: abs(tier - wanted))
    for tier in order:
        fresh = [item for item in tiers[tier] if item not in used]
        if fresh:
            sentence = fresh[int(random.integers(len(fresh)))]
            used.add(sentence)
            return sentence
    return tiers[order[0]][0]


def _slipped(sentence: str, grammar: float, random: np.random.Generator) -> str:
    """Return the sentence with slips: about four in each at level 1, none at level 5."""
    for _ in range(int(random.poisson(_MOST_SLIPS * (5.0 - grammar) / 4.0))):
        for kind in random.permutation(len(_SLIPS)):
            pattern, instead = _SLIPS[int(kind)]
            places = list(re.finditer(pattern, sentence))
            if places:
                place = places[int(random.integers(len(places)))]
                end = sentence[place.end() :]
                sentence = sentence[: place.start()] + place.expand(instead) + end
                break
    return sentence


def _lowered(sentence: str) -> str:
    """Return the sentence as it stands behind a connective."""
    return sentence if sentence.startswith("I ") else sentence[0].lower() + sentence[1:]


def _rated(latent: Array, random: np.random.Generator) -> Array:
    """Return half points that a rater gives about the levels."""
    noisy = latent + random.normal(0, _RATER, latent.shape)
    return np.asarray(np.clip(np.round(noisy * 2) / 2, LEVELS[0], LEVELS[-1]))
