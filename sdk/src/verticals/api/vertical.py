"""A loaded solution with all that surrounds it: derived fields, finish, outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from verticals import registry
from verticals.api.guard import plugin_code
from verticals.contract.model import DataContract, Field
from verticals.errors import CallError, PluginError, PrivacyError
from verticals.files import name_problem
from verticals.finish import DecisionFinish, expected_outputs, score_name
from verticals.plugin import (
    Actions,
    BoundedFeatures,
    Features,
    FileReader,
    Finish,
    Model,
    NotedFeatures,
    Output,
    Setup,
    Solution,
    SolutionInfo,
    State,
    TorchSolution,
)
from verticals.table import Array, Table

_FEWEST_TOLD = 10  # rows that are left out: of fewer nobody is told how many they are


@dataclass(frozen=True, kw_only=True)
class Vertical:
    """Hold a solution that has been imported, and where it came from."""

    info: SolutionInfo
    distribution: str
    version: str
    solution: Solution
    features: Features | None = None
    finish: Finish | None = None
    features_for: Callable[[DataContract], Features | None] | None = None
    readers: Mapping[str, FileReader] = field(default_factory=dict)
    make_finish: Callable[[DataContract, float | None, Mapping[str, Any]], Finish] | None = None
    wording: Callable[[Field, Mapping[str, Any], DataContract], str | None] | None = None
    actions: Callable[[DataContract, Mapping[str, Any]], Actions] | None = None
    left_out: tuple[Field, ...] = ()  # derived fields that private training may not read
    narrow: (
        Callable[[DataContract, Mapping[str, Any]], tuple[DataContract, tuple[str, ...]]] | None
    ) = None
    excluded: Callable[[Table, DataContract], tuple[Array, str]] | None = None
    split_by: str = ""
    adapted: bool = False  # the SDK made the solution of a network, and writes its settings

    @property
    def named(self) -> str:
        """Return how messages name the solution."""
        return f"solution {self.info.name!r} of {self.distribution}"

    def running(self, method: str) -> AbstractContextManager[None]:
        """Return what a call of the solution's own code runs in (see `api.guard`)."""
        return plugin_code(
            f"{self.named}: {method}",
            target=self.info.target,
            hint=f"verticals check {self.info.name}; VERTICALS_TRACEBACK=1 shows the traceback",
        )

    def for_contract(
        self, contract: DataContract, *, private: bool, strict: bool = False
    ) -> Vertical:
        """Return the vertical with the derived fields of this contract.

        Under privacy, fields that read beyond the unit of privacy are left out where the features
        can do without them and `strict` is not set; `refuse_unbounded_reads` refuses what is left.
        """
        features = self.features
        if self.features_for is not None:
            with self.running("features_for"):
                features = self.features_for(contract)
        left_out: tuple[Field, ...] = ()
        if private and not strict and isinstance(features, BoundedFeatures):
            bounded = features.within(contract.unit_keys)
            kept = {item.name for item in bounded.fields}
            left_out = tuple(item for item in features.fields if item.name not in kept)
            features = bounded
        return dataclasses.replace(self, features=features, left_out=left_out)

    def narrowed(
        self, contract: DataContract, options: Mapping[str, Any]
    ) -> tuple[DataContract, tuple[str, ...]]:
        """Return the contract as the options narrow it, with notes on what changed."""
        if self.narrow is None:
            return contract, ()
        with self.running("contract_for"):
            return self.narrow(contract, options)

    def scored_rows(self, table: Table, contract: DataContract) -> tuple[Array, tuple[str, ...]]:
        """Return (rows,) True where a row may be trained on and scored, and a counted note."""
        if self.excluded is None:
            return np.ones(table.rows, dtype=bool), ()
        with self.running("left_out"):
            out, why = self.excluded(table, contract)
        count = int(out.sum())
        told = str(count) if count >= _FEWEST_TOLD else f"fewer than {_FEWEST_TOLD}"
        note = f"{told} of {table.rows} rows are neither trained on nor scored: {why}"
        return ~out, (note,) if count else ()

    def contract_with_derived(self, contract: DataContract) -> DataContract:
        """Return the contract with the solution's derived fields behind its own."""
        if self.features is None:
            return contract
        names = {item.name for item in contract.fields}
        derived = tuple(item for item in self.features.fields if item.name not in names)
        return dataclasses.replace(contract, fields=(*contract.fields, *derived))

    def derived_facts(self) -> list[dict[str, Any]]:
        """Return what a bundle says of its derived fields: declarations, no data."""
        return [
            {
                "name": item.name,
                "label": item.title,
                "kind": item.kind,
                "unit": item.unit,
                "bounds": None if item.bounds is None else list(item.bounds),
                "scale": item.scale,
                "reads": list(item.reads),
            }
            for item in (self.features.fields if self.features is not None else ())
        ]

    def derive(self, table: Table) -> Table:
        """Return the table with the derived fields added."""
        if self.features is None:
            return table
        with self.running("features"):
            return self.features.batch(table)

    def feature_notes(self, table: Table) -> tuple[str, ...]:
        """Return what a person should know of how this table's fields were derived."""
        return self.features.notes(table) if isinstance(self.features, NotedFeatures) else ()

    def finish_for(
        self, contract: DataContract, epsilon: float | None, options: Mapping[str, Any]
    ) -> Finish:
        """Return the solution's own finish, or the default decision by the contract."""
        if self.make_finish is not None:
            with self.running("finish_for"):
                return self.make_finish(contract, epsilon, options)
        if self.finish is not None:
            return self.finish
        with self.running("outputs"):
            outputs = default_outputs(self.solution, contract)
        return DecisionFinish(outputs=outputs, contract=contract, epsilon=epsilon)

    def demo(self) -> tuple[DataContract, Table]:
        """Return the solution's own contract and raw data."""
        with self.running("demo"):
            contract, table = self.solution.demo()
        return contract, table

    def fitted(self, parts: Mapping[str, Table], setup: Setup) -> tuple[Model, State]:
        """Train the solution; return its model and what that hands over.

        It gets the held-out part without its rows, so that it cannot learn from them.

        Raises `PluginError` where either is none.
        """
        seen = {
            name: part.take(slice(0, 0)) if name == "test" else part for name, part in parts.items()
        }
        with self.running("fit"):
            model = self._checked("fit", self.solution.fit(seen, setup))
        with self.running("state"):
            state = model.state()
        if not isinstance(state, State):
            raise self._gives("state", state, "verticals.plugin.State")
        for name in ("tensors", "settings"):
            if not isinstance(getattr(state, name), Mapping):
                raise self._gives(f"state ({name})", getattr(state, name), "a mapping")
        training = state.settings.get("training", {})
        if not isinstance(training, Mapping):
            raise self._gives("state (settings: training)", training, "a mapping")
        return model, state

    def loaded(self, state: State, setup: Setup) -> Model:
        """Bring a model back; raise `PluginError` where it is none."""
        with self.running("load"):
            return self._checked("load", self.solution.load(state, setup))

    def evidence(self, model: Model, parts: Mapping[str, Table]) -> Mapping[str, Table]:
        """Return the solution's own evidence tables; raise `PluginError` where they are none.

        None bears one of the SDK's names, which would stand for another's facts.
        """
        with self.running("evidence"):
            tables = self.solution.evidence(model, parts)
        if not isinstance(tables, Mapping):
            raise self._gives("evidence", tables, "a mapping of names to tables")
        for name, table in tables.items():
            if not isinstance(table, Table):
                raise self._gives(f"evidence ({name!r})", table, "verticals.table.Table")
            if not isinstance(name, str) or "." not in name or name_problem(name):
                raise PluginError(
                    f"{self.named}: evidence gives a table {name!r}, expected a lower-case name of "
                    "the form PLUGIN.NAME",
                    hint=f"verticals check {self.info.name}",
                )
        return tables

    def _checked(self, method: str, model: object) -> Model:
        if isinstance(model, Model):
            return model
        raise self._gives(method, model, "a model with predict and state")

    def _gives(self, method: str, value: object, expected: str) -> PluginError:
        return PluginError(
            f"{self.named}: {method} gives {type(value).__name__}, expected {expected}",
            hint=f"verticals check {self.info.name}",
        )


