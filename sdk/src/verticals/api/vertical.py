"""A loaded solution with all that surrounds it: derived fields, finish, outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verticals import registry
from verticals.contract.model import DataContract
from verticals.errors import CallError, PrivacyError
from verticals.finish import DecisionFinish, score_name
from verticals.plugin import (
    Features,
    Finish,
    Output,
    Solution,
    SolutionInfo,
    TorchSolution,
)
from verticals.table import Table


@dataclass(frozen=True, kw_only=True)
class Vertical:
    """Hold a solution that has been imported, and where it came from."""

    info: SolutionInfo
    distribution: str
    version: str
    solution: Solution
    features: Features | None = None
    finish: Finish | None = None

    def contract_with_derived(self, contract: DataContract) -> DataContract:
        """Return the contract with the solution's derived fields behind its own."""
        if self.features is None:
            return contract
        names = {item.name for item in contract.fields}
        derived = tuple(item for item in self.features.fields if item.name not in names)
        return dataclasses.replace(contract, fields=(*contract.fields, *derived))

    def derive(self, table: Table) -> Table:
        """Return the table with the derived fields added."""
        return table if self.features is None else self.features.batch(table)

    def finish_for(self, contract: DataContract, epsilon: float | None) -> Finish:
        """Return the solution's own finish, or the default decision by the contract."""
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
        )
    return Vertical(
        info=found.info, distribution=found.distribution, version=found.version, solution=loaded
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


def default_options(info: SolutionInfo) -> dict[str, Any]:
    """Return a solution's declared options with their defaults."""
    return {option.name: option.default for option in info.options}


def merged_options(vertical: Vertical, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a solution's options with the caller's in their place.

    A torch solution also takes the options of the training loop (`verticals.training`).
    Raises `CallError` for an option that the solution does not have or a value not among its
    choices.
    """
    info = vertical.info
    options = default_options(info)
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
    unit = {"@group"} if contract.group else set()
    for item in features.fields if features is not None else ():
        beyond = [name for name in item.reads if name not in unit]
        if item.is_input and beyond:
            raise PrivacyError(
                f"derived field {item.name!r} reads other rows of {', '.join(beyond)}, expected "
                f"only rows of the privacy unit ({contract.group or 'the row itself'})",
                hint="leave the field out, or train with --no-privacy",
            )
