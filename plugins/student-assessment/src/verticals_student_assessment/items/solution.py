"""The solution `item-response`: a latent trait, no label, and so no `TorchSolution`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from verticals.contract import DataContract
from verticals.errors import PrivacyError
from verticals.plugin import Model, Output, Setup, State
from verticals.table import Table
from verticals.training import pick_device
from verticals_student_assessment.items import demo as demonstration
from verticals_student_assessment.items import evidence as measured
from verticals_student_assessment.items.answers import item_codes, item_fields
from verticals_student_assessment.items.irt import (
    Fit,
    Handling,
    Responses,
    bank_from_state,
    fit_items,
    handle_missing,
    needed_points,
    to_responses,
)
from verticals_student_assessment.items.model import ItemModel, read_options

COARSE = 1.5  # nodes so many posterior standard deviations apart


class ItemResponse:
    """Fit items by marginal maximum likelihood, and score students on them."""

    #: Nothing is fitted after the items, so that no part is held back for it.
    demo_shares: Mapping[str, float] = {
        "train": 0.7,
        "validate": 0.0,
        "calibrate": 0.0,
        "test": 0.3,
    }

    def demo(self) -> tuple[DataContract, Table]:
        """Return a simulated bank of items with known parameters and known DIF."""
        return demonstration.demo()

    def outputs(self, contract: DataContract) -> tuple[Output, ...]:
        """Name the outputs; levels are there where the contract has cut scores."""
        found = [Output(name=name, kind="real") for name in ("ability", "ability_se", "answered")]
        if item_fields(contract).cuts:
            found.append(Output(name="level", kind="ordinal"))
            found.append(Output(name="uncertain", kind="flag"))
        return tuple(found)

    def fit(self, parts: Mapping[str, Table], setup: Setup) -> ItemModel:
        """Estimate the items from the training part.

        Raises `PrivacyError` under privacy, `DataError` or `TrainingError` where there is too
        little to learn from, and `CallError` for an option that is none.
        """
        if setup.private:
            raise PrivacyError(
                "item-response has no private training: no sound private estimate of its items is "
                "known to it",
                hint="verticals train item-response --no-privacy …",
            )
        settings = read_options(setup.options)
        responses = read_responses(parts["train"], setup.contract, settings.handling)
        device = pick_device(setup.device)
        fit = fit_items(responses, settings.fit, device=device, progress=setup.progress)
        return ItemModel(
            bank=fit.bank,
            contract=setup.contract,
            settings=settings,
            notes=(*responses.notes, *fit_notes(fit)),
            device=device,
        )

    def load(self, state: State, setup: Setup) -> ItemModel:
        """Bring a bank back; raise `BundleError` where it does not fit its contract."""
        return ItemModel(
            bank=bank_from_state(state.tensors, state.settings),
            contract=setup.contract,
            settings=read_options(setup.options),
            notes=tuple(state.settings.get("notes", ())),
            device=pick_device(setup.device),
        )

    def evidence(self, model: Model, parts: Mapping[str, Table]) -> Mapping[str, Table]:
        """Return tables of the items, the scale, and of DIF by item, group and rest score.

        DIF is counted over all persons of all parts: a small held-out part cannot show it.
        """
        assert isinstance(model, ItemModel)  # what `fit` and `load` give
        return measured.evidence(model, parts)


def fit_notes(fit: Fit) -> tuple[str, ...]:
    """Return what a person should know of how the estimates came about."""
    notes = []
    if not fit.converged:
        notes.append(f"the estimates did not settle within {fit.iterations} iterations")
    if fit.bank.covariance is not None and not np.isfinite(fit.bank.covariance).all():
        notes.append("the information matrix is not positive definite: no standard errors")
    if int(fit.bank.facts["points"]) < needed_points(fit.bank, spacing=COARSE):
        enough = needed_points(fit.bank)
        notes.append(f"the grid is coarse for so precise a test: --option points={enough}")
    negative = [
        name for name, slope in zip(fit.bank.names, fit.bank.slopes, strict=True) if slope < 0
    ]
    if negative:
        shown = ", ".join(map(repr, negative[:5]))
        notes.append(
            f"{len(negative)} items have a negative slope, so that the able answer them less often "
            f"right (a wrong key?): {shown}"
        )
    return tuple(notes)


def read_responses(table: Table, contract: DataContract, handling: Handling) -> Responses:
    """Return what a bound table's answers can teach (see `to_responses`)."""
    items = item_fields(contract)
    codes, _ = handle_missing(item_codes(table, items), items.categories, handling)
    return to_responses(codes, items.names, items.categories)


SOLUTION = ItemResponse()
