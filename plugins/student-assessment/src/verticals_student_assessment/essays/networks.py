"""The network: a frozen (or adapted) encoder, pooled over tokens and layers, and ordinal heads.

Beside the encoder the heads read what a text shows on its surface (`surface`).

The encoder's weights stand outside the registered parameters: a bundle holds the head, the scale
of the features and the adapters, and names the encoder by its digest.

An adapted encoder scores together with the frozen one: each has heads of its own, and the raw score
is the mean of both. Adapters learn from loosely fitted heads that stay as they are: heads that know
the training essays by heart leave nothing to be learnt from them.

Each trait has one direction and a threshold for each step of its scale (proportional odds,
McCullagh 1980), as in the rank-consistent ordinal networks of Cao, Mirjalili & Raschka 2020.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from verticals.contract import Target
from verticals.errors import CallError, ContractError
from verticals.plugin import Inputs
from verticals.table import Array
from verticals_student_assessment.essays.lora import Adapters
from verticals_student_assessment.essays.measures import MEASURES
from verticals_student_assessment.essays.options import EssayOptions
from verticals_student_assessment.essays.rules import check_levels
from verticals_student_assessment.essays.surface import CURVES, PIECES, curves, directions, pieces
from verticals_student_assessment.essays.text import FACTS, HEAD

FEATURES = "@features"  # a block that stands for the text, once it was prepared
_TOKENS_AT_ONCE = 2**15  # of a batch on an accelerator
_KEPT_BYTES = 2**28  # of features in memory
_LEAST = 1e-6
#: Of the frozen encoder's heads beside an adapted one, and of the heads that adapters learn from.
TIGHT_RIDGE, LOOSE_RIDGE = 10.0, 80.0

# A linear head on fixed features is a convex problem: whole batches and a Gaussian prior; under
# privacy few large steps, averaged. Adapters take small steps from heads that have been trained.
_FROZEN: Mapping[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 0.1,
    "epochs": 200,
    "batch_size": 8192,
    "ridge": 20.0,
    "private": {
        "optimizer": "sgd",
        "learning_rate": 4.0,
        "momentum": 0.9,
        "steps": 60,
        "batch_size": 8192,
        "average": 0.5,
        "ridge": 0.0,
    },
}
_LORA: Mapping[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "epochs": 3,  # from the fourth on few essays are learnt by heart
    "batch_size": 8,
    "warmup": 0.06,
    "clip": 1.0,
    "weight_decay": 0.01,
}


class EssayNetwork(nn.Module):
    """Map encoded texts (rows, 1 + windows, length) to raw scores (rows, width).

    `train_options` are defaults for `verticals.training`.
    """

    centre: Tensor
    spread: Tensor
    directions: Tensor
    places: Tensor

    def __init__(
        self,
        body: nn.Module,
        targets: Sequence[Target],
        *,
        block: str,
        chosen: EssayOptions,
    ) -> None:
        super().__init__()
        self._held = (body,)  # a tuple: neither a parameter nor in the state
        self._kept: dict[bytes, Array] = {}
        self.block = block
        self.chosen = chosen
        self.frozen = chosen.tuning == "frozen"
        self.adapters = Adapters()
        if not self.frozen:
            self.adapters.adapt(body, rank=chosen.rank, scale=2.0 * chosen.rank, drop=0.05)
        config: Any = body.config
        layers, hidden = int(config.num_hidden_layers) + 1, int(config.hidden_size)
        self.groups = [hidden] * (2 * layers if chosen.pooling == "full" else 1) + [len(MEASURES)]
        columns = sum(self.groups)
        # Small features mix all layers; topics are told apart by the last one, which stands behind.
        self._further = 2 * CURVES + PIECES if chosen.surface == "full" else 0
        beside = 0 if chosen.pooling == "full" else hidden
        self._pooled_columns = columns + self._further + beside
        if self._further:
            drawn = torch.from_numpy(directions(len(MEASURES)))
            self.register_buffer("directions", drawn)
        self.register_buffer("centre", torch.zeros(columns))
        self.register_buffer("spread", torch.ones(len(self.groups)))
        steps = [len(target.values) - 1 for target in targets]
        places = torch.repeat_interleave(torch.arange(len(steps)), torch.tensor(steps))
        self.register_buffer("places", places, persistent=False)
        self.direction = nn.Parameter(torch.zeros(len(targets), columns + self._further))
        self.threshold = nn.Parameter(torch.tensor([odds for n in steps for odds in _even(n)]))
        if not self.frozen:
            self.adapted_direction = nn.Parameter(torch.zeros_like(self.direction))
            self.adapted_threshold = nn.Parameter(self.threshold.detach().clone())
            for name, item in self.named_parameters():
                item.requires_grad_(name.startswith("adapters."))
        self.train_options: Mapping[str, Any] = _FROZEN if self.frozen else _LORA

    @property
    def body(self) -> nn.Module:
        """Return the encoder."""
        return self._held[0]

    def _apply(self, fn: Any, recurse: bool = True) -> EssayNetwork:
        """Move the encoder along with the registered parameters."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.body._apply(fn)  # type: ignore[no-untyped-call]
        return self

    def train(self, mode: bool = True) -> EssayNetwork:
        """Set the mode; the encoder itself stays as it scores, without dropout."""
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        """Return raw scores of rows as they are encoded, or as `prepare` left them."""
        features = blocks.get(FEATURES)
        if features is None:
            features = self.features(blocks[self.block])
        return self._raw(features)

    def read(self, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Return raw scores (rows, width) of encoded texts, and unit vectors of their topics."""
        pooled = self.pooled(texts)
        return self._raw(self._scaled(pooled)), self.embedding(pooled)

    def prepare(self, blocks: Mapping[str, Array]) -> dict[str, Array]:
        """Return encoded rows with features in place of the text, where the encoder is frozen.

        Each row's features depend on that row and on the frozen encoder alone, so they may stand
        for it in training, under privacy too.
        """
        if not self.frozen:
            return dict(blocks)
        return {FEATURES: self.features(torch.from_numpy(blocks[self.block])).cpu().numpy()}

    def features(self, texts: Tensor) -> Tensor:
        """Return the scaled features of encoded texts: (rows, columns)."""
        return self._scaled(self.pooled(texts))

    def remember(self, other: EssayNetwork) -> None:
        """Take over what another network with the same frozen encoder has read."""
        self._kept = other._kept

    def pooled(self, texts: Tensor) -> Tensor:
        """Return pooled states and measures, unscaled, and what topics are compared by.

        A frozen encoder reads each text once; what it made of it stays in memory, within bounds.
        What an adapted one makes of it stands behind that; in training it stands alone.
        """
        if self.training and not self.frozen:
            return self._read(texts)
        with torch.no_grad():
            return self._remembered(texts) if self.frozen else self._in_parts(texts)

    @torch.no_grad()
    def fit_scale(self, texts: Array) -> None:
        """Set centre and spread of the features by public reference texts (rows, 1 + w, length)."""
        found = self._in_parts(torch.from_numpy(texts).to(self.centre.device))
        found = found[:, : len(self.centre)]
        self.centre.copy_(found.mean(dim=0))
        spreads = [part.std(dim=0).mean() for part in torch.split(found, self.groups, dim=1)]
        self.spread.copy_(torch.stack(spreads).clamp(min=_LEAST))

    def embedding(self, pooled: Tensor) -> Tensor:
        """Return the unit vector by which topics are compared, from pooled features."""
        hidden, layers = self.groups[0], (len(self.groups) - 1) // 2
        end = layers * hidden if self.chosen.pooling == "full" else self._pooled_columns
        last = pooled[:, end - hidden : end]
        unit: Tensor = last / last.norm(dim=1, keepdim=True).clamp(min=_LEAST)
        return unit

    def _raw(self, features: Tensor) -> Tensor:
        """Return raw scores of features: by the heads of the encoder that they come from."""
        columns = self.direction.shape[1]
        if self.frozen:
            return self._along(features, self.direction, self.threshold)
        behind = features[:, -columns:]
        adapted = self._along(behind, self.adapted_direction, self.adapted_threshold)
        if features.shape[1] == columns:
            return adapted  # in training: both together would hide what the adapters have to learn
        return (self._along(features[:, :columns], self.direction, self.threshold) + adapted) / 2

    def _along(self, features: Tensor, direction: Tensor, threshold: Tensor) -> Tensor:
        raw: Tensor = (features @ direction.T)[:, self.places] + threshold
        return raw

    def _scaled(self, pooled: Tensor) -> Tensor:
        """Scale what each encoder made of the texts, side by side as it stands."""
        parts = torch.split(pooled, self._pooled_columns, dim=1)
        return torch.cat([self._scaled_part(part) for part in parts], dim=1)

    def _scaled_part(self, pooled: Tensor) -> Tensor:
        """Centre, and give each group of columns a norm of about one; the surface stays."""
        widths = torch.tensor(self.groups, device=pooled.device)
        scale = torch.repeat_interleave(self.spread * widths.sqrt(), widths)
        columns = len(self.centre)
        scaled = (pooled[:, :columns] - self.centre) / scale
        return torch.cat([scaled, pooled[:, columns : columns + self._further]], dim=1)

    def _remembered(self, texts: Tensor) -> Tensor:
        keys = [_digest(row) for row in texts.cpu().numpy()]
        new = [place for place, key in enumerate(keys) if key not in self._kept]
        fresh: dict[bytes, Array] = {}
        if new:
            read = self._in_parts(texts[torch.tensor(new)]).cpu().numpy()
            fresh = {keys[place]: row for place, row in zip(new, read, strict=True)}
        rows = [fresh[key] if key in fresh else self._kept[key] for key in keys]
        room = _KEPT_BYTES // (4 * self._pooled_columns) - len(self._kept)
        self._kept.update(list(fresh.items())[: max(room, 0)])
        found = np.stack(rows) if rows else np.zeros((0, self._pooled_columns), dtype=np.float32)
        return torch.from_numpy(found).to(self.centre.device)

    def _in_parts(self, texts: Tensor) -> Tensor:
        """Read texts a few at a time, those of like length together.

        On a CPU a text is read alone: no padding, and the very same numbers in any company.
        """
        device = self.centre.device
        lengths = (texts[:, 1:] >= 0).sum(dim=(1, 2))
        order = torch.argsort(lengths, stable=True).tolist()
        width = self._pooled_columns * (1 if self.frozen else 2)
        found = torch.zeros(len(texts), width, device=device)
        most = texts.shape[1] * texts.shape[2]
        at_once = 1 if device.type == "cpu" else max(1, _TOKENS_AT_ONCE // most)
        for start in range(0, len(order), at_once):
            part = order[start : start + at_once]
            found[part] = self._read_by_all(texts[part].to(device)).float()
        return found

    def _read_by_all(self, texts: Tensor) -> Tensor:
        """Return what the frozen encoder makes of texts, and the adapted one behind it."""
        if self.frozen:
            return self._read(texts)
        with self.adapters.off():
            frozen = self._read(texts)
        return torch.cat([frozen, self._read(texts)], dim=1)

    def _read(self, texts: Tensor) -> Tensor:
        """Run the encoder on all windows of some texts, and pool: (rows, columns)."""
        rows, windows = torch.nonzero((texts[:, 1:] >= 0).any(dim=2), as_tuple=True)
        tokens = texts[rows, windows + 1]
        tokens = tokens[:, : int((tokens >= 0).sum(dim=1).max())]
        mask = tokens >= 0
        with self._arithmetic(tokens.device):
            states = self.body(
                input_ids=tokens.clamp(min=0).long(),
                attention_mask=mask.long(),
                output_hidden_states=True,
            ).hidden_states
        weight = mask.float()[:, :, None]
        count = torch.zeros(len(texts), 1, device=tokens.device)
        count = count.index_add(0, rows, weight.sum(dim=1)).clamp(min=1.0)
        means, spreads = [], []
        for state in states:
            held = state.float() * weight  # (windows, tokens, hidden)
            sums, squares = held.sum(dim=1), (held * held).sum(dim=1)
            empty = torch.zeros(len(texts), held.shape[2], device=tokens.device)
            mean = empty.index_add(0, rows, sums) / count
            variance = empty.index_add(0, rows, squares) / count - mean**2
            means.append(mean)
            spreads.append(variance.clamp(min=_LEAST).sqrt())
        measured = texts[:, 0, len(FACTS) : HEAD]
        surface = []
        if self._further:
            surface = [curves(measured, self.directions), pieces(texts[:, 1:])]
        if self.chosen.pooling == "small":
            return torch.cat([torch.stack(means).mean(dim=0), measured, *surface, means[-1]], dim=1)
        return torch.cat([*means, *spreads, measured, *surface], dim=1)

    def _arithmetic(self, device: torch.device) -> torch.autocast:
        half = self.chosen.arithmetic == "bfloat16" or device.type == "cuda"
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half)


def text_block(inputs: Inputs, targets: Sequence[Target]) -> str:
    """Return the block of the one text; raise `CallError` or `ContractError` where it is not so.

    Traits must be ordinal, with numbers as their levels.
    """
    texts = [name for name, item in inputs.fields.items() if item.kind == "text"]
    if len(texts) != 1 or len(inputs.fields) != 1:
        raise CallError(
            f"the contract has {len(texts)} text fields that the model reads and "
            f"{len(inputs.fields) - len(texts)} others, expected one text and nothing else",
            hint="give other fields `role: protected`, `role: stratum` or `role: ignore`",
        )
    for target in targets:
        check_levels(target)
    if not targets:
        raise ContractError("the contract has no target, expected a trait or more")
    return inputs.where[texts[0]][0]


def check_length(inputs: Inputs, block: str, body: nn.Module) -> None:
    """Raise `ContractError` where a window is longer than the encoder can read."""
    most = getattr(body.config, "max_position_embeddings", None)
    length = inputs.shapes[block][1]
    if most is not None and length > int(most):
        raise ContractError(
            f"windows are of {length} tokens, and the encoder reads at most {most}",
            hint=f"settings: {{length: {most}}}",
        )


def _even(steps: int) -> list[float]:
    """Return the log-odds of "above level k" where all levels are alike."""
    return [math.log((steps - k) / (k + 1)) for k in range(steps)]


def _digest(row: Array) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).digest()