def load_vertical(name: str) -> Vertical:
    """Import the named solution; raise `PluginError` if there is none or it cannot be loaded."""
    found = registry.find(registry.discover(), name)
    loaded = registry.load(found)
    if isinstance(loaded, TorchSolution):
        from verticals.torch_adapter import TorchAdapter

        return Vertical(
            info=found.info,
            distribution=found.distribution,
            version=found.version,
            solution=TorchAdapter(loaded),
            features=loaded.features,
            finish=loaded.finish,
            features_for=loaded.features_for,
            readers=loaded.readers or {},
            make_finish=loaded.finish_for,
            wording=loaded.wording,
            actions=loaded.actions,
            narrow=loaded.contract_for,
            excluded=loaded.left_out,
            split_by=loaded.split_by,
            adapted=True,
        )
    return Vertical(
        info=found.info,
        distribution=found.distribution,
        version=found.version,
        solution=loaded,
        features_for=getattr(loaded, "features_for", None),
        make_finish=getattr(loaded, "finish_for", None),
    )


def default_outputs(solution: object, contract: DataContract) -> tuple[Output, ...]:
    """Return the outputs that a solution declares, or those that follow from the targets."""
    declared = getattr(solution, "outputs", None)
    if callable(declared):
        return tuple(declared(contract))
    outputs: list[Output] = []
    if contract.decision is not None:
        decided = contract.decision.target
        outputs.append(Output(name="decision", kind="flag", target=decided))
    for target in contract.targets:
        name = score_name(contract, target.name)
        if target.kind == "binary":
            outputs.append(
                Output(name=name, kind="probability", target=target.name, value=target.positive)
            )
            continue
        outputs += expected_outputs(target)
        outputs += [
            Output(
                name=f"{target.name}_{value}", kind="probability", target=target.name, value=value
            )
            for value in target.values
        ]
    return tuple(outputs)


