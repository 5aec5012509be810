"""What the conformance checks look at: a solution, its demo data, and models trained once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from verticals.api import Scorer, TrainingResult, open_scorer, train
from verticals.api.vertical import Vertical, load_vertical
from verticals.contract import DataContract, bind, canonical, resolve
from verticals.contract.model import TIME
from verticals.table import Array, Table
from verticals.testing.verdicts import NotRun
from verticals.testing.watch import Seen, watched

MOST_ROWS = 1_000
MOST_EVENTS = 2_500
_WORDS = {
    "demo": "the demo",
    "plain": "binding the demo's rows",
    "bound": "deriving fields",
    "derived": "deriving fields",
    "scorer": "opening the bundle",
}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Hold what the checks share; everything is made on first use and then kept.

    `folder` receives bundles. At most 1,000 rows of the demo are used, so that a check takes
    seconds; of a stream of events, the whole histories of so many groups as have 2,500 events.
    `seen` is what trainings did beside their work.
    """

    vertical: Vertical
    folder: Path
    seed: int = 0
    seen: Seen = field(default_factory=Seen)
    _kept: dict[str, Any] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)  # what could not be made, in words

    @property
    def name(self) -> str:
        """Return the solution's name."""
        return self.vertical.info.name

    def offers(self, what: str) -> bool:
        """Tell whether the solution offers something."""
        return what in self.vertical.info.offers

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what `make` gave the first time.

        Where it failed then it is not tried again: raises `NotRun`, so that one fault is told once.
        """
        if name in self._failed:
            raise NotRun(self._failed[name])
        if name not in self._kept:
            try:
                self._kept[name] = make()
            except NotRun as reason:
                self._failed[name] = str(reason)
                raise
            except BaseException:
                self._failed[name] = _WORDS.get(name, f"training {name.removeprefix('train:')!r}")
                raise
        return self._kept[name]

    @property
    def demo(self) -> tuple[DataContract, Table]:
        """Return the resolved contract and some of the raw rows."""

        def make() -> tuple[DataContract, Table]:
            contract, raw = self.vertical.solution.demo()
            return resolve(contract, list(raw)), raw.take(_some_rows(contract, raw))

        found: tuple[DataContract, Table] = self.kept("demo", make)
        return found

    @property
    def plain(self) -> Table:
        """Return the demo rows, bound, without derived fields."""
        contract, raw = self.demo
        table: Table = self.kept("plain", lambda: bind(contract, raw).table)
        return table

    @property
    def events(self) -> Table:
        """Return the bound rows in order of time, where the contract has one."""
        table = self.plain
        return table.take(np.argsort(table[TIME], kind="stable")) if TIME in table else table

    @property
    def bound(self) -> Table:
        """Return the demo rows, bound, with derived fields."""
        table: Table = self.kept("bound", lambda: self.derived.derive(self.plain))
        return table

    @property
    def derived(self) -> Vertical:
        """Return the vertical with the derived fields of the demo's contract."""
        contract, _ = self.demo
        found: Vertical = self.kept(
            "derived", lambda: self.vertical.for_contract(contract, private=False)
        )
        return found

    def train(self, name: str, **settings: Any) -> TrainingResult:
        """Train on the demo rows into a folder of that name, once."""
        contract, raw = self.demo

        def make() -> TrainingResult:
            folder = self.folder.absolute()  # a solution is watched in a folder of its own
            with watched(self.seen):
                return train(
                    self.name,
                    out=folder / name,
                    contract=contract,
                    data=raw,
                    seed=self.seed,
                    device="cpu",
                    **settings,
                )

        result: TrainingResult = self.kept(f"train:{name}", make)
        return result

    @property
    def scorer(self) -> Scorer:
        """Return the plainly trained model, reopened from its bundle."""
        result = self.train("plain", no_privacy=True)
        scorer: Scorer = self.kept("scorer", lambda: open_scorer(result.bundle, device="cpu"))
        return scorer


def _some_rows(contract: DataContract, raw: Table) -> Array | slice:
    """Choose rows: the first ones, or all events of the first groups."""
    if not any(item.history is not None for item in contract.entities) or not contract.group:
        return slice(0, MOST_ROWS)
    names = np.array([canonical(name) for name in raw[contract.group]], dtype=str)
    _, first, code, counts = np.unique(
        names, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)
    kept = order[np.cumsum(counts[order]) <= MOST_EVENTS]
    return np.flatnonzero(np.isin(code, kept))


def make_subject(name: str, folder: Path) -> Subject:
    """Load the named solution for checking; raise `PluginError` if it cannot be loaded."""
    return Subject(vertical=load_vertical(name), folder=folder)
