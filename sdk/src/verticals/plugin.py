"""The plugin interface: what a vertical declares, and what the SDK asks of it.

A plugin is a distribution with an entry point in the group `verticals` that names a module with
hook implementations. The hooks return descriptions only; code is imported on first use through
`SolutionInfo.target`. This module needs nothing but the standard library, numpy and pluggy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pluggy

from verticals.contract.model import DataContract, Field, Target
from verticals.table import Array, Table

if TYPE_CHECKING:
    from torch import nn

    from verticals.evidence import EvidenceInfo, Measurement

API_VERSION = 1
ENTRY_POINT_GROUP = "verticals"

hookspec = pluggy.HookspecMarker("verticals")
hookimpl = pluggy.HookimplMarker("verticals")

Columns = Mapping[str, Array]  # output name -> array of (rows,)

#: What a solution may offer; anything else in `SolutionInfo.offers` is a problem.
OFFERS = frozenset({"private", "attributions", "reasons", "online"})
#: What `SolutionInfo.target_kinds` may hold.
ACCEPTED_TARGETS = frozenset({"binary", "categorical", "ordinal", "numeric", "none"})


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class OptionInfo:
    """Describe one option of a solution: `train --option NAME=VALUE`.

    `private_default`, where it is not None, is the default of private training.
    """

    name: str
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    private_default: Any = None

    def default_for(self, *, private: bool) -> Any:
        """Return the default of private training, or of any other."""
        return (
            self.private_default if private and self.private_default is not None else self.default
        )


@dataclass(frozen=True, kw_only=True)
class SolutionInfo:
    """Describe a solution without importing it."""

    name: str
    api_version: int  # no default, on purpose
    state_version: int  # a bundle opens only at a readable one
    target: str  # "package.module:NAME", imported on first use
    offers: frozenset[str] = frozenset()  # private, attributions, reasons, online
    readable_state_versions: tuple[int, ...] = ()  # older ones that `load` still reads
    summary: str = ""
    domain: str = ""
    intended_use: str = ""
    not_for: str = ""
    requirements: tuple[str, ...] = ()  # on data, in words
    options: tuple[OptionInfo, ...] = ()
    drafter: str = ""  # "package.module:NAME", a `verticals.contract.Drafter`; imports no torch
    #: Kinds of target that it takes, "none" where a contract may have none; empty: any.
    target_kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class AuditCheckInfo:
    """Describe an audit check without importing it; its target imports no torch.

    `rules` are policy rules that come with the check, in the form of a policy file's `[[rule]]`.
    `solutions` are those that it speaks of; empty: all of its distribution, or any where its
    distribution offers none.
    """

    name: str
    target: str  # "package.module:NAME", an AuditCheck
    needs: tuple[str, ...]  # evidence tables
    summary: str = ""
    rules: tuple[Mapping[str, Any], ...] = ()
    solutions: tuple[str, ...] = ()


def check_rule(
    room: str, name: str, title: str, check: str, source: str, **limits: Any
) -> dict[str, Any]:
    """Return a rule that a check brings, in the form of a policy file's `[[rule]]`.

    Its id is `room.name`, the measurement that it limits `room.check`; `limits` are `min`, `max`,
    `decide`, … No rule of a plugin is required unless `limits` says so.
    """
    return {
        "id": f"{room}.{name}",
        "title": title,
        "section": "checks",
        "check": f"{room}.{check}",
        "required": False,
        "source": source,
        **limits,
    }


@dataclass(frozen=True, kw_only=True)
class ReportFormatInfo:
    """Describe a further report format: a file ending and the function that renders it."""

    name: str  # the ending, without the dot
    target: str  # "package.module:NAME": (document: Mapping) -> bytes
    summary: str = ""


class AuditCheck(Protocol):
    """Turn evidence tables into measurements, without torch and without the model."""

    def __call__(self, tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
        """Return the measurements of this check."""
        ...


@dataclass(frozen=True, kw_only=True)
class Output:
    """Name one output column and say what it holds.

    Kinds: probability, ordinal, real, flag, set, text. `target` is the contract's target that the
    output speaks of, and `value` the class or level, where the output is one of several.
    """

    name: str
    kind: str
    target: str = ""
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Say where each field stands in the encoded blocks, and the shape of each block.

    `where` maps a field to its block and the columns it takes there (one player each);
    `shapes` maps a block to the shape of one row. `fields` are the declarations, by name.
    `edges` gives, for a piecewise-linear field, its bin edges in natural units; `neutral`, for a
    tabular field, what a missing value has in the columns of a cell beside its flag.
    """

    where: Mapping[str, tuple[str, slice]]
    shapes: Mapping[str, tuple[int, ...]]
    fields: Mapping[str, Field] = field(default_factory=_empty)
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=_empty)
    neutral: Mapping[str, tuple[float, ...]] = field(default_factory=_empty)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Say how to train: the contract, the options, the seed, and the privacy target if any.

    `seed` governs split and initial weights; under privacy it never governs sampling or noise.
    """

    contract: DataContract
    options: Mapping[str, Any] = field(default_factory=_empty)
    seed: int = 0
    epsilon: float | None = None
    delta: float | None = None
    max_grad_norm: float = 1.0
    device: str = "auto"
    checkpoint: str | None = None  # a folder for resumable progress, or None
    resources: Mapping[str, str] = field(default_factory=_empty)  # name -> folder or file
    progress: Callable[[str, int, int], None] | None = None  # (what, done, of)

    @property
    def private(self) -> bool:
        """Tell whether training is to be differentially private."""
        return self.epsilon is not None


@dataclass(frozen=True, kw_only=True)
class State:
    """Hold everything that a model needs to come back: arrays and JSON. No code, no rows."""

    tensors: Mapping[str, Array]
    settings: Mapping[str, Any]  # JSON


@runtime_checkable
class FieldEncoder(Protocol):
    """Turn a field of a new kind into numbers, from its declaration alone."""

    def shape(self, field: Field) -> tuple[int, ...]:
        """Return the shape of one encoded row."""
        ...

    def encode(self, field: Field, column: Array) -> Array:
        """Return float32 of (rows, *shape)."""
        ...


@dataclass(frozen=True, kw_only=True)
class FilesRead:
    """Hold what a reader made of a column of file paths.

    `values` is (kept, ...), `kept` the rows it is of (int64, ascending), `skipped` the others
    with the reason, and `facts` what the files say of themselves: column name -> (kept,).
    """

    values: Array
    kept: Array
    skipped: tuple[tuple[int, str], ...] = ()  # row from 0, reason that names the file
    facts: Mapping[str, Array] = field(default_factory=_empty)


@runtime_checkable
class FileReader(Protocol):
    """Turn paths into arrays by a pipeline that the field declares, the same wherever it runs."""

    def digest(self, field: Field) -> str:
        """Return one hash of the declared pipeline and of the reader's own version."""
        ...

    def read(self, field: Field, paths: Array, root: Path, *, skip_bad: bool) -> FilesRead:
        """Read the files, each below `root`; with `skip_bad` go on without those that are bad.

        Without it raise `BadFileError` at the first, with its place among the paths, from 1.
        """
        ...


