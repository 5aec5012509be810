"""A loaded solution with all that surrounds it: derived fields, finish, outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from verticals import registry
from verticals.contract.model import DataContract, Field
from verticals.errors import CallError, PrivacyError
from verticals.finish import DecisionFinish, score_name
from verticals.plugin import (
    Actions,
    BoundedFeatures,
    Features,
    FileReader,
    Finish,
    NotedFeatures,
    Output,
    Solution,
    SolutionInfo,
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

    def for_contract(
        self, contract: DataContract, *, private: bool, strict: bool = False
    ) -> Vertical:
        """Return the vertical with the derived fields of this contract.

        Under privacy, fields that read beyond the unit of privacy are left out where the features
        can do without them and `strict` is not set; `refuse_unbounded_reads` refuses what is left.
        """
        features = self.features if self.features_for is None else self.features_for(contract)
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
        return (contract, ()) if self.narrow is None else self.narrow(contract, options)

    def scored_rows(self, table: Table, contract: DataContract) -> tuple[Array, tuple[str, ...]]:
        """Return (rows,) True where a row may be trained on and scored, and a counted note."""
        if self.excluded is None:
            return np.ones(table.rows, dtype=bool), ()
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
        return table if self.features is None else self.features.batch(table)

    def feature_notes(self, table: Table) -> tuple[str, ...]:
        """Return what a person should know of how this table's fields were derived."""
        return self.features.notes(table) if isinstance(self.features, NotedFeatures) else ()

    def finish_for(
        self, contract: DataContract, epsilon: float | None, options: Mapping[str, Any]
    ) -> Finish:
        """Return the solution's own finish, or the default decision by the contract."""
        if self.make_finish is not None:
            return self.make_finish(contract, epsilon, options)
        if self.finish is not None:
            return self.finish
        return DecisionFinish(
            outputs=default_outputs(self.solution, contract), contract=contract, epsilon=epsilon
        )


def load_vertical(name: str) -> Vertical:
    """Import the named solution; raise `PluginError` if there is none or it cannot be loaded."""
    found = registry.find(registry.discover(), name)
    loaded = registry.load(found)
    if isinstance(loaded, TorchSolution):
        from verticals.torch_model import TorchAdapter

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
        if target.kind in ("ordinal", "numeric"):
            kind = "ordinal" if target.kind == "ordinal" else "real"
            outputs.append(Output(name=target.name, kind=kind, target=target.name))
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
