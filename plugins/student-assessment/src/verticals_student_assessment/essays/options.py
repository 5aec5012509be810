"""The options of essay-scoring, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verticals.errors import CallError

TUNINGS = ("frozen", "lora")
POOLINGS = ("full", "small")
SURFACES = ("full", "measures")
SCALES = ("mean", "matched")
ARITHMETICS = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class EssayOptions:
    """Say how essays are scored; raise `CallError` for a value that means nothing.

    `tuning` trains the head alone, or low-rank adapters of the encoder too. `pooling` full is mean
    and spread of every layer, small the mean over tokens and layers. `surface` full reads curves of
    the measures and word pieces beside the encoder. `scale` mean gives out the
    expected score, matched widens it to the spread of the human scores. `coverage` is that of the
    intervals; a score whose interval is wider than `widest` points goes to a person.
    """

    tuning: str = "frozen"
    pooling: str = "full"
    surface: str = "full"
    scale: str = "mean"
    arithmetic: str = "float32"
    rank: int = 8
    coverage: float = 0.9
    widest: float = 2.5
    shortest: int = 30
    longest: int = 1500

    def __post_init__(self) -> None:
        """Check every value."""
        for name, known in (
            ("tuning", TUNINGS),
            ("pooling", POOLINGS),
            ("surface", SURFACES),
            ("scale", SCALES),
            ("arithmetic", ARITHMETICS),
        ):
            if getattr(self, name) not in known:
                self._refuse(name, f"one of {', '.join(known)}")
        for name, least, most in (
            ("rank", 1, 256),
            ("shortest", 0, 10_000),
            ("longest", 1, 1_000_000),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                self._refuse(name, f"a whole number from {least} to {most}")
        if not _is_number(self.coverage) or not 0 < self.coverage < 1:
            self._refuse("coverage", "a share between 0 and 1")
        if not _is_number(self.widest) or self.widest <= 0:
            self._refuse("widest", "a number of points above 0")

    def _refuse(self, name: str, expected: str) -> None:
        raise CallError(
            f"option {name} is {getattr(self, name)!r}, expected {expected}",
            hint="verticals describe essay-scoring",
        )


def essay_options(options: Mapping[str, Any]) -> EssayOptions:
    """Return the options by name; those of training are left to it."""
    known = EssayOptions.__dataclass_fields__
    return EssayOptions(**{name: options[name] for name in known if name in options})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