@runtime_checkable
class FolderReader(FileReader, Protocol):
    """A reader that can also list a folder as a table of files and what they say."""

    def table(self, folder: Path) -> Table:
        """Return one row for each readable file of the folder; raise `DataError` if none is."""
        ...


@runtime_checkable
class FeatureStream(Protocol):
    """Derive fields one event at a time; equal to `Features.batch` on every row."""

    def push(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the derived fields of this event, then take the event into the state."""
        ...

    def save(self) -> State:
        """Return the state, which is private data: a file of its own, never in a bundle."""
        ...

    def restore(self, state: State) -> None:
        """Take a saved state up again."""
        ...


@runtime_checkable
class LabelledStream(FeatureStream, Protocol):
    """A stream whose derived fields also read labels, which come late."""

    def label(self, event: Mapping[str, Any], value: float, time: Any) -> None:
        """Take in a label: of this event (its entities and time), known at `time`."""
        ...


@runtime_checkable
class Features(Protocol):
    """Derive fields before the split. Each field names, in `reads`, the entities it reads."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """Return the derived fields."""
        ...

    def batch(self, table: Table) -> Table:
        """Return the table with the derived fields added."""
        ...

    def stream(self) -> FeatureStream:
        """Return an empty stream, for online scoring."""
        ...


@runtime_checkable
class BoundedFeatures(Features, Protocol):
    """Derived fields of which some can be left out, as private training needs it."""

    def within(self, entities: frozenset[str]) -> BoundedFeatures:
        """Return the features without the fields that read other entities than these."""
        ...


@runtime_checkable
class NotedFeatures(Features, Protocol):
    """Derived fields that can say what was odd in deriving them: where a cap bit, say."""

    def notes(self, table: Table) -> tuple[str, ...]:
        """Return counted notes on a bound table, one line each."""
        ...


@runtime_checkable
class Actions(Protocol):
    """Turn a scored event into what to do about it, by a policy that needs no retraining."""

    def decide(self, scored: Mapping[str, Any], row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what to add to a scored event: an action, the rules that fired.

        `scored` is what `OnlineScorer.push` gives; `row` holds the bound and derived values.
        """
        ...


@runtime_checkable
class Finish(Protocol):
    """Turn raw scores into what people get: calibration, operating point, conformal sets.

    `scores` are the columns that the network gives: for a binary target `score`, for several
    classes `<target>_<class>`, for a numeric target `<target>`.
    """

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Return the outputs, `decision` included where there is one."""
        ...

    def fit(self, scores: Columns, table: Table) -> Mapping[str, Any]:
        """Return JSON settings, fitted on the calibration part."""
        ...

    def apply(self, scores: Columns, settings: Mapping[str, Any]) -> Columns:
        """Return the output columns."""
        ...


@runtime_checkable
class Model(Protocol):
    """Score rows, and hand over what is needed to come back."""

    def predict(self, table: Table) -> Columns:
        """Return one array of (rows,) for each output."""
        ...

    def state(self) -> State:
        """Return tensors and settings; only the SDK writes files."""
        ...


@runtime_checkable
class Solution(Protocol):
    """The escape hatch: latent traits, trees, vendor models.

    A solution that is not a `TorchSolution` may also have `outputs(contract) -> tuple[Output,
    ...]`, and `features_for`, `finish_for` and `accepts` as a `TorchSolution` has them; a model may
    also have `attributions(table)` (see `verticals.explain.Attributions`).
    """

    def demo(self) -> tuple[DataContract, Table]:
        """Return a contract and data that are shipped or simulated, read without a network.

        The table is raw: its columns are the contract's source columns, not yet bound.
        """
        ...

    def fit(self, parts: Mapping[str, Table], setup: Setup) -> Model:
        """Train on the parts `train`, `validate` and `calibrate` as the solution sees fit.

        The part `test` is there without its rows: they are held out.
        """
        ...

    def load(self, state: State, setup: Setup) -> Model:
        """Bring a model back from its state; needs no data."""
        ...

    def evidence(self, model: Model, parts: Mapping[str, Table]) -> Mapping[str, Table]:
        """Return further named tables of measured facts."""
        ...


@dataclass(frozen=True, kw_only=True)
class TorchSolution:
    """The usual way: give a network, get everything else.

    `demo()` returns a contract and a raw table. `network(inputs, targets, options)` returns a
    module whose `forward` takes `{block: tensor}` and returns (rows, width) raw scores: log-odds
    for a binary target, one column a class for a categorical one, one a threshold for an ordinal
    one (levels − 1, decreasing), the value for a numeric one (with declared bounds: middle plus
    half the range times the raw score); targets side by side.

    Where something follows from the contract or the setup, a function of it takes its place:

    * `network_for(inputs, targets, setup)` makes the network that is trained, where it takes
      outside weights (`Setup.resources`) or differs under privacy; `network` then only makes what
      a bundle fills. A network may have `prepare(blocks) -> blocks`, called once before training:
      what a frozen body makes of each row.
    * `network_at_load(inputs, targets, setup)` makes what a bundle fills, where that needs outside
      weights (which a network holds outside its `state_dict`); `resources_for(setup)` names them
      and their digests, which the bundle records and holds against those found at load.
    * `encoders_for(setup)` gives the encoders that need outside files or the options.
    * `contract_for(contract, options)` gives the contract that is trained and kept in the bundle,
      with notes on what changed: options may narrow what a model reads (`role: ignore`).
    * `accepts(contract, options)` raises `ContractError` for a contract, derived fields and all,
      that cannot be trained; `train` and `contract check` call it before anything is fitted.
    * `left_out(table, contract)` gives the rows that are neither trained on nor scored (a mask of
      (rows,)) and why; scoring gives them no value, and evidence counts them.
    * `features_for(contract)` gives the derived fields.
    * `finish_for(contract, epsilon, options)` gives the finish; with an epsilon it may fit itself
      to the calibration part only by mechanisms that spend at most that.

    `readers` turn columns of file paths into arrays before they are bound. `wording(field, row,
    contract)` says a reason in words with the row's own values (bound and derived; None: the
    field's label says it). `actions(contract, options)` makes what turns scores into actions
    online, from the keyword arguments of `Scorer.online`.
    """

    demo: Callable[[], tuple[DataContract, Table]]
    network: Callable[[Inputs, Sequence[Target], Mapping[str, Any]], nn.Module]
    features: Features | None = None
    finish: Finish | None = None
    evidence: Callable[[Model, Mapping[str, Table]], Mapping[str, Table]] | None = None
    encoders: Mapping[str, FieldEncoder] | None = None
    network_for: Callable[[Inputs, Sequence[Target], Setup], nn.Module] | None = None
    network_at_load: Callable[[Inputs, Sequence[Target], Setup], nn.Module] | None = None
    encoders_for: Callable[[Setup], Mapping[str, FieldEncoder]] | None = None
    resources_for: Callable[[Setup], Mapping[str, str]] | None = None  # name -> digest
    readers: Mapping[str, FileReader] | None = None  # by kind of field
    finish_for: Callable[[DataContract, float | None, Mapping[str, Any]], Finish] | None = None
    contract_for: (
        Callable[[DataContract, Mapping[str, Any]], tuple[DataContract, tuple[str, ...]]] | None
    ) = None
    accepts: Callable[[DataContract, Mapping[str, Any]], None] | None = None
    left_out: Callable[[Table, DataContract], tuple[Array, str]] | None = None
    split_by: str = ""  # "group": whole groups even where there is a time, as a person's history
    features_for: Callable[[DataContract], Features | None] | None = None  # where they depend on it
    wording: Callable[[Field, Mapping[str, Any], DataContract], str | None] | None = None
    actions: Callable[[DataContract, Mapping[str, Any]], Actions] | None = None
    options: Mapping[str, Any] = field(default_factory=_empty)  # training defaults
    demo_shares: Mapping[str, float] = field(default_factory=_empty)  # of the demo's rows


@hookspec
def verticals_solutions() -> Iterable[SolutionInfo]:
    """Return the solutions that this distribution offers."""
    return ()


@hookspec
def verticals_audit_checks() -> Iterable[AuditCheckInfo]:
    """Return the audit checks that this distribution offers."""
    return ()


@hookspec
def verticals_report_formats() -> Iterable[ReportFormatInfo]:
    """Return further report formats."""
    return ()
