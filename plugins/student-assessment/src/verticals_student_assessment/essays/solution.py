"""The solution essay-scoring: an encoder, ordinal heads, a finish that routes, its evidence.

It is a solution of its own around the SDK's torch adapter, as the finish needs facts of the text
(words, language, topic) beside the scores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from verticals.contract import DataContract, Field, Target
from verticals.encode import Encoder
from verticals.errors import PrivacyError
from verticals.networks import heads
from verticals.plugin import Columns, Finish, Inputs, Model, Setup, State, TorchSolution
from verticals.table import Array, Table
from verticals.torch_adapter import TorchAdapter
from verticals.torch_model import TorchModel
from verticals.training import TrainOptions
from verticals_student_assessment.essays.body import (
    ENCODER,
    encoder_digest,
    encoder_folder,
    load_body,
)
from verticals_student_assessment.essays.compose import reference_texts, stray_texts
from verticals_student_assessment.essays.demo import demo
from verticals_student_assessment.essays.evidence import essay_evidence
from verticals_student_assessment.essays.finish import (
    CLIPPED,
    MARKUP,
    STRAY,
    TOPICAL,
    UNKNOWN,
    WORDS,
    finish_for,
)
from verticals_student_assessment.essays.language import is_unknown
from verticals_student_assessment.essays.networks import (
    LOOSE_RIDGE,
    TIGHT_RIDGE,
    EssayNetwork,
    check_length,
    text_block,
)
from verticals_student_assessment.essays.options import essay_options
from verticals_student_assessment.essays.rules import check_contract, declared_prompts
from verticals_student_assessment.essays.text import FACTS, TextEncoder

_ROWS_AT_ONCE = 1024


class EssayModel:
    """A trained network with its encoder: chances of each level, and facts of each text."""

    def __init__(self, inner: TorchModel) -> None:
        self.inner = inner
        self.contract: DataContract = inner.contract
        self.encoder: Encoder = inner.encoder
        self.field: Field = inner.contract.inputs[0]
        prompts = declared_prompts(self.field)
        self._prompts: Array | None = None
        if prompts:
            self._prompts = self._read(np.array(prompts, dtype=object))[1]

    @cached_property
    def _stray(self) -> float:
        """Return how near public texts on other subjects come to any prompt; NaN without one."""
        if self._prompts is None:
            return float("nan")
        embedding = self._read(np.array(stray_texts(), dtype=object))[1]
        return float((embedding @ self._prompts.T).max())

    @property
    def network(self) -> EssayNetwork:
        """Return the network, in evaluation mode."""
        found = self.inner.network
        assert isinstance(found, EssayNetwork)  # the solution made it
        return found

    def predict(self, table: Table) -> Columns:
        """Return the score columns of the traits, and what the finish must know of each text."""
        return self.predict_texts(table[self.field.name])

    def predict_texts(self, texts: Array) -> Columns:
        """Score texts (rows,), an object array of str or None; columns as `predict` gives them."""
        parts = [
            self._columns(texts[start : start + _ROWS_AT_ONCE])
            for start in range(0, max(len(texts), 1), _ROWS_AT_ONCE)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def state(self) -> State:
        """Return head, scale and adapters, and the encoder's digest; not the encoder's weights."""
        return self.inner.state()

    def row_losses(self, table: Table) -> Array:
        """Return (rows,) losses against the labels in the table; unlabelled rows are left out."""
        return self.inner.row_losses(table)

    def encoding_counts(self, table: Table) -> Table:
        """Count essays that are empty (missing) and those clipped at their windows (above)."""
        counted = self.inner.encoding_counts(table)
        blocks = self.encoder.encode(table)[self.network.block]
        clipped = int((blocks[:, 0, FACTS.index("clipped")] > 0).sum())
        return counted.with_columns({"above": np.array([clipped], dtype=np.int64)})

    def _columns(self, texts: Array) -> dict[str, Array]:
        raw, embedding, facts = self._read(texts)
        columns = heads.scores(raw, self.contract.targets)
        topical = np.full(len(texts), np.nan)
        if self._prompts is not None and len(texts):
            topical = (embedding @ self._prompts.T).max(axis=1)
        named = dict(zip(FACTS, facts.T, strict=True))
        unknown = [
            is_unknown(words=int(words), common=common, rival=rival, foreign=foreign, unknown=share)
            for words, common, rival, foreign, share in zip(
                *(named[name] for name in ("words", "common", "rival", "foreign", "unknown")),
                strict=True,
            )
        ]
        return {
            **columns,
            WORDS: named["words"],
            CLIPPED: named["clipped"],
            MARKUP: named["markup"],
            UNKNOWN: np.array(unknown, dtype=np.float64),
            TOPICAL: topical.astype(np.float64),
            STRAY: np.full(len(texts), self._stray),
        }

    @torch.no_grad()
    def _read(self, texts: Array) -> tuple[Array, Array, Array]:
        """Return raw scores (rows, width), embeddings (rows, hidden), facts (rows, facts)."""
        blocks = self.encoder.encode(Table({self.field.name: texts}, rows=len(texts)))
        encoded = blocks[self.network.block]
        raw, embedding = self.network.read(torch.from_numpy(encoded))
        facts = encoded[:, 0, : len(FACTS)].astype(np.float64)
        return raw.double().cpu().numpy(), embedding.double().cpu().numpy(), facts


class EssayScoring:
    """Score essays on declared traits; see `verticals describe essay-scoring`."""

    demo_shares: Mapping[str, float] = {
        "train": 0.45,
        "validate": 0.0,
        "calibrate": 0.2,
        "test": 0.35,
    }
    training_options = tuple(item.name for item in dataclasses.fields(TrainOptions))

    def demo(self) -> tuple[DataContract, Table]:
        """Return the composed essays."""
        return demo()

    def finish_for(
        self, contract: DataContract, epsilon: float | None, options: Mapping[str, Any]
    ) -> Finish:
        """Return the finish of a contract."""
        return finish_for(contract, epsilon, options)

    def accepts(self, contract: DataContract, options: Mapping[str, Any]) -> None:
        """Raise `ContractError` for a contract that cannot be trained (see `essays.rules`)."""
        check_contract(contract)

    def fit(self, parts: Mapping[str, Table], setup: Setup) -> EssayModel:
        """Train the heads on a frozen encoder; with `tuning=lora` then adapt a second one.

        Raises `PrivacyError` for LoRA under privacy, `ContractError` as `accepts`.
        """
        check_contract(setup.contract)
        chosen = essay_options(setup.options)
        if chosen.tuning == "frozen":
            return EssayModel(_adapter().fit(parts, setup))
        if setup.private:
            raise PrivacyError(
                "tuning=lora is asked for with --epsilon: private training adapts no encoder",
                hint="--option tuning=frozen",
            )
        own = {
            name: value
            for name, value in setup.options.items()
            if name not in self.training_options
        }
        return EssayModel(_adapter(_heads(parts, setup, own)).fit(parts, setup))

    def load(self, state: State, setup: Setup) -> EssayModel:
        """Bring a model back; raise `BundleError` where the encoder is another one."""
        return EssayModel(_adapter().load(state, setup))

    def evidence(self, model: Model, parts: Mapping[str, Table]) -> Mapping[str, Table]:
        """Return the tables `essays.*`."""
        return essay_evidence(model, parts) if isinstance(model, EssayModel) else {}


def _heads(
    parts: Mapping[str, Table], setup: Setup, options: Mapping[str, Any]
) -> dict[str, Array]:
    """Return the heads that LoRA begins with: those of the frozen encoder, and loose ones."""

    def asked(ridge: float) -> Setup:
        given = {**options, "tuning": "frozen", "ridge": ridge}
        return dataclasses.replace(setup, options=given, checkpoint=None)

    tight = _adapter().fit(parts, asked(TIGHT_RIDGE))
    second = _adapter(read=tight.network).fit(parts, asked(LOOSE_RIDGE)).state().tensors
    heads = {f"adapted_{name}": second[name] for name in ("direction", "threshold")}
    return {**tight.state().tensors, **heads}


def _adapter(
    start: Mapping[str, Array] | None = None, *, read: nn.Module | None = None
) -> TorchAdapter:
    """Return the SDK's adapter; `start` are trained heads to begin with.

    What the network `read` made of texts need not be made again.
    """

    def fresh(inputs: Inputs, targets: Sequence[Target], setup: Setup) -> EssayNetwork:
        network = _build(inputs, targets, setup)
        if isinstance(read, EssayNetwork):
            network.remember(read)
        if start is not None:
            held = {name: torch.from_numpy(np.array(item)) for name, item in start.items()}
            network.load_state_dict(held, strict=False)
            return network
        field = inputs.fields[network.block]
        texts = np.array(reference_texts(), dtype=object)
        encoder = TextEncoder(encoder_folder(setup.resources))
        network.fit_scale(encoder.encode(field, texts))
        return network

    return TorchAdapter(
        TorchSolution(
            demo=demo,
            network=_shipped,
            network_for=fresh,
            network_at_load=_build,
            encoders_for=_encoders,
            resources_for=_resources,
        )
    )


def _build(inputs: Inputs, targets: Sequence[Target], setup: Setup) -> EssayNetwork:
    """Return a network around the encoder of a setup, its own weights yet to be set."""
    block = text_block(inputs, targets)
    body = load_body(encoder_folder(setup.resources))
    check_length(inputs, block, body)
    return EssayNetwork(body, targets, block=block, chosen=essay_options(setup.options))


def _shipped(inputs: Inputs, targets: Sequence[Target], options: Mapping[str, Any]) -> EssayNetwork:
    """Return a network around the encoder that a package ships."""
    setup = Setup(contract=DataContract(solution="", name="", fields=()), options=options)
    return _build(inputs, targets, setup)


def _encoders(setup: Setup) -> Mapping[str, TextEncoder]:
    return {"text": TextEncoder(encoder_folder(setup.resources))}


def _resources(setup: Setup) -> Mapping[str, str]:
    return {ENCODER: encoder_digest(encoder_folder(setup.resources))}


SOLUTION = EssayScoring()
