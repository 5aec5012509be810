"""The networks of knowledge tracing: additive over counts, or with attention over recent answers.

`features` is a sum of one curve for each derived field, item and skill: the additive form of
performance factors analysis (Pavlik et al., AIED 2009) with item difficulties, which Gervet et al.
(Journal of Educational Data Mining 12, 2020) call the best logistic regression. `attention` adds
to it what the student's latest answers say, each held against the question at hand, in the manner
of self-attentive tracing (Pandey & Karypis, EDM 2019). It is causal without a mask: the sequence
of a question holds only answers known before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from verticals.contract import Target
from verticals.errors import CallError
from verticals.networks import additive, heads
from verticals.networks.cells import flat_width, flatten, mute_flags
from verticals.networks.mlp import Residual
from verticals.networks.sequence import LookBack, flat_inputs
from verticals.plugin import Inputs
from verticals_student_assessment.tracing.looking_back import (
    ITEM,
    LAG,
    PRESENT,
    RIGHT,
    SAME_ITEM,
    SHARED,
    SKILLS,
)
from verticals_student_assessment.tracing.roles import MOST_SKILLS, declared_skills

NETWORKS = ("features", "attention")
_YEAR = math.log1p(365 * 86_400.0)
_TRAINING: Mapping[str, Any] = MappingProxyType(
    {
        "learning_rate": 2e-3,
        "ridge": 3.0,  # a Gaussian prior on all weights: a small log has few answers an item
        "batch_size": 512,
        "epochs": 6,
        "least_steps": 200,
        "average": 0.3,
        "private": {"steps": 60, "batch_size": 64, "learning_rate": 0.01},
    }
)


def network(inputs: Inputs, targets: Sequence[Target], options: Mapping[str, Any]) -> nn.Module:
    """Return the network that `options["network"]` names: features (default) or attention.

    Raises `CallError` for another name, or where attention has no sequence to read.
    """
    name = options.get("network", NETWORKS[0])
    if name not in NETWORKS:
        raise CallError(f"network is {name!r}, expected one of {', '.join(NETWORKS)}")
    if name == "features":
        built = additive(flat_inputs(inputs), targets, options)
        # Students are few, and noise takes the larger steps of a table of rows too far.
        private = {**built.train_options["private"], "learning_rate": 0.05}
        built.train_options = {**built.train_options, "epochs": 10, "private": private}
        return built
    return AttentionNetwork(inputs, heads.width(targets))


class AttentionNetwork(nn.Module):
    """Let the question look back over the student's latest answers, each as it was.

    One layer of attention (`verticals.networks.sequence`), then residual blocks; a linear path
    beside it reads the counts directly. Places without an answer have no weight. Each row is
    computed apart from all others, so it trains privately.
    """

    order: Tensor

    def __init__(
        self,
        inputs: Inputs,
        width: int = 1,
        *,
        hidden: int = 32,
        attention: int = 4,
        layers: int = 1,
        dropout: float = 0.1,
    ) -> None:
        """Build the network of `width` raw scores with `attention` heads.

        Raises `CallError` where there is not exactly one sequence field, or no item or skills.
        """
        super().__init__()
        found = [name for name, shape in inputs.shapes.items() if len(shape) == 2]
        if len(found) != 1 or not {"item", "skills"} <= set(inputs.fields):
            raise CallError(
                f"an attention network reads one sequence beside item and skills, and the contract "
                f"gives {len(found)}",
                hint="choose network=features",
            )
        self.recent = found[0]
        self.inputs = flat_inputs(inputs)
        steps = inputs.shapes[self.recent][0]
        columns = flat_width(self.inputs)
        # One more code for "none", one for what is not declared.
        self._codes = len(inputs.fields["item"].values) + 2
        self._kinds = len(declared_skills(inputs.fields["skills"])) + 2
        self.register_buffer("order", torch.linspace(0.0, 1.0, steps), persistent=False)
        self.wide = nn.Linear(columns, width)
        self.question = nn.Linear(columns, hidden)
        for layer in (self.wide, self.question):
            mute_flags(layer, self.inputs)
        self.item = nn.Embedding(self._codes, hidden)
        self.skill = nn.Embedding(self._kinds, hidden)
        self.marks = nn.Linear(6, hidden)  # right, wrong, lag, same item, shared skills, place
        self.past = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.ReLU())
        self.look_back = LookBack(hidden, attention)
        blocks = [Residual(hidden, dropout) for _ in range(layers)]
        self.layers = nn.Sequential(*blocks, nn.LayerNorm(hidden), nn.ReLU())
        self.head = nn.Linear(hidden, width)
        for table in (self.item, self.skill):
            nn.init.normal_(table.weight, std=0.1)
        self.train_options: Mapping[str, Any] = dict(_TRAINING)

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        """Return raw scores (rows, width)."""
        flat = flatten(self.inputs, blocks)
        question = self.question(flat)  # (rows, hidden)
        recent = blocks[self.recent]
        present = recent[..., PRESENT]  # (rows, steps)
        past = self.past(self._answers(recent, present))
        joined = question + self.look_back(question, past, present)
        raw: Tensor = self.wide(flat) + self.head(self.layers(joined))
        return raw

    def _answers(self, recent: Tensor, present: Tensor) -> Tensor:
        """Return each recent answer as one vector: (rows, steps, hidden)."""
        item = recent[..., ITEM].long().clamp(0, self._codes - 1)
        skills = recent[..., SKILLS : SKILLS + MOST_SKILLS].long().clamp(0, self._kinds - 1)
        some = (skills > 0).to(recent.dtype)[..., None]  # (rows, steps, MOST_SKILLS, 1)
        needed = (self.skill(skills) * some).sum(dim=-2) / some.sum(dim=-2).clamp(min=1.0)
        right = recent[..., RIGHT]
        marks = torch.stack(
            [
                right,
                present - right,
                recent[..., LAG] / _YEAR,
                recent[..., SAME_ITEM],
                recent[..., SHARED],
                self.order.expand_as(present),
            ],
            dim=-1,
        )
        found: Tensor = self.item(item) + needed + self.marks(marks)
        return found