def default_options(info: SolutionInfo, *, private: bool = False) -> dict[str, Any]:
    """Return a solution's declared options with their defaults."""
    return {option.name: option.default_for(private=private) for option in info.options}


def merged_options(
    vertical: Vertical, given: Mapping[str, Any], *, private: bool = False
) -> dict[str, Any]:
    """Return a solution's options with the caller's in their place.

    A torch solution also takes the options of the training loop (`verticals.training`).
    Raises `CallError` for an option that the solution does not have or a value not among its
    choices.
    """
    info = vertical.info
    options = default_options(info, private=private)
    choices = {option.name: option.choices for option in info.options}
    further = frozenset(getattr(vertical.solution, "training_options", ()))
    for name, value in given.items():
        if name not in options and name not in further:
            known = ", ".join(sorted({*options, *further})) or "(none)"
            raise CallError(
                f"solution {info.name!r} has no option {name!r}, expected one of {known}",
                hint=f"verticals describe {info.name}",
            )
        if choices.get(name) and value not in choices[name]:
            raise CallError(
                f"option {name} is {value!r}, expected one of {', '.join(map(str, choices[name]))}",
                hint=f"verticals describe {info.name}",
            )
        options[name] = value
    return options


def refuse_unbounded_reads(contract: DataContract, features: Features | None) -> None:
    """Refuse, under privacy, derived fields that read rows of other persons.

    One person's rows would then reach the inputs of others, and the bound on what one person can
    change would not hold.
    """
    unit = contract.unit_keys
    for item in features.fields if features is not None else ():
        beyond = [name for name in item.reads if name not in unit]
        if item.is_input and beyond:
            raise PrivacyError(
                f"derived field {item.name!r} reads other rows of {', '.join(beyond)}, expected "
                f"only rows of the privacy unit ({contract.group or 'the row itself'})",
                hint="leave the field out (--option beyond_unit=leave-out does, where the solution "
                "has it), or train with --no-privacy",
            )
